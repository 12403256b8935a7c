"""Log-mels and teacher on the fly: the samples and losses of the stored way; what binds a run to its audio; errors."""

import json
import os
import shutil
import signal
import time

import numpy as np
import pytest
import soundfile
import torch

from m2d.audio.logmel import LogMelConfig
from m2d.common.config import load_config
from m2d.common.errors import UserError
from m2d.data.datadir import DataDir
from m2d.data.extract import JobOptions, extract_logmel
from m2d.data.merge import merge_index
from m2d.nn.encoder import Encoder
from m2d.nn.encoder_config import EncoderConfig
from m2d.pretrained.features import M2DFeatures
from m2d.pretrained.files import save_pretrained
from m2d.teacher import load_teacher
from m2d.teacher.extract import TeacherOptions, extract_teacher
from m2d.training.config import PretrainConfig
from m2d.training.data_modules import open_data
from m2d.training.distributed import open_ranks
from m2d.training.monitor import read_metrics
from m2d.training.trainer import Trainer

STEPS = 6
SETS = {"speech": [3200 + 1117 * i for i in range(12)], "noise": [2400, 9000, 20000], "valid": [9600] * 4}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Data directories, an M2D teacher, and the stores of both; some clips are shorter than the crop of 48 frames."""
    top = tmp_path_factory.mktemp("waves")
    torch.manual_seed(3)
    encoder = Encoder(EncoderConfig((80, 48), (80, 2), 1, 16, 2, 2))
    save_pretrained(M2DFeatures(encoder, LogMelConfig(), -6.0, 3.0), top / "teacher")
    draw = np.random.default_rng(0)
    for name, lengths in SETS.items():
        (top / f"{name}_audio").mkdir()
        paths = {f"{name}{i:02d}": top / f"{name}_audio/{i}.wav" for i in range(len(lengths))}
        for path, length in zip(paths.values(), lengths, strict=True):
            slow = np.repeat(draw.uniform(0.01, 0.3, length // 800 + 1), 800)[:length]
            soundfile.write(path, draw.standard_normal(length) * slow, 16000)
        DataDir(wav={key: str(path) for key, path in paths.items()}).write(top / name)
        extract_logmel(DataDir.read(top / name), JobOptions(data=str(top / name), out=str(top / f"{name}.logmel")))
        merge_index(top / f"{name}.logmel")
        if name != "noise":
            extract_teacher(DataDir.read(top / name), load_teacher(str(top / "teacher"), 1), TeacherOptions(
                data=str(top / name), out=str(top / f"{name}.teacher"), model="teacher", layer=1, device="cpu"))
            merge_index(top / f"{name}.teacher")
    return top


@pytest.fixture
def stored(world, options):
    """Options of a run from stores."""
    own = [word for word in options if not word.startswith("data.")]
    return [*own, "data.noise_ratio=0.2", "data.workers=0", f"data.speech={world}/speech.logmel",
            f"data.teacher={world}/speech.teacher", f"data.valid={world}/valid.logmel",
            f"data.valid_teacher={world}/valid.teacher", f"data.noise={world}/noise.logmel"]


@pytest.fixture
def flying(world, stored):
    """Options of the same run without stores."""
    stats = {name: json.loads((world / f"{name}.logmel/stats.json").read_text()) for name in ("speech", "noise")}
    own = [word.replace(".logmel", "") for word in stored if "teacher=" not in word]
    return [*own, "data.kind=waves", f"data.teacher={world}/teacher", "data.teacher_layer=1",
            f"data.mean={stats['speech']['mean']}", f"data.std={stats['speech']['std']}",
            f"data.noise_mean={stats['noise']['mean']}"]


def module(words):
    return open_data(load_config(PretrainConfig, None, words), torch.device("cpu"))


def losses(words):
    """Loss and gradient norm of each of the first steps, and the validation losses, through the trainer."""
    with open_ranks("cpu") as ranks:
        config = load_config(PretrainConfig, None, words)
        trainer = Trainer(config, ranks, open_data(config, ranks.device))
    batches = trainer.data.training_batches(trainer.sampler)
    steps = [trainer.train_step(step, batches) for step in range(STEPS)]
    values = [float(step.values[name]) for step in steps for name in ("loss", "off", "m2d", "grad_norm")]
    return [name for step in steps for name in step.ids], torch.tensor([*values, *trainer.validate().values()])


@pytest.mark.parametrize("changes", [[], ["data.workers=2"], ["optim.micro_batch=2"], ["data.noise_ratio=0.0"]],
                         ids=lambda changes: " ".join(changes))
def test_the_losses_are_those_of_the_stored_way(stored, flying, changes):
    noise = [] if "data.noise_ratio=0.0" not in changes else ["data.noise=null", "data.noise_mean=null"]
    (ids, expected), (flying_ids, found) = losses([*stored, *changes, *noise]), losses([*flying, *changes, *noise])
    assert flying_ids == ids
    torch.testing.assert_close(found, expected, rtol=2e-4, atol=0)  # stores round the teacher's frames to float16


def test_crops_noise_and_masks_are_those_of_the_stores(stored, flying):
    """In float16 to the last place: all lengths of clips, at both edges."""
    one, other = module(stored), module(flying)
    for epoch in range(3):
        batch, made = one.train[epoch, np.arange(12)], other.train[epoch, np.arange(12)]
        assert batch["ids"] == made["ids"] and torch.equal(batch["mask_noise"], made["mask_noise"])
        crops = other._crops(made)
        assert crops["starts"].tolist() == batch["start"].tolist()
        for name in ("logmel", "noise"):
            torch.testing.assert_close(crops[name], batch[name], rtol=1e-3, atol=1e-3)
        inputs, expected = other.inputs(made), one.inputs(batch)
        assert torch.equal(inputs["teacher_frames"], expected["teacher_frames"])
        torch.testing.assert_close(inputs["teacher"], expected["teacher"], rtol=1e-3, atol=1e-3)


def test_noise_may_be_a_store(flying, world):
    whole = module(flying)
    part = module([*flying, f"data.noise={world}/noise.logmel"])
    batches = whole.train[0, np.arange(4)], part.train[0, np.arange(4)]
    assert "noise_wave" not in batches[1]
    torch.testing.assert_close(*(data.inputs(batch)["x"] for data, batch in zip((whole, part), batches, strict=True)),
                               rtol=1e-3, atol=1e-3)


def test_several_corpora(flying, stored, world):
    more = [f"data.more=[{world}/valid]", "data.weights=[1,1]"]
    stores = [f"data.more=[{world}/valid.logmel]", f"data.more_teachers=[{world}/valid.teacher]", "data.weights=[1,1]"]
    given = [word for word in flying if word.startswith(("data.mean", "data.std"))]
    (ids, expected), (flying_ids, found) = losses([*stored, *stores, *given]), losses([*flying, *more])
    assert flying_ids == ids and any(name.startswith("valid") for name in ids)
    torch.testing.assert_close(found, expected, rtol=2e-4, atol=0)


def test_m2d_alone_needs_no_teacher(flying):
    alone = [word for word in flying if "teacher" not in word]
    data = module([*alone, "model.lambda_off=0"])
    assert data.inputs(data.load_valid(np.arange(2))).keys() == {"x", "mask_noise"}
    assert "teacher" not in data.identity()


def test_a_killed_run_goes_on_to_the_same_end(flying, start, finish, tmp_path):
    words = [*(word for word in flying if "teacher" not in word), "data.teacher=logmel", "run.checkpoint_minutes=0",
             "data.workers=1"]
    expected = finish([*words, f"run.exp={tmp_path}/whole"])
    run = start([*words, f"run.exp={tmp_path}/killed"])
    while not list(tmp_path.glob("killed/checkpoints/*.pt.sha256")):
        time.sleep(0.05)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    state = finish([*words, f"run.exp={tmp_path}/killed"])
    for name, value in expected["model"].items():
        assert torch.equal(value, state["model"][name]), name
    names = ("step", "loss", "off", "grad_norm", "valid_loss")
    one, other = ([[line.get(name) for name in names] for line in read_metrics(tmp_path / exp / "metrics.jsonl")]
                  for exp in ("whole", "killed"))
    assert one == other


def test_the_run_is_bound_to_its_audio_and_teacher(flying, world, tmp_path):
    before = module(flying).identity()
    assert before.keys() == {"speech", "noise", "valid", "teacher"}
    shutil.copytree(world, tmp_path / "moved")
    moved = [word.replace(str(world), str(tmp_path / "moved")) for word in flying]
    for table in tmp_path.glob("moved/*/wav.scp"):
        table.write_text(table.read_text().replace(str(world), str(tmp_path / "moved")))
    assert module(moved).identity() == before
    wav, rate = soundfile.read(tmp_path / "moved/speech_audio/3.wav")
    soundfile.write(tmp_path / "moved/speech_audio/3.wav", wav[:-100], rate)
    now = module([*moved, "data.teacher_layer=2"]).identity()
    assert {name for name in before if now[name] != before[name]} == {"speech", "teacher"}


@pytest.mark.parametrize(("changes", "message"), [
    (["data.mean=null"], "speech: a data directory has no statistics: give data.mean"),
    (["data.teacher=null"], "needs data.teacher, a model"),
    (["model.lambda_off=0"], "data.teacher does not apply: model.lambda_off is 0"),
    (["data.valid_teacher=x"], "data.valid_teacher does not apply: its teacher is a model"),
    (["data.teacher_layer=3"], "the teacher has layers 1 to 2"),
    (["data.by_hours=true"], "utt2dur: does not have all utterances"),
    (["data.kind=audio", "data.valid_teacher=x"], "data.teacher_layer does not apply: its teacher is a store")])
def test_options_that_do_not_fit(flying, changes, message):
    with pytest.raises(UserError, match=message):
        module([*flying, *changes])


def test_audio_that_is_missing_broken_or_too_short_is_named(flying, world, tmp_path):
    shutil.copytree(world / "speech", tmp_path / "speech")
    table, words = tmp_path / "speech/wav.scp", [*flying, f"data.speech={tmp_path}/speech"]
    lines = table.read_text().splitlines()
    for wav, message in ((None, "odd.wav: no such audio file"), (b"RIFF", "odd.wav: not readable as audio"),
                         (np.zeros(0), "odd.wav: no samples in it")):
        (tmp_path / "odd.wav").unlink(missing_ok=True)
        if isinstance(wav, bytes):
            (tmp_path / "odd.wav").write_bytes(wav)
        elif wav is not None:
            soundfile.write(tmp_path / "odd.wav", wav, 16000)
        table.write_text("\n".join([f"speech00 {tmp_path}/odd.wav", *lines[1:]]) + "\n")
        with pytest.raises(UserError, match=message):
            module(words).train[0, np.arange(1)]
