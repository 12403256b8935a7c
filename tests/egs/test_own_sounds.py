"""egs/own_sounds end to end by its own run.sh: a table of one's own with given weights, and the mini corpus without."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from m2d.audio.logmel import LogMelConfig
from m2d.nn.encoder import Encoder
from m2d.nn.encoder_config import EncoderConfig
from m2d.pretrained.features import M2DFeatures
from m2d.pretrained.files import load_pretrained, save_pretrained
from m2d.training.plan import PlanOptions, cost, inputs, load_settings

CONF = Path(__file__).parents[2] / "egs" / "own_sounds" / "conf"

TINY = ("optim.epochs=2 optim.batch_size=8 data.epoch_samples=16 model.predictor_width=16 model.predictor_depth=1 "
        "model.predictor_heads=2")
pytestmark = pytest.mark.timeout(1500)


@pytest.fixture(scope="module")
def recipe(make_recipe, tiny_corpus):
    recipe = make_recipe("own_sounds", MINI_CORPUS=str(tiny_corpus))
    settings = Path("audioset_m2d", "conf")  # of the mini M2D
    shutil.copytree(CONF.parents[1] / settings, recipe.directory.parent / settings)
    conf = recipe.directory / "conf"
    (conf / "linear.yaml").write_text("linear: {layers: true, lr: 1e-2, epochs: 10, seeds: [0]}\nworkers: 0\n")
    (conf / "finetune_tiny.yaml").write_text(
        "tune: {lr: 1e-3, optimizer: adamw, epochs: 2, warmup_epochs: 1, batch_size: 8}\nseeds: [0]\nworkers: 0\n")
    return recipe


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Folder with calls.csv, 36 short clips of three tones by six birds, and tiny weights of a longer input."""
    top = tmp_path_factory.mktemp("my sounds")
    random = np.random.default_rng(0)
    rows = []
    for label, pitch in (("low", 300), ("middle", 900), ("high", 2700)):
        for bird in range(6):
            for take in range(2):
                time = np.arange(8000 + 500 * take) / 16000
                wave = 0.2 * np.sin(2 * np.pi * pitch * time) + 0.02 * random.standard_normal(len(time))
                name = f"{label} {bird}-{take}.wav"
                soundfile.write(top / name, wave, 16000)
                rows.append([name, label, f"bird{bird}"])
    with open(top / "calls.csv", "w", newline="") as stream:
        csv.writer(stream).writerows([["file_name", "label", "group"], *rows])
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig((80, 208), (16, 16), 1, 16, 1, 2))
    save_pretrained(M2DFeatures(encoder, LogMelConfig(), -7.0, 4.0), top / "weights")
    return top


@pytest.fixture(scope="module")
def finished(recipe, own):
    """The output of all stages."""
    return recipe.run_well(*options(own))


def options(own):
    return ["--data", str(own / "calls.csv"), "--weights", str(own / "weights"), "--new", str(own), "--set", TINY,
            "--tuning", "tiny"]


def test_the_report_tells_what_helped(recipe, finished):
    text = (recipe.directory / "exp/REPORT.md").read_text()
    assert text.startswith("# calls: what helped") and "The mini corpus" not in text
    assert "36 clips" in text and "no content and group in two parts" in text  # the data
    for title in ("probe of random weights", "probe of log-mel", "probe of weights as they are",
                  "probe of weights trained further", "fine-tuned weights as they are",
                  "fine-tuned weights trained further"):
        assert f"| {title} |" in text, title
    assert "The probe of weights trained further against the probe of weights as they are: " in text
    assert "## Hardest clips" in text and ".wav` | " in text
    for figure in ("further_calls/linear/calls/embedding.png", "further_calls/images/probe.png"):
        assert f"({figure})" in text and (recipe.directory / "exp" / figure).read_bytes().startswith(b"\x89PNG")


def test_further_pre_training_is_from_the_weights_on_clips_that_are_not_tested(recipe, finished):
    exp = recipe.directory / "exp/further_calls"
    config = (exp / "config.yaml").read_text()
    assert "kind: m2dx" in config and "- 64\n" in config  # 0.6 s, not the 2.08 s of the weights
    heard = (recipe.directory / "data/calls/train/segments").read_text().split("\n")[:-1]
    with open(recipe.directory / "data/calls/tasks/calls/table.csv", newline="") as stream:
        assert len(heard) == sum(row["split"] != "test" for row in csv.DictReader(stream))
    lines = [json.loads(line) for line in (exp / "metrics.jsonl").read_text().splitlines()]
    assert any("off" in line for line in lines) and "probe_knn" in lines[0]
    assert load_pretrained(exp / "model").encoder.config.input_size == (80, 64)


def test_the_fine_tuned_model_labels_new_recordings(recipe, finished, own):
    with open(recipe.directory / "exp/further_calls/predictions.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 36 and {row["label"] for row in rows} <= {"low", "middle", "high"}


def test_a_second_run_finds_all_done(recipe, finished, own):
    again = recipe.run_well(*options(own))
    assert again.count("done before, skipped") == 1 + 1 + 3 + 2 + 1 + 4


def test_without_data_the_mini_corpus_and_a_mini_m2d_stand_in(recipe):
    tiny = ("optim.epochs=1 optim.batch_size=4 model.width=16 model.depth=1 model.heads=2 model.predictor_width=16 "
            "model.predictor_depth=1 model.predictor_heads=2")
    said = recipe.run_well("--scale", "0.1", "--mini_set", tiny, "--stop_stage", "2", "--nj", "1")
    assert "MINI CORPUS stands in" in said
    text = (recipe.directory / "exp/REPORT.md").read_text()
    assert text.startswith("# sounds_mini: what helped") and "The mini corpus stood in" in text


def test_settings_are_those_of_the_authors():
    config = load_settings(str(CONF / "further_gpu16.yaml"), [])
    assert (config.data.kind, config.data.noise_ratio, config.data.epoch_samples) == ("m2dx", 0.3, 10_000)
    assert (config.model.lambda_m2d, config.model.lambda_off, config.model.mask_ratio) == (1.0, 1.0, 0.7)
    optim = config.optim
    assert (optim.batch_size, optim.base_lr, optim.epochs, optim.warmup_epochs) == (128, 3e-4, 600, 24)
    assert inputs(config) == inputs(load_settings(str(CONF / "further_cpu.yaml"), [])) == ["speech", "noise"]
    config = load_settings(str(CONF / "further_gpu16.yaml"), ["optim.micro_batch=32"])
    assert dict(cost(config, PlanOptions(config="")))["on 1 x GPU of 16 GiB"].startswith("bf16, 4 x 32 samples a step")


@pytest.mark.parametrize(("words", "expected"), [
    (["--data", "/no/such.csv"], ["--data /no/such.csv", "no such table or folder"]),
    (["--data", "conf"], ["--weights is missing"]),
    (["--data", "conf", "--weights", "x", "--tune", "all"], ["--tune 'all'", "weights, further or both"]),
    (["--tuning", "none"], ["conf/finetune_none.yaml", "no such settings"]),
    (["--noise", "/none"], ["/none: no such file"])])
def test_a_wrong_word_is_told_in_a_line(recipe, words, expected):
    done = recipe.run(*words)
    assert done.returncode != 0 and "Traceback" not in done.stdout
    assert all(text in done.stdout.splitlines()[-1] for text in expected), done.stdout
