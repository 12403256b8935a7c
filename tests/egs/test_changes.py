"""What is changed between two calls of run.sh: what depends on it is done anew, and nothing else is."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import soundfile

TINY = ("model.width=16 model.depth=2 model.heads=2 model.predictor_width=16 model.predictor_depth=1 "
        "model.predictor_heads=2 model.teacher_width=16 optim.batch_size=8 optim.epochs=1 optim.warmup_epochs=0")
STAGES = {  # name here: part of its log line
    "data": "stage 0", "logmel train": "of data/librispeech/train", "logmel valid": "of data/librispeech/valid",
    "logmel noise": "of data/librispeech/noise", "teacher train": "features of train by",
    "teacher valid": "features of valid by", "pretrain": "stage 3", "export": "stage 4"}
pytestmark = pytest.mark.timeout(1500)


class World:
    """The recipe with a small LibriSpeech, noise, a teacher and settings of its own, all there to be changed."""

    def __init__(self, recipe, folder: Path, corpus: Path, teacher: Path):
        self.recipe, self.folder = recipe, folder
        shutil.copytree(corpus / "LibriSpeech", folder / "LibriSpeech")
        shutil.copytree(corpus / "AudioSet", folder / "noise")
        shutil.copytree(teacher, folder / "teacher")
        recipe.environment.update(LIBRISPEECH=str(folder / "LibriSpeech"), NOISE=str(folder / "noise"))
        self.config = recipe.directory / "conf/pretrain_mini_m2ds.yaml"
        self.speech = sorted((folder / "LibriSpeech/train-clean-100").rglob("*.flac"))
        self.noise = sorted(path for path in (folder / "noise").rglob("*") if path.suffix in (".flac", ".wav", ".ogg"))

    def run(self, *options: str) -> set[str]:
        """The stages that a call of run.sh did, of those in STAGES."""
        output = self.recipe.run_well(
            "--stop_stage", "4", "--parts", "train-clean-100", "--teacher", str(self.folder / "teacher"),
            "--config", "conf/pretrain_mini_m2ds.yaml", "--set", TINY, "--tag", "tiny", *options)
        done = [line for line in output.splitlines() if re.search(r": done in \d+ s\b", line)]
        return {name for name, text in STAGES.items() if any(text in line for line in done)}

    def moved_aside(self) -> int:
        """How many experiments were moved aside so far."""
        return len(list(self.recipe.directory.glob("exp/old/*/tiny/model")))


@pytest.fixture(scope="module")
def world(make_recipe, tiny_corpus, tiny_teacher, tmp_path_factory):
    maker = make_recipe("librispeech_m2ds", MINI_CORPUS=str(tiny_corpus))
    maker.run_well("--stop_stage", "0", "--scale", "0.1")
    recipe = make_recipe("librispeech_m2ds", MINI_CORPUS="/nowhere")
    return World(recipe, tmp_path_factory.mktemp("an 'odd', [place] ünï"), tiny_corpus, tiny_teacher)


@pytest.fixture(scope="module")
def finished(world):
    assert world.run() == set(STAGES)


def other_sound(path):
    """Another recording of the same length."""
    wav, rate = soundfile.read(path)
    soundfile.write(path, wav[::-1], rate)


def other_teacher(world):
    path = world.folder / "teacher/model.safetensors"
    weights = {name: np.asarray(value) * 1.5 for name, value in safetensors.numpy.load_file(path).items()}
    safetensors.numpy.save_file(weights, path, {"format": "pt"})


def store_of(world, name):
    return world.recipe.directory / "dump/librispeech" / name / "logmel"


def edit_shard(world):
    """One bit of one frame, in place."""
    path = store_of(world, "train") / "logmel.1-0.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def replace_store(world):
    """Features of another set in the place of the training set's."""
    shutil.rmtree(store_of(world, "train"))
    shutil.copytree(store_of(world, "valid"), store_of(world, "train"))


def forget_marks(world):
    """The run is there and its stage is not done, as after an interruption; its data were other ones."""
    experiment = world.recipe.directory / "exp/tiny"
    mark = experiment / ".pretrain.done"
    mark.rename(experiment / ".pretrain.done.begun")
    begun = json.loads((experiment / ".pretrain.done.begun").read_text())
    (experiment / ".pretrain.done.begun").write_text(json.dumps({**begun, "interim": {}}))
    data = json.loads((experiment / "data.json").read_text())
    (experiment / "data.json").write_text(json.dumps({**data, "mean": "8"}))


def edit(path, before, after):
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


TRAIN = {"logmel train", "teacher train"}
MODEL = {"pretrain", "export"}


@pytest.mark.parametrize("name, change, options, redone", [
    ("nothing", lambda world: None, [], set()),
    ("--nj", lambda world: None, ["--nj", "3"], set()),
    ("a comment in the YAML", lambda world: edit(world.config, "data:", "# a comment\ndata:"), [], set()),
    ("speed alone", lambda world: edit(world.config, "workers: 0", "workers: 1"), [], set()),
    ("a value in the YAML", lambda world: edit(world.config, "base_lr: 1.2e-2", "base_lr: 1.3e-2"), [], MODEL),
    ("one audio file, its time alone", lambda world: world.speech[3].touch(), [], {"data", *TRAIN}),
    ("one audio file", lambda world: other_sound(world.speech[3]), [], {"data", *TRAIN, *MODEL}),
    ("one noise file", lambda world: other_sound(world.noise[0]), [], {"data", "logmel noise", *MODEL}),
    ("the teacher's weights", other_teacher, [], {"teacher train", "teacher valid", *MODEL}),
    ("a bit of a shard", edit_shard, [], {"logmel train"}),
    ("a whole store", replace_store, [], {"logmel train"}),
    ("the data of a run that pre-training alone can tell", forget_marks, [], MODEL),
    ("--parts", lambda world: None, ["--parts", "train-clean-100 dev-clean"], {"data", *TRAIN, *MODEL}),
])
def test_what_depends_on_it_is_done_anew(world, finished, name, change, options, redone):
    aside = world.moved_aside()
    change(world)
    assert world.run(*options) == redone, name
    assert world.moved_aside() - aside == ("pretrain" in redone)
