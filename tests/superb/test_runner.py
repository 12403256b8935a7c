"""The tasks for a few steps with the real s3prl, as the recipe runs them."""

import argparse
import base64
import csv
import dataclasses
import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import soundfile
import torch
from omegaconf import OmegaConf

from m2d.common.errors import UserError
from m2d.common.files import write_json
from m2d.superb import runner
from m2d.superb.collect import collect
from m2d.superb.config import SuperbConfig
from m2d.superb.diarization import lowest_rate
from m2d.superb.disk import RECORD
from m2d.superb.results import document
from m2d.superb.runner import plan, run_all
from m2d.superb.task import TASKS
from m2d.superb.worker import Run, finished

CONF = Path(__file__).parents[2] / "egs" / "librispeech_m2ds" / "conf" / "superb"
torch.serialization.add_safe_globals([argparse.Namespace])
TINY = {"runner": {"total_steps": 4, "gradient_accumulate_steps": 1, "log_step": 2, "eval_step": 2, "save_step": 2}}


def s3prl_files() -> dict[str, str]:
    """Every file of the installed s3prl that differs from its RECORD, or is in its package without being recorded."""
    package = importlib.metadata.distribution("s3prl")
    root = Path(str(package.locate_file("")))
    recorded, wrong = set(), {}
    for path, digest, _ in csv.reader(package.read_text("RECORD").splitlines()):
        recorded.add((root / path).resolve())
        if digest and (root / path).is_file():
            found = hashlib.sha256((root / path).read_bytes()).digest()
            if f"sha256={base64.urlsafe_b64encode(found).decode().rstrip('=')}" != digest:
                wrong[path] = "changed"
    for file in (root / "s3prl").rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts and file.resolve() not in recorded:
            wrong[str(file)] = "new"
    return wrong


RNN = {"project_dim": 16, "RNNs": {"dim": [16, 16]}}
DATA = {
    "pr": {"corpus": {"batch_size": 2, "num_workers": 0}},
    "asr": {"datarc": {"batch_size": 2, "num_workers": 0}, "modelrc": RNN},
    "ks": {"datarc": {"batch_size": 8, "num_workers": 0}},
    "qbe": {"max_workers": 1, "datarc": {"num_workers": 0}},
    "sid": {"datarc": {"train_batch_size": 2, "num_workers": 0}},
    "sd": {"loaderrc": {"train_batchsize": 2, "num_workers": 0}, "modelrc": {"hidden_size": 16}},
    "ic": {"datarc": {"train_batch_size": 4, "num_workers": 0}},
    "sf": {"corpus": {"batch_size": 2, "num_workers": 0}, "model": RNN},
    "er": {"datarc": {"num_workers": 0}},
}


@pytest.fixture(scope="module")
def config(corpora, model, tmp_path_factory) -> SuperbConfig:
    root = tmp_path_factory.mktemp("exp")
    overlay = {task: {**({} if task == "qbe" else TINY), "downstream_expert": changes}
               for task, changes in DATA.items()}
    OmegaConf.save(OmegaConf.create(overlay), root / "tiny.yaml")
    return SuperbConfig(model=model, exp=str(root / "m2d"), conf=str(CONF), overlays=[str(root / "tiny.yaml")],
                        tasks=list(DATA), corpora=corpora, device="cpu", jobs=2)


@pytest.fixture(scope="module")
def runs(config) -> list[Run]:
    return run_all(config)


def result(run: Run) -> dict:
    return json.loads((Path(run.folder) / "result.json").read_text())


def test_every_task_and_fold_gives_a_result(runs):
    assert [(run.task, run.fold) for run in runs] == [
        *((task, None) for task in DATA if task != "er"), *(("er", fold) for fold in range(1, 6))]
    for run in runs:
        found = result(run)
        assert list(found["scores"]) == [measure.column for measure in TASKS.get(run.task).measures]
        assert all(0 <= score <= 400 for score in found["scores"].values())
        if run.task != "qbe":
            assert found["best_step"] in (2, 4) and len(found["layer_weights"]) == 2


def test_the_score_is_s3prls_own(runs):
    """Accuracy from its table of predictions, error rates from its lists of hypotheses."""
    for run in runs:
        folder = Path(run.folder)
        if run.task in ("ks", "sid", "er"):
            fold = f"_fold{run.fold}" if run.fold else ""
            truth, guess = ((folder / f"test{fold}_{kind}.txt").read_text().splitlines()
                            for kind in ("truth", "predict"))
        elif run.task == "ic":
            truth, guess = ((folder / f"test_{kind}.csv").read_text().split() for kind in ("truth", "predict"))
        else:
            continue
        assert result(run)["scores"][run.task] == pytest.approx(
            100 * sum(map(str.__eq__, truth, guess)) / len(truth), abs=1e-4), run.name
    by_task = {run.task: Path(run.folder) for run in runs}
    assert len((by_task["pr"] / "test-ref.ark").read_text().splitlines()) == 4
    words = (by_task["asr"] / "test-clean-noLM-ref.ark").read_text().splitlines()
    assert sorted(words)[0] == "12-7-0000 GO" and len(words) == 4
    slots = (by_task["sf"] / "test-ref.ark").read_text().splitlines()
    assert "Emma-snips-test-0 GO B-place HOME E-place" in slots


def test_query_by_example_takes_the_layer_that_is_best_on_dev(runs):
    """The scorer of the tiny corpus counts detections."""
    run = next(run for run in runs if run.task == "qbe")
    found = result(run)
    assert len(found["dev_by_layer"]) == 2 and found["dev"] == max(found["dev_by_layer"])
    tested = Path(run.folder) / f"layer{found['best_layer']}_test"
    assert (tested / "benchmark.stdlist.xml").is_file()
    assert json.loads((tested / "scores.json").read_text()) == found["scores"]


def test_diarization_is_scored_from_the_predictions_of_every_recording(runs):
    run = next(run for run in runs if run.task == "sd")
    predictions = Path(run.folder) / "scoring" / "predictions"
    assert sorted(path.stem for path in predictions.iterdir()) == ["test0", "test1", "test2"]
    assert result(run)["scores"]["sd"] == pytest.approx(
        100 * lowest_rate(predictions, Path(run.config["downstream_expert"]["loaderrc"]["test_dir"]) / "rttm", 0.04))


def test_a_sweep_takes_the_rate_that_is_best_on_dev(config, tmp_path):
    """The features of the corpus's three clips, and of s3prl's probe with noise by each seed, are kept once."""
    swept = dataclasses.replace(config, exp=str(tmp_path / "swept"), tasks=["ic"], sweep=[1e-6, 5e-2], seeds=[0, 1],
                                features_gib=0.01)
    found = run_all(swept)
    assert [path.stat().st_size for path in tmp_path.glob("swept/features/ic/*/*.index")] == [
        (3 + 2) * RECORD.size]
    assert [Path(run.folder).name for run in found] == ["lr1e-06", "lr0.05"] * 2
    dev = {rate: [result(run)["dev"] for run in found if run.config["optimizer"]["lr"] == rate]
           for rate in swept.sweep}
    best = max(dev, key=lambda rate: sum(dev[rate]))
    task = collect(swept, found)["tasks"]["ic"]
    assert task["lr"] == best and task["swept"] == [1e-6, 5e-2]
    assert [rate["dev"] for rate in task["rates"]] == [round(sum(dev[lr]) / 2, 4) for lr in (5e-2, 1e-6)]
    assert f"| IC (counts) | {best:g} |" in document([collect(swept, found)], {}, None, None)
    assert task["scores"]["ic"] == [round(result(run)["scores"]["ic"], 3) for run in found
                                    if run.config["optimizer"]["lr"] == best]


def test_accuracies_know_how_many_clips_they_are_of(config, runs):
    tasks = collect(config, runs)["tasks"]
    assert [tasks[name]["tested"] for name in ("pr", "ic", "er")] == [None, 3, 25]


def test_each_fold_is_tested_on_its_session(runs):
    for run in runs:
        if run.fold:
            tested = (Path(run.folder) / f"test_fold{run.fold}_truth.txt").read_text().split()[::2]
            assert len(tested) == 5 and all(name.startswith(f"Ses{run.fold:02d}") for name in tested)


def test_statistics_are_those_of_the_tasks_own_audio(config, runs):
    """Keyword spotting hears its recordings 3 dB down; the folds share one pair of numbers."""
    stored = {path.stem.split("-")[0]: json.loads(path.read_text())
              for path in (Path(config.exp).parent / "statistics").glob("*.json") if "files" not in path.name}
    assert set(stored) == set(DATA)
    for run in runs:
        used = json.loads((Path(run.folder) / "upstream.json").read_text())
        assert (used["mean"], used["std"]) == (stored[run.task]["mean"], stored[run.task]["std"])


def test_done_runs_are_not_done_again(config, runs, monkeypatch):
    monkeypatch.setattr(runner, "_start", lambda *_: pytest.fail("started a process"))
    assert run_all(config) == runs
    changed = plan(dataclasses.replace(config, lr=dataclasses.replace(config.lr, ic=1e-3)))
    assert [run.task for run in changed if not finished(run)] == ["ic"]


def test_a_model_trained_anew_is_tested_anew(config, runs, tmp_path):
    shutil.copytree(config.model, tmp_path / "model")
    tensors = safetensors.torch.load_file(tmp_path / "model" / "model.safetensors")
    before = plan(dataclasses.replace(config, model=str(tmp_path / "model")))[0].settings()
    tensors["cls_token"] += 1
    safetensors.torch.save_file(tensors, tmp_path / "model" / "model.safetensors")
    after = plan(dataclasses.replace(config, model=str(tmp_path / "model")))[0].settings()
    assert {key for key in before if before[key] != after[key]} == {"content"}
    assert before["content"] == runs[0].content


def test_one_job_is_one_task(config):
    assert {run.task for run in plan(dataclasses.replace(config, job=2))} == {"asr"}
    with pytest.raises(UserError, match=r"job=10: the 9 tasks are counted from 1"):
        plan(dataclasses.replace(config, job=10))


def test_a_changed_corpus_is_tested_and_measured_anew(config, runs, copy_of, tmp_path):
    shutil.copytree(config.corpora.fluent, tmp_path / "fluent")
    ic = dataclasses.replace(config, corpora=copy_of(fluent=str(tmp_path / "fluent")), tasks=["ic"],
                             statistics=str(tmp_path / "statistics"))
    before = plan(ic)[0]
    assert plan(ic)[0] == before
    recording = tmp_path / "fluent" / "wavs" / "speakers" / "train" / "0.wav"
    samples, rate = soundfile.read(recording)
    soundfile.write(recording, -samples, rate)
    after = plan(ic)[0]
    assert after.data != before.data and after.statistics != before.statistics


def test_s3prl_is_as_installed(runs):
    assert s3prl_files() == {}


def test_results_do_not_depend_on_the_cache(config, runs, tmp_path):
    without = dataclasses.replace(config, exp=str(tmp_path / "uncached"), tasks=["ic"], cache_gib=0.0,
                                  statistics=str(Path(config.exp).parent / "statistics"))
    again = run_all(without)[0]
    kept = next(run for run in runs if run.task == "ic")
    assert result(again)["scores"] == result(kept)["scores"]
    first, second = (torch.load(Path(run.folder) / "dev-best.ckpt", weights_only=True) for run in (again, kept))
    for part in ("Featurizer", "Downstream"):
        for name, value in first[part].items():
            assert torch.equal(value, second[part][name]), name


def test_an_interrupted_run_goes_on_and_a_broken_one_starts_again(config, runs, tmp_path):
    """Training for four steps resumes from the state of step 2; half a checkpoint is not resumed from."""
    task = dataclasses.replace(config, exp=str(tmp_path / "resumed"), tasks=["ic"], model="logmel")
    run = plan(task)[0]
    folder = Path(run.folder)
    stopped = dataclasses.replace(run, config=json.loads(json.dumps(run.config)))
    stopped.config["runner"]["total_steps"] = 2
    job = tmp_path / "job.json"
    write_json(job, {"threads": 1, "runs": [dataclasses.asdict(stopped)]})
    subprocess.run([sys.executable, "-m", "m2d.superb.worker", str(job), str(os.getpid())], check=True,
                   capture_output=True)
    assert result(stopped)["best_step"] == 2
    state = torch.load(folder / "dev-best.ckpt", weights_only=True)
    state["Config"] = run.config
    torch.save(state, folder / "states-2.ckpt")
    (folder / "result.json").unlink()
    write_json(folder / "settings.json", run.settings())
    run_all(task)
    log = (folder / "train.log").read_text()
    assert "Resume from" in log and finished(run)

    (folder / "result.json").unlink()
    (folder / "dev-best.ckpt").write_bytes((folder / "dev-best.ckpt").read_bytes()[:1000])
    run_all(task)
    assert finished(run) and "Resume from" not in (folder / "train.log").read_text()

    write_json(folder / "settings.json", {**run.settings(), "data": "of another corpus"})
    (folder / "result.json").rename(folder / "kept.json")
    run_all(task)
    assert (Path(f"{folder}.1") / "kept.json").is_file() and finished(run)


def test_a_failing_task_is_named_and_does_not_stop_the_others(config, copy_of, tmp_path):
    (tmp_path / "lexicon").write_text("GO G OW1\n")
    broken = dataclasses.replace(config, exp=str(tmp_path / "broken"), tasks=["pr", "sid"], model="logmel",
                                 corpora=copy_of(lexicon=[str(tmp_path / "lexicon")]))
    with pytest.raises(UserError, match=r"1 of 2 SUPERB runs failed, .*pr/seed0: .*no pronunciation for 1"):
        run_all(broken)
    assert [finished(run) for run in plan(broken)] == [False, True]
