"""Features of a stream are those of the whole recording, however it is cut."""

import pytest
import torch

from m2d.audio.logmel import LogMelConfig
from m2d.nn.encoder import Encoder
from m2d.nn.encoder_config import EncoderConfig
from m2d.pretrained.features import M2DFeatures
from m2d.pretrained.streaming import FeatureStream


@pytest.fixture(scope="module", params=[16000, 32000])
def model(request):
    """98 frames of input, of which 96 make whole patches."""
    torch.manual_seed(0)
    scale = request.param // 16000
    front_end = LogMelConfig(request.param, 400 * scale, 400 * scale, 160 * scale, f_max=8000.0 * scale)
    return M2DFeatures(Encoder(EncoderConfig((80, 98), (40, 4), 1, 32, 2, 4)), front_end, -7.1, 4.2).eval()


@pytest.mark.parametrize("samples", [1, 150, 200, 201, 15359, 15360, 15400, 15559, 15560, 15561, 100000])
def test_random_pieces(model, samples):
    generator = torch.Generator().manual_seed(samples)
    wav = 0.1 * torch.randn(samples, generator=generator)
    expected = torch.cat(model([wav]).layers)
    for largest in (300, 20000, 200000):
        stream, parts, start = FeatureStream(model, all_layers=True), [], 0
        while start < samples:
            end = start + int(torch.randint(1, largest, (), generator=generator))
            parts.append(stream.push(wav[start:end]))
            start = end
        parts.append(stream.finish())
        torch.testing.assert_close(torch.cat(parts, dim=1), expected, rtol=0, atol=3e-6)


def test_memory_is_of_one_chunk(model):
    """What is kept after any piece is less than a chunk and two windows, and not a view of more."""
    stream = FeatureStream(model)
    for _ in range(40):
        frames = stream.push(torch.zeros(9000))
        assert frames.shape[0] == 1 and not frames.requires_grad
        assert stream._samples.untyped_storage().nbytes() <= 4 * (96 * model.logmel.config.hop_length + 9000 + 1200)


def test_wrong_use_is_named(model):
    stream = FeatureStream(model)
    with pytest.raises(ValueError, match="without samples"):
        stream.finish()
    with pytest.raises(ValueError, match="expected \\[n\\]"):
        stream.push(torch.zeros(2, 400))
    stream.push(torch.zeros(400))
    stream.finish()
    with pytest.raises(ValueError, match="finished"):
        stream.push(torch.zeros(400))
