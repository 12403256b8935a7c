"""Models of images: directories, public MAE checkpoints, features; where audio is needed they are refused."""

import pytest
import timm
import torch

from m2d import ImageFeatures, load_pretrained, save_pretrained
from m2d.bin import export, export_onnx, info
from m2d.common.cli import parse
from m2d.common.errors import UserError
from m2d.nn import ModelConfig, build_objective
from m2d.nn.classifier import Classifier
from m2d.nn.encoder import Encoder
from m2d.nn.encoder_config import EncoderConfig
from m2d.pretrained.images import IMAGENET
from m2d.pretrained.layouts import to_published
from m2d.training.weights import start_from

CONFIG = EncoderConfig((16, 16), (4, 4), 3, 32, 2, 2)
OPTIONS = {"input_size": [16, 16], "patch_size": [4, 4], "in_channels": 3, "size": "custom", "width": 32, "depth": 2,
           "heads": 2, "predictor_width": 16, "predictor_depth": 1, "predictor_heads": 2, "mask_ratio": 0.75}


@pytest.fixture
def features():
    torch.manual_seed(0)
    return ImageFeatures(Encoder(CONFIG), [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]).eval()


def mae_file(path, encoder):
    """The encoder as MAE publishes it: pos_embed with the class token's row, nothing of audio."""
    state = {to_published(f"encoder.{name}"): value for name, value in encoder.state_dict().items()}
    state["pos_embed"] = torch.nn.functional.pad(encoder.positions, (0, 0, 1, 0))[None]
    torch.save({"model": state}, path)
    return path


def test_a_directory_gives_the_same_features(features, tmp_path):
    images = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    save_pretrained(features, tmp_path / "model")
    loaded = load_pretrained(tmp_path / "model")
    assert isinstance(loaded, ImageFeatures) and (loaded.mean, loaded.std) == (features.mean, features.std)
    output, expected = loaded(images), features(images.float() / 255)
    assert output.patches.shape == (2, 4, 4, 32) and output.image.shape == (2, loaded.dim)
    assert len(output.layers) == loaded.n_layers == 2
    torch.testing.assert_close(output.image, expected.image)
    torch.testing.assert_close(output.image, output.patches.flatten(1, 2).mean(1))


def test_statistics_are_of_three_channels(features):
    shifted = torch.rand(1, 3, 16, 16)
    before = features(shifted).image
    features.set_statistics([0.5, 0.4, 0.0], [0.2, 0.3, 0.4])
    assert not torch.allclose(before, features(shifted).image)
    with pytest.raises(UserError, match="must be finite, the deviation positive"):
        features.set_statistics([0.5, 0.4], [0.2, 0.3])
    with pytest.raises(ValueError, match=r"the model takes \[B, 3, 16, 16\]"):
        features(torch.rand(1, 3, 16, 20))


def by_formula(shape, number):
    """Values that depend on the parameter's number alone, none like another."""
    return 0.02 * torch.sin(number + torch.arange(torch.Size(shape).numel(), dtype=torch.float64)).float().view(shape)


def mae_vit_base():
    """The state dict of mae_pretrain_vit_base.pth: MAE's names, shapes and positions, values by formula."""
    width, side = 768, 14
    shapes = {"cls_token": (1, 1, width), "patch_embed.proj.weight": (width, 3, 16, 16),
              **dict.fromkeys(("patch_embed.proj.bias", "norm.weight", "norm.bias"), (width,))}
    for block in range(12):
        for name, rows, columns in (("attn.qkv", 3, 1), ("attn.proj", 1, 1), ("mlp.fc1", 4, 1), ("mlp.fc2", 1, 4)):
            shapes |= {f"blocks.{block}.{name}.weight": (rows * width, columns * width),
                       f"blocks.{block}.{name}.bias": (rows * width,)}
        for name in ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"):
            shapes[f"blocks.{block}.{name}"] = (width,)
    state = {name: by_formula(shape, number) + ("norm" in name and name.endswith("weight"))
             for number, (name, shape) in enumerate(shapes.items())}
    rates = 10000 ** (-torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    angles = [places.flatten()[:, None] * rates for places in (columns, rows)]  # MAE: the column comes first
    positions = torch.cat([table for angle in angles for table in (angle.sin(), angle.cos())], dim=1)
    return {**state, "pos_embed": torch.cat([torch.zeros(1, width), positions])[None].float()}


def test_public_mae_checkpoint(tmp_path, capsys):
    """Nothing need be told; the features are timm's of the same weights; `m2d info` tells what it is."""
    path, state = tmp_path / "mae_pretrain_vit_base.pth", mae_vit_base()
    torch.save({"model": state}, path)
    model = load_pretrained(path)
    assert isinstance(model, ImageFeatures) and (tuple(model.mean), tuple(model.std)) == IMAGENET
    peer = timm.create_model("vit_base_patch16_224", pretrained=False, num_classes=0).eval()
    peer.load_state_dict(state)
    images = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    output = model(images)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in IMAGENET)
    with torch.no_grad():
        expected = peer.forward_features((images - mean) / std)[:, 1:]
    assert output.patches.shape == (1, 14, 14, 768) and not output.image.requires_grad
    torch.testing.assert_close(output.patches.flatten(1, 2), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(output.image, expected.mean(1), rtol=1e-5, atol=1e-5)
    info.main(parse(info.Options, "", [f"model={path}"]))
    text = capsys.readouterr().out
    assert all(words in text for words in (
        "published encoder", "ViT-Base: 12 blocks, width 768, 12 heads", "images of 224 x 224, patches of 16",
        "mean 0.4850, 0.4560, 0.4060", "12 layers of 768 values for each of 196 patches", "m2d probe_images"))


@pytest.mark.parametrize("make", [lambda config: Classifier(config, 3), build_objective])
def test_training_starts_from_it(make, features, tmp_path):
    path = mae_file(tmp_path / "mae.pth", features.encoder)
    with pytest.raises(UserError, match="give heads=N"):
        load_pretrained(path)
    save_pretrained(load_pretrained(path, heads=2), tmp_path / "model")
    model = make(ModelConfig(**OPTIONS))
    seen = start_from(model, str(tmp_path / "model"))
    assert seen == {"mean": list(IMAGENET[0]), "std": list(IMAGENET[1])}
    for name, value in features.encoder.state_dict().items():
        assert torch.equal(model.encoder.state_dict()[name], value), name


def test_commands_of_audio_refuse_it(features, tmp_path):
    save_pretrained(features, tmp_path / "model")
    for command, words in ((export, [f"source={tmp_path}/model", f"hf={tmp_path}/hf"]),
                           (export_onnx, [f"model={tmp_path}/model", f"out={tmp_path}/a.onnx"])):
        with pytest.raises(UserError, match="a model of images, not of audio"):
            command.main(parse(command.Options, "", words))
    features.train()
    assert features(torch.rand(1, 3, 16, 16)).image.requires_grad
