"""A run whose encoder is watched: its scores are recorded, the run itself is not changed."""

import json

import numpy as np
import soundfile

from m2d.evaluation.own import own_task


def test_scores_are_recorded_and_change_nothing(options, finish, start, tmp_path):
    random = np.random.default_rng(0)
    for label, pitch in (("low", 300), ("high", 2000)):
        (tmp_path / "clips" / label).mkdir(parents=True)
        for take in range(8):
            wave = 0.3 * np.sin(2 * np.pi * pitch * np.arange(8000) / 16000) + 0.02 * random.standard_normal(8000)
            soundfile.write(tmp_path / "clips" / label / f"{take}.wav", wave, 16000)
    own_task(tmp_path / "clips", name="tones")[0].write(tmp_path / "task")
    plain = finish([*options, f"run.exp={tmp_path}/plain"])
    watched = [*options, f"run.exp={tmp_path}/watched", f"run.probe_task={tmp_path}/task", "run.probe_epochs=2"]
    state = finish(watched)
    assert all(value.equal(plain["model"][name]) for name, value in state["model"].items())
    lines = [json.loads(line) for line in (tmp_path / "watched/metrics.jsonl").read_text().splitlines()]
    probes = [line for line in lines if "probe_knn" in line]
    assert [line["step"] for line in probes] == [0, 10, 15]
    assert all(0 <= line[name] <= 100 for line in probes for name in ("probe_knn", "probe_linear"))
    assert (tmp_path / "watched/images/probe.png").is_file() and not (tmp_path / "plain/images/probe.png").exists()
    lost = start([*watched, f"run.exp={tmp_path}/lost", f"run.probe_task={tmp_path}/none"])
    assert lost.wait() == 1 and "no prepared task here" in lost.said()
