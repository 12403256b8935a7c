"""Fine-tuning: schedule, clip vector, freezing, epochs that repeat themselves, resuming, the four tasks."""

import dataclasses
from threading import get_ident

import numpy as np
import pytest
import torch

from m2d import load_pretrained
from m2d.common.config import load_config
from m2d.common.errors import UserError
from m2d.evaluation import finetune as finetune_module
from m2d.evaluation.features import compute_features
from m2d.evaluation.finetune import TaskArrays, finetune
from m2d.evaluation.prepare import prepare
from m2d.evaluation.tasks import TASKS
from m2d.evaluation.tuning import Classifier, TuneOptions, build_optimizer, class_weights, epoch_order, freeze
from m2d.pretrained.models import LogMelFrames


@pytest.fixture
def encoder(model_directory):
    return load_pretrained(model_directory).encoder


@pytest.fixture(scope="module")
def arrays(miniatures, tmp_path_factory):
    """Prepared data of a task, with clips of half a second: name -> TaskArrays."""
    def make(name, seconds=0.5):
        task = dataclasses.replace(prepare(TASKS.get(name), miniatures[name]), seconds=seconds)
        folder = tmp_path_factory.mktemp(name)
        logmels = compute_features(folder, task, LogMelFrames("cpu"), 8, 0, "float16")
        return TaskArrays(task, logmels, float(np.mean(logmels)), float(np.std(logmels, dtype=np.float64)), "cpu")
    return make


def options(**changes):
    return TuneOptions(**{"lr": 1e-2, "optimizer": "adamw", "epochs": 3, "warmup_epochs": 1, "batch_size": 6} | changes)


def test_warm_up_and_cosine():
    tune = TuneOptions(lr=2.0, epochs=205, warmup_epochs=5)
    assert [round(tune.lr_at(epoch), 6) for epoch in (0, 2.5, 5, 105, 205)] == [0, 1, 2, 1, 0]


@pytest.mark.parametrize("changes, words", [
    ("optimizer=adam", "must be one of sgd, adamw"), ("patchout=1", "must lie in"), ("warmup_epochs=200", "less than"),
    ("batch_size=1", "must lie in"), ("mixup=-0.1", "must lie in"),
])
def test_settings_that_do_not_fit_say_so(changes, words):
    with pytest.raises(UserError, match=words):
        load_config(TuneOptions, None, [changes])


def test_the_head_and_the_clip_vector(encoder, model_directory):
    torch.manual_seed(0)
    model = Classifier(encoder, 400).eval()
    assert model.head.weight.shape == (400, 80) and abs(model.head.weight.std() - 0.01) < 5e-4
    assert not model.head.bias.any() and not model.norm.affine
    features = load_pretrained(model_directory)
    vectors = []
    model.norm.register_forward_pre_hook(lambda module, args: vectors.append(args[0]))
    for frames in (49, 64, 150):  # shorter than the input, as long, three chunks of which the last is part of a patch
        logmel = torch.randn(2, 80, frames)
        model(logmel[:, None])
        assert torch.allclose(vectors[-1], features.encode(list(logmel)).clip, atol=1e-5)


def test_with_patchout_the_clip_vector_is_the_mean_of_the_patches(encoder):
    model = Classifier(encoder, 3, patchout=0.5)
    assert model.head.weight.shape == (3, 16)
    x = torch.randn(4, 1, 80, 100)
    vectors, lengths = [], []
    model.norm.register_forward_pre_hook(lambda module, args: vectors.append(args[0]))
    encoder.transformer.register_forward_pre_hook(lambda module, args: lengths.append(args[0].shape[1]))
    model.eval()(x)
    chunks = x[..., :64], torch.nn.functional.pad(x[..., 64:], (0, 12))
    whole = [encoder.layers(chunk)[-1].flatten(1, 2) for chunk in chunks]
    assert torch.allclose(vectors[0], torch.cat(whole, 1).mean(1), atol=1e-5)
    lengths.clear()
    model.train()(x)
    # 5 x 4 patches: 4 rows (0.707 of 5), 2 columns (of 2.5, rounded to even); 5 x 3 patches: 4 rows, 2 columns
    assert lengths == [1 + 4 * 2, 1 + 4 * 2]


@pytest.mark.parametrize("name, fold, tune", [
    ("as20k", None, {"optimizer": "sgd", "mixup": 0.3, "rrc": True, "patchout": 0.5}),
    ("esc50", "2", {"optimizer": "sgd", "rrc": True, "patchout": 0.5, "freeze_patch_embed": True}),
    ("spcv2", None, {"optimizer": "sgd", "mixup": 0.3, "rrc": True, "patchout": 0.5, "freq_mask": 30, "time_mask": 48}),
    ("vc1", None, {}),
])
def test_each_of_the_four_tasks_runs(name, fold, tune, encoder, arrays, tmp_path):
    data = arrays(name)
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    tuned = finetune(encoder, data, fold, options(**tune), 0, tmp_path)
    _, valid, test = data.divide(fold)
    assert 0 <= tuned.score <= 100 and len(tuned.logits) == len(test)
    assert (valid is None) == (name in ("as20k", "esc50"))
    assert valid is not None or tuned.epoch == 2  # nothing is chosen by test scores
    changed = {key for key, value in encoder.state_dict().items() if not torch.equal(value, before[key])}
    frozen = {key for key in before if key.startswith("patch_embed.")}
    assert bool(frozen & changed) != bool(tune.get("freeze_patch_embed"))
    assert any("blocks.0" in key for key in changed)


def test_batches_are_read_ahead_in_their_order(arrays, monkeypatch):
    data = arrays("spcv2")
    parts = [np.array([3, 1]), np.array([0]), np.array([2, 2, 4])]
    readers = []
    monkeypatch.setattr(data, "_read", lambda rows, read=data._read: readers.append(get_ident()) or read(rows))
    for (logmel, targets), rows in zip(data.batches(parts), parts, strict=True):
        assert torch.equal(logmel, torch.from_numpy(data.logmels[rows]).float())
        assert torch.equal(targets, torch.from_numpy(data.targets[rows]))
    assert len(readers) == 3 and get_ident() not in readers


def test_it_learns(encoder, arrays, tmp_path):
    tuned = finetune(encoder, arrays("spcv2"), None, options(epochs=15, lr=3e-3), 0, tmp_path)
    assert tuned.score == 100.0


def test_an_interrupted_run_goes_on_exactly(model_directory, arrays, tmp_path, monkeypatch):
    data = arrays("spcv2")
    tune = options(mixup=0.3, rrc=True, patchout=0.5, freq_mask=10, time_mask=10)
    whole = finetune(load_pretrained(model_directory).encoder, data, None, tune, 1, tmp_path / "whole")

    class Killed(Exception):
        pass

    def stop_at_2(*args):
        if args[-1] == 2:
            raise Killed
        return train_epoch(*args)

    train_epoch = finetune_module.train_epoch
    with monkeypatch.context() as patch:
        patch.setattr(finetune_module, "train_epoch", stop_at_2)
        patch.setattr(finetune_module, "SAVE_EVERY_S", 0.0)
        with pytest.raises(Killed):
            finetune(load_pretrained(model_directory).encoder, data, None, tune, 1, tmp_path / "part")
    assert len(torch.load(tmp_path / "part/checkpoint.pt", weights_only=True)["state"]["curve"]) == 2
    torch.randn(100)  # the generator's state is no part of it
    part = finetune(load_pretrained(model_directory).encoder, data, None, tune, 1, tmp_path / "part")
    assert part.score == whole.score and part.epoch == whole.epoch
    assert np.array_equal(part.logits, whole.logits) and part.curve == whole.curve
    # finished: only read
    monkeypatch.setattr(finetune_module, "train_epoch", None)
    again = finetune(load_pretrained(model_directory).encoder, data, None, tune, 1, tmp_path / "whole")
    assert again.score == whole.score


def test_a_run_of_other_settings_or_weights_is_put_aside_and_made_anew(model_directory, arrays, tmp_path, caplog):
    data = arrays("spcv2")
    finetune(load_pretrained(model_directory).encoder, data, None, options(), 1, tmp_path)
    tuned = finetune(load_pretrained(model_directory).encoder, data, None, options(epochs=4), 1, tmp_path)
    assert len(tuned.curve) == 4 and (tmp_path / "before_checkpoint.pt").is_file()
    assert "a run of other options, now before_checkpoint.pt" in caplog.text
    other = load_pretrained(model_directory)
    other.randomise(5)
    again = finetune(other.encoder, data, None, options(epochs=4), 1, tmp_path)
    assert "a run of other weights" in caplog.text and again.curve != tuned.curve


def test_a_checkpoint_is_whole_or_absent(encoder, arrays, tmp_path, monkeypatch):
    def full_disk(state, stream):
        stream.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError):
        finetune(encoder, arrays("spcv2"), None, options(), 0, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_unreadable_clips_are_left_out(arrays):
    data = arrays("spcv2")
    logmels = np.array(data.logmels)
    logmels[data.rows["test"][0]] = np.nan
    assert len(TaskArrays(data.task, logmels, 0.0, 1.0, "cpu").rows["test"]) == 5


def test_layer_decay_and_freezing(encoder):
    model = Classifier(encoder, 3)
    groups = build_optimizer(model, options(layer_decay=0.5)).param_groups
    assert sorted({group["scale"] for group in groups}) == [0.125, 0.25, 0.5, 1.0]  # input, blocks 0 and 1, head
    scale = {parameter: group["scale"] for group in groups for parameter in group["params"]}
    assert scale[model.head.weight] == scale[encoder.transformer.norm.weight] == 1.0
    assert scale[encoder.transformer.blocks[1].norm1.weight] == 0.5 and scale[encoder.cls_token] == 0.125
    assert len(scale) == len(list(model.parameters()))
    freeze(model, options(freeze_blocks=1))
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert not any("blocks.0" in name or "patch_embed" in name or "cls_token" in name for name in trained)
    assert any("blocks.1" in name for name in trained) and "head.weight" in trained
    with pytest.raises(UserError, match="freeze_blocks=3: the encoder has 2 blocks"):
        freeze(model, options(freeze_blocks=3))


def test_rare_classes_are_drawn_or_weighed_more():
    targets = np.eye(2, dtype=np.float32)[[0] * 90 + [1] * 10]
    order = epoch_order(np.arange(100), targets, "sampling", 0, 0)
    assert len(order) == 100 and 35 < (order >= 90).sum() < 65
    assert sorted(epoch_order(np.arange(100), targets, "none", 0, 0)) == list(range(100))
    assert np.allclose(class_weights(targets), [0.2, 1.8])


def test_training_stops_early_and_the_best_weights_are_kept(model_directory, arrays, tmp_path):
    data = arrays("esc50")
    with pytest.raises(UserError, match="patience needs one, or valid_share"):
        finetune(load_pretrained(model_directory).encoder, data, "1", options(patience=2), 0, tmp_path)
    tune = options(patience=2, valid_share=0.25, epochs=30, lr=1e-6, balance="weights", layer_decay=0.75)
    tuned = finetune(load_pretrained(model_directory).encoder, data, "1", tune, 0, tmp_path, keep=True)
    assert len(tuned.curve) == tuned.epoch + 3 < 30
    train, valid, test = data.divide("1", 0.25, 0)
    assert len(valid) == 6 and not set(train) & set(valid) and not set(test) & {*train, *valid}
    network = finetune_module.best_weights(tmp_path, load_pretrained(model_directory).encoder, 3, 0.0)
    assert np.allclose(finetune_module.predict(network, data, test, tune), tuned.logits, atol=1e-5)
