"""Features of a data directory: files or packed store, restarted, with layers; and the commands around a model."""

import json

import numpy as np
import pytest
import soundfile
import torch

from m2d import load_pretrained, save_pretrained
from m2d.audio.logmel import LogMelConfig
from m2d.bin import export, extract_features, import_published
from m2d.common.cli import parse
from m2d.common.errors import UserError
from m2d.data import extract
from m2d.data.datadir import DataDir
from m2d.data.merge import merge_index
from m2d.data.store import PackedStore
from m2d.nn import ModelConfig, build_objective
from m2d.nn.encoder import Encoder
from m2d.nn.encoder_config import EncoderConfig
from m2d.pretrained.extraction import FeatureOptions
from m2d.pretrained.features import M2DFeatures
from m2d.pretrained.published import read_published
from m2d.training.checkpoint import CheckpointWriter


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    features = M2DFeatures(Encoder(EncoderConfig((80, 96), (80, 4), 1, 32, 2, 4)), LogMelConfig(), -7.1, 4.2).eval()
    directory = tmp_path_factory.mktemp("model")
    save_pretrained(features, directory)
    return directory


@pytest.fixture
def corpus(tmp_path):
    """Five clips of 0.3 to 1.9 s, the last at 8 kHz."""
    random = np.random.default_rng(0)
    wav = {}
    for i, seconds in enumerate((0.3, 1.9, 0.7, 1.1, 0.5)):
        rate = 8000 if i == 4 else 16000
        path = tmp_path / f"clip{i}.wav"
        soundfile.write(path, 0.1 * random.standard_normal(int(seconds * rate)), rate)
        wav[f"clip{i}"] = str(path)
    DataDir(wav).write(tmp_path / "data")
    return tmp_path / "data"


def run(corpus, model, out, *more):
    extract_features.main(parse(FeatureOptions, "", [
        f"data={corpus}", f"model={model}", f"out={out}", "workers=0", "batch_seconds=3", "device=cpu", *more]))


def expected(corpus, model, layer):
    features, data = load_pretrained(model), DataDir.read(corpus)
    answers = {}
    for utterance in data.utterances:
        samples, rate = soundfile.read(data.wav[utterance], dtype="float32")
        if rate == 16000:
            with torch.no_grad():
                answers[utterance] = features([torch.from_numpy(samples)]).layers[layer][0].numpy()
    return answers


@pytest.mark.parametrize("layer", [None, 0])
def test_single_files(corpus, model, tmp_path, layer):
    run(corpus, model, tmp_path / "out", *([] if layer is None else [f"layer={layer}"]))
    for utterance, frames in expected(corpus, model, -1 if layer is None else layer).items():
        np.testing.assert_allclose(np.load(tmp_path / "out" / f"{utterance}.npy"), frames, atol=1e-5)
    assert np.load(tmp_path / "out" / "clip4.npy").shape == (13, 32)  # 0.5 s, resampled


def test_pooled_vectors(corpus, model, tmp_path):
    run(corpus, model, tmp_path / "out", "pool=true")
    for utterance, frames in expected(corpus, model, -1).items():
        np.testing.assert_allclose(np.load(tmp_path / "out" / f"{utterance}.npy"), frames.mean(0, keepdims=True),
                                   atol=1e-5)


def test_packed_in_two_jobs(corpus, model, tmp_path):
    for job in (1, 2):
        run(corpus, model, tmp_path / "out", "packed=true", f"job={job}", "jobs=2")
    merge_index(tmp_path / "out")
    store = PackedStore(tmp_path / "out")
    assert len(store) == 5
    for utterance, frames in expected(corpus, model, -1).items():
        np.testing.assert_allclose(store.read(store.keys.find(utterance)), frames, atol=2e-3)


def test_restart_does_what_is_missing_only(corpus, model, tmp_path):
    out = tmp_path / "out"
    run(corpus, model, out)
    whole = np.load(out / "clip2.npy")
    times = {path.name: path.stat().st_mtime_ns for path in out.glob("*.npy")}
    (out / "clip2.npy").unlink()
    run(corpus, model, out)
    np.testing.assert_allclose(np.load(out / "clip2.npy"), whole, atol=1e-5)
    for path in out.glob("*.npy"):
        assert path.name == "clip2.npy" or path.stat().st_mtime_ns == times[path.name]


def test_an_interrupted_packed_job_keeps_what_is_finished(corpus, model, tmp_path, monkeypatch):
    whole, fail_from = extract._write_batch, 2

    def stop(*arguments):
        nonlocal fail_from
        fail_from -= 1
        if fail_from == 0:
            raise KeyboardInterrupt
        whole(*arguments)
    monkeypatch.setattr(extract, "_write_batch", stop)
    with pytest.raises(KeyboardInterrupt):
        run(corpus, model, tmp_path / "out", "packed=true")
    (part,) = (tmp_path / "out").glob("*.part.json")
    assert [utterance for utterance, _, _ in json.loads(part.read_text())["utterances"]] == ["clip1"]
    run(corpus, model, tmp_path / "out", "packed=true")
    merge_index(tmp_path / "out")
    assert len(PackedStore(tmp_path / "out")) == 5


def test_other_features_in_the_folder_are_not_mixed(corpus, model, tmp_path):
    run(corpus, model, tmp_path / "out")
    with pytest.raises(UserError, match=r"features\.json: features of another model or kind"):
        run(corpus, model, tmp_path / "out", "layer=0")
    run(corpus, model, tmp_path / "packed", "packed=true")
    with pytest.raises(UserError, match="was made with info"):
        run(corpus, model, tmp_path / "packed", "packed=true", "mean=-5.0")


def test_unreadable_audio_is_listed_up_to_a_share(corpus, model, tmp_path):
    (tmp_path / "clip3.wav").write_bytes(b"RIFF")
    with pytest.raises(UserError, match="lists 1 unusable utterances, more than the 0 allowed"):
        run(corpus, model, tmp_path / "strict")
    run(corpus, model, tmp_path / "out", "max_bad_share=0.3")
    assert sorted(path.stem for path in (tmp_path / "out").glob("*.npy")) == ["clip0", "clip1", "clip2", "clip4"]
    assert (tmp_path / "out" / "features.1.failed").read_text().startswith("clip3 ")


@pytest.mark.parametrize(("option", "message"), [
    ("layer=2", "layers 0 to 1"), ("precision=half", "must be one of"), ("device=cuda:99", "not available")])
def test_settings_that_do_not_fit(corpus, model, tmp_path, option, message):
    with pytest.raises(UserError, match=message):
        run(corpus, model, tmp_path / "out", option)


def test_ids_that_are_no_file_names(model, tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(8000), 16000)
    DataDir({"spk/a": str(tmp_path / "a.wav")}).write(tmp_path / "data")
    with pytest.raises(UserError, match="use packed=true"):
        run(tmp_path / "data", model, tmp_path / "out")


@pytest.fixture
def experiment(tmp_path):
    """An experiment directory with two checkpoints."""
    from dataclasses import asdict

    config = ModelConfig(input_size=[80, 96], patch_size=[80, 4], size="custom", width=64, depth=2, heads=4,
                         predictor_width=32, predictor_depth=1, predictor_heads=4)
    torch.manual_seed(0)
    objective = build_objective(config)
    writer = CheckpointWriter(tmp_path / "exp" / "checkpoints", keep_last=2, keep_steps=0)
    for step in (1, 2):
        objective.encoder.cls_token.data.fill_(step)
        writer.save({"model": objective.state_dict(), "config": {"model": asdict(config)}, "step": step,
                     "epoch": step / 10, "statistics": {"mean": -6.5, "std": 4.5}})
        writer.wait()
    return tmp_path / "exp", objective


def test_export_of_a_run_and_of_one_checkpoint(experiment, tmp_path):
    exp, objective = experiment
    export.main(parse(export.Options, "", [
        f"source={exp}", f"out={tmp_path}/model", f"published={tmp_path}/public.pth"]))
    model = load_pretrained(tmp_path / "model")
    assert (model.mean, model.std) == (-6.5, 4.5)
    for name, value in objective.encoder.state_dict().items():
        assert torch.equal(model.encoder.state_dict()[name], value), name
    origin = json.loads((tmp_path / "model" / "config.json").read_text())["origin"]
    assert origin == {"checkpoint": str(exp / "checkpoints" / "step_000000002.pt"), "step": 2, "epoch": 0.2}
    first = exp / "checkpoints" / "step_000000001.pt"
    export.main(parse(export.Options, "", [f"source={first}", f"out={tmp_path}/first"]))
    assert load_pretrained(tmp_path / "first").encoder.cls_token.unique().item() == 1

    import_published.main(parse(import_published.Options, "", [
        f"checkpoint={tmp_path}/public.pth", f"out={tmp_path}/imported"]))
    imported = load_pretrained(tmp_path / "imported")
    wav = [torch.randn(9000)]
    assert torch.equal(imported(wav).frames, model(wav).frames)
    assert not read_published(tmp_path / "public.pth").encoder_only


def test_export_in_the_folder_that_the_public_loader_reads(experiment, tmp_path):
    """A mini model's 4 attention heads, which no tensor tells, come back."""
    exp, objective = experiment
    export.main(parse(export.Options, "", [
        f"source={exp}", f"out={tmp_path}/model", f"published={tmp_path}/public", "tag=own sounds"]))
    path = tmp_path / "public" / "m2d_vit_custom-80x96p80x4-own_sounds" / "checkpoint-0.pth"
    assert sorted(file.name for file in path.parent.iterdir()) == ["checkpoint-0.pth", "checkpoint-0.pth.sha256"]
    assert load_pretrained(path.parent).encoder.config == objective.config.encoder


def test_a_training_checkpoint_is_not_a_published_one(experiment):
    exp, _ = experiment
    with pytest.raises(UserError, match=r"run m2d\.bin\.export"):
        load_pretrained(exp / "checkpoints" / "step_000000002.pt")


def test_export_without_checkpoints(tmp_path):
    with pytest.raises(UserError, match="no model directory, or an unfinished one"):
        export.main(parse(export.Options, "", [f"source={tmp_path}", f"out={tmp_path}/model"]))
