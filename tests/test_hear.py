"""HEAR: its own validator on a model of ours, and what the embeddings are."""

import subprocess
import sys

import pytest
import torch

from m2d import hear, save_pretrained
from m2d.audio.logmel import LogMelConfig
from m2d.common.errors import UserError
from m2d.nn.encoder import Encoder
from m2d.nn.encoder_config import EncoderConfig
from m2d.pretrained.features import M2DFeatures

# hearvalidator imports TensorFlow for the models of that kind; of it, the check of ours needs only a class
VALIDATOR = """
import importlib.machinery, sys, types
tensorflow = types.ModuleType("tensorflow")
tensorflow.__spec__ = importlib.machinery.ModuleSpec("tensorflow", None)  # torch looks whether it is installed
tensorflow.Module = type("Module", (), {})
sys.modules["tensorflow"] = tensorflow
from hearvalidator.validate import main
sys.exit(main())
"""


@pytest.fixture(scope="module", params=[16000, 32000])
def directory(request, tmp_path_factory):
    torch.manual_seed(0)
    scale = request.param // 16000
    front_end = LogMelConfig(request.param, 400 * scale, 400 * scale, 160 * scale, f_max=8000.0 * scale)
    model = M2DFeatures(Encoder(EncoderConfig((80, 96), (40, 4), 1, 32, 2, 4)), front_end, -7.1, 4.2)
    path = tmp_path_factory.mktemp("model")
    save_pretrained(model, path)
    return path


def test_the_validator_accepts_it(directory):
    words = [sys.executable, "-c", VALIDATOR, "m2d.hear", "-m", directory]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.endswith("Looks good!\n"), done.stdout + done.stderr
    assert "Interval between timestamps is 40.0ms" in done.stdout


def test_embeddings_are_the_features(directory):
    model = hear.load_model(str(directory))
    assert model.sample_rate == {16000: 16000, 32000: 48000}[model.features.logmel.config.sample_rate]
    audio = 0.1 * torch.randn(3, int(2.2 * model.sample_rate), generator=torch.Generator().manual_seed(1))
    expected = model.features(audio, sampling_rate=model.sample_rate)
    frames, times = hear.get_timestamp_embeddings(audio, model)
    assert torch.equal(frames, expected.frames)
    assert torch.equal(hear.get_scene_embeddings(audio, model), expected.clip)
    assert times.shape == (3, 56) and times[2, :3].tolist() == [15.0, 55.0, 95.0]


def test_no_model_is_one_line():
    with pytest.raises(UserError, match="give a model, hear-validator"):
        hear.load_model()
