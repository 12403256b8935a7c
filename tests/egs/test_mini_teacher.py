"""local/train_mini_teacher.sh from corpus to kept model, in miniature; and the teacher that the repository keeps."""

import json
import re
from pathlib import Path

import pytest
import torch

from m2d.common.files import sha256
from m2d.teacher.speech_model import SpeechTeacher

KEPT = Path(__file__).parents[2] / "tools/mini_corpus/mini_hubert"
pytestmark = pytest.mark.timeout(1500)


def check_record(folder: Path) -> None:
    """The files, the checksum and the scores of README.md are those of the weights and tables beside it."""
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert sha256(folder / "model.safetensors") in readme
    probed = json.loads((folder / "probe.json").read_text())["accuracy"]
    assert set(probed) == {"phones", "words", "speakers"}
    rows = [line.split("|")[1:-1] for line in readme.splitlines() if re.match(r"\| \d+ \|", line)]
    assert [row[1].strip() for row in rows] == [f"{100 * score:.1f}" for score in probed["phones"]["teacher"]]
    training = json.loads((folder / "training.json").read_text())
    assert all(f"{100 * share:.1f}" in readme for share in training["masked_accuracy"])
    assert "round 2" in (folder / "train.log").read_text()
    assert (folder / "probe.png").stat().st_size > 1000


def test_trained_probed_and_kept(make_recipe, tmp_path):
    recipe = make_recipe("librispeech_m2ds", MINI_CORPUS=str(tmp_path / "corpus"))
    options = ["--scale", "0.02", "--keep", "true", "--set", "train.steps=[4,2] train.units=[8,8] train.crop_rows=30"]
    done = recipe.run(*options, script="local/train_mini_teacher.sh")
    assert done.returncode == 0, done.stdout[-3000:]
    kept = recipe.directory / "../../tools/mini_corpus/mini_hubert"
    check_record(kept)
    assert SpeechTeacher.load(str(kept), 9)([torch.randn(16000)])[0].shape == (46, 96)
    done = recipe.run(*options, script="local/train_mini_teacher.sh")
    assert done.returncode == 0 and "trained before with these settings" in done.stdout, done.stdout[-3000:]


def test_the_repository_s_teacher():
    check_record(KEPT)
    assert (KEPT / "model.safetensors").stat().st_size < 4e6
    probed = json.loads((KEPT / "probe.json").read_text())["accuracy"]
    for task in ("phones", "words"):
        assert probed[task]["teacher"][8] > max(probed[task]["logmel"], probed[task]["random"][8]) + 0.05
