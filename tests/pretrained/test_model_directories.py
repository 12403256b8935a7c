"""Model directories: written, read back, and refused with the first thing that is wrong."""

import json

import pytest
import safetensors.torch
import torch

from m2d import load_pretrained, save_pretrained
from m2d.common.errors import UserError


def wav():
    return 0.1 * torch.randn(1, 20000, generator=torch.Generator().manual_seed(0))


def test_model_directory_round_trip(published, tmp_path):
    model = load_pretrained(published("encoder"), heads=4)
    model.set_statistics(-6.25, 3.5)
    save_pretrained(model, tmp_path / "model", {"checkpoint": "checkpoint-300.pth"})
    renamed = (tmp_path / "model").rename(tmp_path / "any-name-80x208p4x4")
    again = load_pretrained(renamed)
    assert torch.equal(again(wav()).frames, model(wav()).frames)
    assert (again.mean, again.std) == (-6.25, 3.5) and again.encoder.config == model.encoder.config
    assert sorted(path.name for path in renamed.iterdir()) == ["config.json", "model.safetensors"]
    save_pretrained(again, renamed)
    assert torch.equal(load_pretrained(renamed)(wav()).frames, model(wav()).frames)


def test_a_directory_being_written_is_no_model(published, tmp_path, monkeypatch):
    model = load_pretrained(published("encoder"), heads=4)
    save_pretrained(model, tmp_path / "model")

    def full_disk(*_):
        raise OSError("no space left")
    monkeypatch.setattr("m2d.pretrained.files.write_json", full_disk)
    with pytest.raises(OSError, match="no space"):
        save_pretrained(model, tmp_path / "model")
    with pytest.raises(UserError, match="unfinished"):
        load_pretrained(tmp_path / "model")


def edit(directory, change):
    path = directory / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))


@pytest.mark.parametrize(("change", "message"), [
    (lambda c: c.update(model_type="bert"), "model_type is 'bert'"),
    (lambda c: c["encoder"].pop("heads"), "keys of EncoderConfig missing or unknown: heads"),
    (lambda c: c["front_end"].update(fmin=1), "keys of LogMelConfig missing or unknown: fmin"),
    (lambda c: c.pop("statistics"), "statistics"),
    (lambda c: c["encoder"].update(heads=7), "multiple of the heads"),
    (lambda c: c["encoder"].update(depth=2.5), "depth is 2.5, expected a whole number"),
    (lambda c: c["encoder"].update(patch_size=[16.0, 16]), r"patch_size is \[16.0, 16\], expected two whole numbers"),
    (lambda c: c["encoder"].update(patch_size=[12, 16]), "patch_size 12 does not divide the 80"),
    (lambda c: c["encoder"].update(in_channels=True), "in_channels is True, expected a whole number"),
    (lambda c: c["front_end"].update(n_mels=64), "1 channels of 80 bins, the front end gives one of 64"),
    (lambda c: c["front_end"].update(f_min="50"), "f_min is '50', expected a finite number"),
    (lambda c: c["front_end"].update(hop_length=0), "no log-mel can be made with .*hop_length=0"),
    (lambda c: c["front_end"].update(f_max=9000), "no log-mel can be made with .*f_max=9000"),
    (lambda c: c["statistics"].update(mean=None), "mean is None, expected a finite number"),
    (lambda c: c["statistics"].update(std=0), "standard deviation 0.0: must be finite, the deviation positive"),
    (lambda c: c.update(encoder=[]), "not a model's configuration"),
    (lambda c: c["encoder"].update(heads=0), "heads 0: all must be positive"),
    (lambda c: c["encoder"].update(width=10**7), "width is larger than any model's"),
    (lambda c: c["encoder"].update(input_size=[80, 10**6], patch_size=[1, 1]), "sizes that no model has"),
    (lambda c: c["statistics"].update(mean=10**400), "mean is larger than any model's"),
    (lambda c: c.update(classes=[1, 2]), "classes must be a list of names"),
    (lambda c: c["encoder"].update(width=128, heads=2), r"is \[1, 1, 64\], expected \[1, 1, 128\]"),
])
def test_wrong_model_directories(published, tmp_path, change, message):
    save_pretrained(load_pretrained(published("encoder"), heads=4), tmp_path / "model")
    edit(tmp_path / "model", change)
    with pytest.raises(UserError, match=message) as caught:
        load_pretrained(tmp_path / "model")
    assert str(caught.value).startswith(f"{tmp_path}/model/") and "\n" not in str(caught.value)


def test_broken_weights(published, tmp_path):
    directory = tmp_path / "model"
    save_pretrained(load_pretrained(published("encoder"), heads=4), directory)
    weights = directory / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-100])
    with pytest.raises(UserError, match="cut off"):
        load_pretrained(directory)
    state = safetensors.torch.load(whole)
    with pytest.raises(UserError, match=r"damaged: its SHA-256"):
        flipped = bytearray(whole)
        flipped[-5] ^= 1
        weights.write_bytes(flipped)
        load_pretrained(directory)
    edit(directory, lambda config: config.pop("weights_sha256"))
    weights.write_bytes(safetensors.torch.save({**state, "cls_token": state["cls_token"].int()}))
    with pytest.raises(UserError, match=r"'cls_token' is torch\.int32, expected floating point"):
        load_pretrained(directory)
    weights.write_bytes(safetensors.torch.save({**state, "cls_token": state["cls_token"] / 0}))
    with pytest.raises(UserError, match=r"'cls_token' has values that are not finite"):
        load_pretrained(directory)
    state.pop("cls_token")
    weights.write_bytes(safetensors.torch.save(state))
    with pytest.raises(UserError, match="'cls_token' is missing"):
        load_pretrained(directory)
    for text in ("{", '{"model_type":' * 10**5, "[" * 10**5, '{"model_type": 1e999}', "9" * 5000, "\udcff"):
        (directory / "config.json").write_bytes(text.encode(errors="surrogateescape"))
        with pytest.raises(UserError, match=r"not a model's configuration|model_type is inf") as caught:
            load_pretrained(directory)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000


def test_the_folder_above_or_a_file_inside_is_put_right(published, tmp_path):
    save_pretrained(load_pretrained(published("encoder"), heads=4), tmp_path / "exp" / "model")
    with pytest.raises(UserError, match=f"no model directory.*; {tmp_path}/exp/model is one"):
        load_pretrained(tmp_path / "exp")
    with pytest.raises(UserError, match=f"one file of a model directory: give {tmp_path}/exp/model"):
        load_pretrained(tmp_path / "exp" / "model" / "model.safetensors")


def test_heads_do_not_apply_to_a_directory(published, tmp_path):
    save_pretrained(load_pretrained(published("encoder"), heads=4), tmp_path / "model")
    for options in ({"heads": 4}, {"sample_rate": 32000}):
        with pytest.raises(UserError, match="heads and sample_rate apply to a published checkpoint only"):
            load_pretrained(tmp_path / "model", **options)


@pytest.mark.parametrize("name", ["nobody/no-model", "not a name", "missing/dir/deep"])
def test_neither_here_nor_on_the_hub_is_one_clear_error(name, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=f"{name}: neither a model directory nor a checkpoint file") as caught:
        load_pretrained(name)
    assert "\n" not in str(caught.value)


def test_hub_names_are_fetched(published, tmp_path, monkeypatch):
    model = load_pretrained(published("encoder"), heads=4)
    save_pretrained(model, tmp_path / "cache")
    asked = []

    def fetch(name, allow_patterns):
        asked.append((name, sorted(allow_patterns)))
        return str(tmp_path / "cache")
    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    assert torch.equal(load_pretrained("owner/name")(wav()).frames, model(wav()).frames)
    assert asked == [("owner/name", ["config.json", "model.safetensors"])]
