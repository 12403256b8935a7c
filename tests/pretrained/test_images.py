"""Models of images: directories, public MAE checkpoints, features; where audio is needed they are refused."""

import pytest
import torch

from m2d import save_pretrained
from m2d.bin import export
from m2d.common.cli import parse
from m2d.common.errors import UserError
from m2d.nn import ModelConfig, build_objective
from m2d.nn.classifier import Classifier
from m2d.nn.encoder import Encoder
from m2d.nn.encoder_config import EncoderConfig
from m2d.pretrained.files import load_model
from m2d.pretrained.images import IMAGENET, ImageFeatures
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
    loaded = load_model(tmp_path / "model")
    assert isinstance(loaded, ImageFeatures) and (loaded.mean, loaded.std) == (features.mean, features.std)
    with torch.no_grad():
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


def test_public_mae_checkpoint(tmp_path):
    """ViT-Base with a 14 x 14 grid needs nothing told; normalised as public ViTs are."""
    torch.manual_seed(0)
    encoder = Encoder(ModelConfig(input_size=[224, 224], in_channels=3).encoder).eval()
    model = load_model(mae_file(tmp_path / "mae_pretrain_vit_base.pth", encoder))
    assert model.encoder.config == encoder.config and model.encoder.config.grid == (14, 14)
    assert (tuple(model.mean), tuple(model.std)) == IMAGENET
    for name, value in encoder.state_dict().items():
        assert torch.equal(model.encoder.state_dict()[name], value), name


@pytest.mark.parametrize("make", [lambda config: Classifier(config, 3), build_objective])
def test_training_starts_from_it(make, features, tmp_path):
    path = mae_file(tmp_path / "mae.pth", features.encoder)
    with pytest.raises(UserError, match="give heads=N"):
        load_model(path)
    save_pretrained(load_model(path, heads=2), tmp_path / "model")
    model = make(ModelConfig(**OPTIONS))
    seen = start_from(model, str(tmp_path / "model"))
    assert seen == {"mean": list(IMAGENET[0]), "std": list(IMAGENET[1])}
    for name, value in features.encoder.state_dict().items():
        assert torch.equal(model.encoder.state_dict()[name], value), name


def test_no_transformers_folder(features, tmp_path):
    save_pretrained(features, tmp_path / "model")
    with pytest.raises(UserError, match="a model of images, not of audio"):
        export.main(parse(export.Options, "", [f"source={tmp_path}/model", f"hf={tmp_path}/hf"]))
