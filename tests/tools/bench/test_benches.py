"""Each benchmark at a tiny size: it runs, and its figures are of the things it names."""

import json

import numpy as np
import pytest
import torch
from bench import checkpoint, deploy, features, feed, index, logmel, memory, scaling, superb, teacher

from m2d.common.errors import UserError
from m2d.nn import ModelConfig
from m2d.training.rates import SUPERB_HOURS

TINY = {"size": "custom", "width": 32, "depth": 2, "heads": 2, "predictor_width": 32, "predictor_depth": 1,
        "predictor_heads": 2}


def rows_of(module, options):
    module.bench(options)
    with open(options.json, encoding="utf-8") as stream:
        return json.load(stream)


def test_feed(tmp_path):
    options = feed.FeedBench(clips=4, seconds=1.0, crop_frames=[64], batch=2, batches=1, turns=1, workers=1,
                             worker_seconds=0.2, directory=str(tmp_path), json=str(tmp_path / "feed.json"))
    rows = {row["feed"]: row for row in rows_of(feed, options)["rows"]}
    assert len(rows) == 5
    assert all(row[f"{rate}_per_core_s"] > 0 for row in rows.values() for rate in ("samples", "by_workers"))
    slowest = rows["folder, mixed in the worker"]
    assert slowest["times_folder"] == slowest["by_workers_times_folder"] == pytest.approx(1)
    float16, int8 = (rows[f"packed, teacher_{dtype}"]["kb_per_sample"] for dtype in ("float16", "int8"))
    assert float16 == pytest.approx(64 * 320 / 1e3 + 32 * 1536 / 1e3)
    assert int8 == pytest.approx(64 * 320 / 1e3 + 32 * 770 / 1e3)


def test_folder_gives_what_the_packed_feed_is_compared_with(tmp_path):
    feed.write_folder(tmp_path, clips=2, frames=100)
    plain, mixed = (feed.FolderDataset(tmp_path, 64, mix)[0] for mix in (False, True))
    assert plain["logmel"].shape == plain["noise"].shape == mixed["x"].shape == (80, 64)
    assert plain["teacher"].shape == mixed["teacher"].shape == (32, 768)
    assert mixed["x"].isfinite().all()


def test_int8_is_within_a_thousandth():
    changes = [feed.int8_change(feed.teacher_frames(np.random.default_rng(0), 512, outlier)) for outlier in (1, 5)]
    assert 0 < changes[0] < changes[1] < 1e-3


def test_index(tmp_path):
    row, = rows_of(index, index.IndexBench(entries=20_000, workers=2, lookups=2000, directory=str(tmp_path),
                                           json=str(tmp_path / "index.json")))["rows"]
    assert row["entries"] == 20_000 and row["index_mb"] == pytest.approx(20_000 * 40 / 1e6)
    assert row["open_s"] > 0 and row["first_open_s"] > 0


def test_deploy(tmp_path):
    result = rows_of(deploy, deploy.DeployBench(seconds=0.5, input_size=[80, 16], patch_size=[80, 4], width=8, depth=1,
                                                heads=1, compiled=False, turns=1, json=str(tmp_path / "deploy.json")))
    rows = {row["runtime"]: row for row in result["rows"]}
    assert list(rows) == ["torch", "torch.export", "onnxruntime"] and rows["torch"]["ratio_to_torch"] == 1
    assert all(row["difference"] < 1e-4 and row["ms_per_clip"] > 0 for row in rows.values())


def test_logmel(tmp_path):
    result = rows_of(logmel, logmel.LogMelBench(clips=2, seconds=1.0, turns=1, directory=str(tmp_path),
                                                json=str(tmp_path / "logmel.json")))
    assert float(result["largest_difference"]) < 1e-3
    assert [row["ratio"] > 0 for row in result["rows"]] == [True, True]


def test_teacher(tmp_path):
    rows = rows_of(teacher, teacher.TeacherBench(audio_seconds=2.0, batch_seconds=[4.0], layer=1, hidden_size=48,
                                                 layers=2, turns=1, device="cpu",
                                                 json=str(tmp_path / "teacher.json")))["rows"]
    assert [row.get("batch_s") for row in rows] == [None, None, 4.0]
    assert rows[0]["times_peer"] == pytest.approx(1)
    with pytest.raises(UserError, match="precision"):
        teacher.bench(teacher.TeacherBench(device="cpu", precision="bfloat16"))


def test_teacher_batches_hold_every_clip_once():
    clips = teacher.audio(60.0)
    batches = teacher.batches_of(clips, 30.0)
    assert sum(map(len, batches)) == len(clips) > len(batches)
    assert all(len(batch) == 1 for batch in teacher.batches_of(clips, 0.0))


def test_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "ModelConfig", lambda **model: ModelConfig(**{**model, **TINY}))
    rows = rows_of(checkpoint, checkpoint.CheckpointBench(batch=1, input_frames=32, turns=1, directory=str(tmp_path),
                                                          json=str(tmp_path / "checkpoint.json")))["rows"]
    step = rows[0]["seconds"]
    assert [row["steps"] for row in rows] == pytest.approx([row["seconds"] / step for row in rows])


def test_scaling(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(scaling, "AXES", {name: axis._replace(least=min(axis.least, 2000))
                                          for name, axis in scaling.AXES.items()})
    figure = tmp_path / "scaling.png"
    rows = rows_of(scaling, scaling.ScalingBench(doublings=1, turns=1, worker_seconds=0.2, width=32, depth=1,
                                                 figure=str(figure), json=str(tmp_path / "scaling.json")))["rows"]
    assert [row["axis"] for row in rows] == [name for name in scaling.AXES for _ in range(2)]
    assert all(row["amount"] == 2 * before["amount"] for before, row in zip(rows[::2], rows[1::2], strict=True))
    assert figure.read_bytes().startswith(b"\x89PNG")
    out = capsys.readouterr().out
    assert all(f"{name}: a doubling costs x" in out for name in scaling.AXES)


def test_scaling_names_where_it_bends():
    axis = scaling.AXES["batch"]
    text = scaling.sentence("batch", axis, [1, 2, 4, 8], [1.0, 2.0, 2.2, 4.4])
    assert "at 2 to 4, x1.10" in text and "x1.64 (ideal x2)" in text


def test_scaling_knows_its_axes():
    with pytest.raises(UserError, match="unknown 'batches', did you mean 'batch'"):
        scaling.bench(scaling.ScalingBench(axes=["batches"]))


def test_memory(tmp_path, monkeypatch):
    monkeypatch.setitem(memory.ENCODERS, "base", (8, 1, 1))
    threads = torch.get_num_threads()
    result = rows_of(memory, memory.MemoryBench(minutes=0.05, threads=threads, json=str(tmp_path / "memory.json")))
    model, features = result["rows"]
    assert not result["gradients"] and features["peak_mb"] >= model["peak_mb"] > 0


def test_features(tmp_path, monkeypatch):
    monkeypatch.setitem(features.ENCODERS, "base", (48, 1, 4))
    result = rows_of(features, features.FeaturesBench(
        seconds=0.5, clips=2, threads=[torch.get_num_threads()], files=2, turns=1, device="cpu",
        json=str(tmp_path / "features.json")))
    rows = {(row["what"], row["clips"]): row for row in result["rows"]}
    assert len(rows) == 2 * (2 + 3) + 1
    for (what, clips), row in rows.items():
        assert row["times_real_time"] > 0
        if "file to file" not in what:
            peer = rows["HuBERT Base", clips]
            assert row["times_hubert"] == pytest.approx(peer["ms_per_clip"] / row["ms_per_clip"])


def test_superb_hours_of_known_work():
    settings = {"runner": {"total_steps": 1000, "gradient_accumulate_steps": 2, "eval_step": 250}}
    work = {"network": 10.0, "head": 0.5, "disk": 100.0, "bytes_per_s": 1e6, "rates": 3}
    row = superb.row("ic", settings, 32, **work)
    heard = 64_000 * 14.7 / 23_132 + 4 * 1.9 + 2.4
    head = 2000 * 0.5 / 3600
    assert row["heard_h"] == pytest.approx(heard) and row["audio_h"] == pytest.approx(19.0)
    assert row["features_gb"] == pytest.approx(19 * 3.6)
    assert row["hours"] == pytest.approx(heard / 10 + head) and row["sweep_h"] == pytest.approx(3 * row["hours"])
    assert row["from_disk_h"] == pytest.approx(1.9 + heard / 100 + head)
    assert row["sweep_from_disk_h"] == pytest.approx(1.9 + 3 * (heard / 100 + head))
    crops = superb.row("sid", settings, 8, **work)  # what is cut at random is encoded anew each time
    assert crops["from_disk_h"] > 16_000 * 8 / 3600 / 10 and crops["features_gb"] < 0.1 * 352 * 3.6


def test_superb_has_a_row_for_each_task(tmp_path, monkeypatch):
    monkeypatch.setitem(superb.ENCODERS, "base", (8, 1, 1))
    monkeypatch.chdir(tmp_path)
    result = rows_of(superb, superb.SuperbBench(device="cpu", threads=torch.get_num_threads(), turns=1, disk=1000.0,
                                                json=str(tmp_path / "superb.json")))
    assert [row["task"] for row in result["rows"]] == ["PR", "KS", "IC", "SID", "ER", "all"]
    *rows, total = result["rows"]
    assert total["hours"] == pytest.approx(sum(row["hours"] for row in rows)) and min(
        row["from_disk_h"] for row in rows) > 0
    assert sum(audio.train + audio.dev + audio.test for audio in superb.SETS.values()) == pytest.approx(
        sum(SUPERB_HOURS.values()), rel=0.02)
