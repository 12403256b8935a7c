"""Features against the published runtime (golden vector g), and what a batch, a rate or a length may not change."""

import numpy as np
import pytest
import torch
import torchaudio

from m2d.audio.logmel import LogMelConfig
from m2d.common.errors import UserError
from m2d.nn.encoder import Encoder
from m2d.nn.encoder_config import EncoderConfig
from m2d.pretrained.features import M2DFeatures
from m2d.pretrained.layouts import from_published


def tiny(input_size=(80, 208), patch_size=(80, 4), width=32, heads=4):
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig(input_size, patch_size, 1, width, 2, heads))
    return M2DFeatures(encoder, LogMelConfig(), -7.1, 4.2).eval()


@pytest.fixture(scope="module")
def model():
    return tiny(input_size=(80, 96), patch_size=(40, 4))


def clips(*seconds, rate=16000):
    generator = torch.Generator().manual_seed(3)
    return [0.1 * torch.randn(int(s * rate), generator=generator) for s in seconds]


@pytest.fixture(scope="module")
def published(golden):
    arrays, meta = golden("g_encode_tiny_80x608_p16x16")
    features = tiny(tuple(meta["img"]), tuple(meta["patch"]), meta["embed"], meta["heads"])
    features.encoder.load_state_dict({
        from_published(name[3:]).removeprefix("encoder."): value for name, value in arrays.items()
        if name.startswith("sd.") and name not in ("sd.pos_embed", "sd.norm_stats")})
    features.set_statistics(*arrays["sd.norm_stats"].tolist())
    return features, arrays


def test_golden_chunks_and_layers(published):
    """7.3 s through a 6.08 s model: two chunks, the second filled to a whole patch; from the golden log-mel."""
    features, arrays = published
    output = features.encode([arrays["lms_norm"][0, 0]])
    assert output.lengths.tolist() == [46]
    for ours, theirs in ((output.frames, "encode"), (output.layers[0], "layer0"), (output.layers[1], "layer1"),
                         (output.clip, "scene")):
        torch.testing.assert_close(ours, arrays[theirs], rtol=0, atol=1e-5)
    short = features.encode([arrays["lms_norm"][0, 0, :, :100]])
    torch.testing.assert_close(short.frames, arrays["short100"], rtol=0, atol=1e-5)
    longer = features.encode([arrays["lms_norm"][0, 0, :, :609]])
    torch.testing.assert_close(longer.frames[:, -1], arrays["unit_plus_1_frame_last"], rtol=0, atol=1e-5)


def test_golden_from_the_waveform(published):
    """The whole way; its front end agrees with the published one to 4e-4."""
    features, arrays = published
    output = features(arrays["wav"])
    torch.testing.assert_close(output.frames, arrays["encode"], rtol=0, atol=2e-4)
    milliseconds = torch.arange(46) * features.samples_per_frame / 16
    # the published time stamps stretch the clip over its frames: they lag by less than one frame
    assert (milliseconds - arrays["timestamps_ms"][:46]).abs().max() < features.samples_per_frame / 16


@pytest.mark.parametrize(("size", "patch", "seconds", "frames"), [
    ((80, 608), (16, 16), 10.0, 63), ((80, 208), (80, 4), 10.0, 251), ((80, 400), (80, 2), 1.0, 51),
    ((80, 208), (40, 4), 0.02, 1)])
def test_frame_counts(size, patch, seconds, frames):
    features = tiny(size, patch)
    output = features(clips(seconds))
    assert output.frames.shape == (1, frames, 80 // patch[0] * 32)
    assert output.lengths.tolist() == [frames]
    assert features.dim == 80 // patch[0] * 32 and features.samples_per_frame == 160 * patch[1]
    assert len(output.layers) == features.n_layers == 2


def test_a_clip_alone_and_in_a_batch(model):
    """Shorter, equal, slightly longer and much longer than the model's 0.96 s, in one batch and each alone."""
    wavs = clips(0.3, 0.96, 1.0, 5.0, 0.004, 0.3)
    together = model(wavs)
    assert together.lengths.tolist() == [-(-(1 + len(wav) // 160) // 4) for wav in wavs]
    for i, wav in enumerate(wavs):
        alone = model([wav])
        n = int(together.lengths[i])
        torch.testing.assert_close(together.frames[i, :n], alone.frames[0], rtol=0, atol=2e-6)
        torch.testing.assert_close(together.clip[i], alone.clip[0], rtol=0, atol=2e-6)
        torch.testing.assert_close(together.clip[i], alone.frames[0].mean(0), rtol=0, atol=2e-6)
        for ours, theirs in zip(together.layers, alone.layers, strict=True):
            torch.testing.assert_close(ours[i, :n], theirs[0], rtol=0, atol=2e-6)
            assert not ours[i, n:].any()


def test_padded_batch_with_lengths(model):
    wavs = clips(0.5, 1.5)
    padded = torch.nn.utils.rnn.pad_sequence(wavs, batch_first=True, padding_value=7.0)
    expected = model(wavs)
    for lengths in ([8000, 24000], torch.tensor([8000, 24000]), np.array([8000, 24000])):
        output = model(padded, lengths)
        assert torch.equal(output.frames, expected.frames) and torch.equal(output.lengths, expected.lengths)
    assert torch.equal(output.mask.sum(dim=1), output.lengths) and output.mask[0, :output.lengths[0]].all()
    assert not output.frames[~output.mask].any()


def test_arrays_as_soundfile_reads_them(model):
    wavs = clips(0.5, 1.5)
    output = model([wav.numpy().astype(np.float64) for wav in wavs])
    torch.testing.assert_close(output.frames, model(wavs).frames)


def test_more_chunks_than_are_encoded_at_once(model, monkeypatch):
    wavs = clips(3.0, 2.0, 0.5)
    expected = model(wavs)
    monkeypatch.setattr("m2d.pretrained.features.MAX_CHUNKS", 2)
    torch.testing.assert_close(model(wavs).frames, expected.frames, rtol=0, atol=2e-6)


@pytest.mark.parametrize(("padding", "calls"), [(24, [(1, 28), (2, 96)]), (float("inf"), [(3, 96)])])
def test_padding_where_it_is_cheaper_than_a_call_of_its_own(model, monkeypatch, padding, calls):
    """Always on a GPU; on a CPU the rest of a long clip is encoded alone, as the padding would cost more."""
    wavs, seen, layers = clips(1.2, 0.9), [], model.encoder.layers
    expected = [model([wav]).frames[0] for wav in wavs]
    monkeypatch.setattr("m2d.pretrained.features.CPU_PADDING", padding)
    monkeypatch.setattr(model.encoder, "layers", lambda x, valid: seen.append((len(x), x.shape[3])) or layers(x, valid))
    output = model(wavs)
    assert seen == calls
    for frames, length, alone in zip(output.frames, output.lengths, expected, strict=True):
        torch.testing.assert_close(frames[:length], alone, rtol=0, atol=1e-5)


def test_chunks_start_from_position_zero(model):
    wav = clips(2.0)[0]
    logmel = (model.logmel(wav) - model.mean) / model.std
    whole = model.encode([logmel])
    second = model.encode([logmel[:, 96:192]])
    torch.testing.assert_close(whole.frames[0, 24:48], second.frames[0], rtol=0, atol=2e-6)


def test_the_last_layer_alone(model):
    wavs = clips(1.3, 0.4)
    everything, last = model(wavs), model(wavs, all_layers=False)
    assert torch.equal(last.frames, everything.frames) and len(last.layers) == 1


@pytest.mark.parametrize("rate", [8000, 22050, 44100])
def test_other_sampling_rates(model, rate):
    time = torch.arange(rate) / rate
    tone = 0.3 * torch.sin(2 * torch.pi * 440 * time) + 0.2 * torch.sin(2 * torch.pi * 1000 * time)
    reference = torchaudio.functional.resample(tone, rate, 16000)
    output, expected = model([tone], sampling_rate=rate), model([reference])
    assert torch.equal(output.frames, expected.frames)
    assert output.lengths.tolist() == [26]


def test_statistics_change_features(model):
    wav = clips(0.5)
    before = model(wav).frames
    model.set_statistics(-6.0, 3.0)
    assert not torch.allclose(model(wav).frames, before)
    model.set_statistics(-7.1, 4.2)
    assert torch.equal(model(wav).frames, before)
    with pytest.raises(UserError, match="must be finite, the deviation positive"):
        model.set_statistics(0.0, 0.0)


def test_random_weights_are_a_function_of_the_seed():
    features, wav = tiny(), clips(0.5)
    trained = features(wav).clip
    features.randomise(1)
    first = features(wav).clip
    features.randomise(2)
    assert not torch.allclose(features(wav).clip, first)
    features.randomise(1)
    assert torch.equal(features(wav).clip, first) and not torch.allclose(first, trained)


@pytest.mark.parametrize("way", ["autocast", "converted"])
def test_bfloat16_stays_near(way):
    features, wavs = tiny(), clips(1.0, 3.0)
    expected = features(wavs)
    if way == "converted":
        features.encoder.bfloat16()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=way == "autocast"):
        output = features(wavs)
    assert output.frames.dtype == torch.float32
    assert (output.frames - expected.frames).abs().mean() < 0.02 * expected.frames.abs().mean()


def test_compiled_blocks_give_the_same(model):
    compiled = tiny(input_size=(80, 96), patch_size=(40, 4))
    compiled.compile(backend="eager", dynamic=True)
    wavs = clips(0.3, 1.4)
    with torch.no_grad():
        torch.testing.assert_close(compiled(wavs).frames, model(wavs).frames, rtol=0, atol=1e-6)


def test_gradients_are_kept_in_training_mode_alone():
    """Inference needs no `no_grad` of the user; fine-tuning goes through `train()` or `encode`."""
    model, wavs = tiny(), clips(0.3, 1.5)
    assert not model(wavs).frames.requires_grad
    for output in (model.train()(wavs), model.eval().encode(model.log_mels(wavs))):
        output.clip.sum().backward()
        assert model.encoder.patch_embed.proj.weight.grad.abs().max() > 0
        model.zero_grad()
    with torch.no_grad():
        assert not model.train()(wavs).frames.requires_grad


@pytest.mark.parametrize("convert", [torch.nn.Module.half, torch.nn.Module.bfloat16])
def test_a_converted_model_keeps_its_front_end(convert):
    model, wavs = tiny(), clips(1.0)
    expected, exact = model(wavs).frames, model.logmel(wavs[0])
    convert(model)
    assert torch.equal(model.logmel(wavs[0]), exact)
    output = model(wavs).frames
    assert output.dtype == torch.float32
    assert (output - expected).abs().mean() < 0.02 * expected.abs().mean()


@pytest.mark.parametrize(("wavs", "lengths", "message"), [
    ([], None, "no clips"),
    (torch.zeros(16000), None, r"\[16000\]: expected \[B, N\]; one clip \[N\] goes in a list"),
    (np.zeros((16000, 2)), None, r"looks like one clip with channels.*as soundfile reads it.*mean\(axis=1\)"),
    ([np.zeros((16000, 2))], None, r"a clip is \[16000, 2\].*mean over channels"),
    ([torch.full((100,), 20000.0)], None, "samples of 20000: expected finite numbers in -1..1"),
    ([torch.zeros(100), torch.full((100,), torch.nan)], None, "samples of nan"),
    ([torch.full((100,), torch.inf)], None, "samples of inf"),
    (torch.zeros(1, 16000, dtype=torch.int16), None, "floating point"),
    (torch.zeros(2, 16000), [16000], "a number of samples for each of 2 clips"),
    (torch.zeros(2, 16000), [1.0, 0.5], "lengths are .* torch.float32"),
    (torch.zeros(1, 16000), [16001], "length 16001"),
    (torch.zeros(1, 16000), [0], "length 0"),
    ([torch.zeros(0)], None, "without samples"),
])
def test_bad_batches_are_refused(model, wavs, lengths, message):
    with pytest.raises(ValueError, match=message):
        model(wavs, lengths)


def test_encoder_of_images_is_refused():
    with pytest.raises(UserError, match="3 channels"):
        M2DFeatures(Encoder(EncoderConfig((80, 96), (16, 16), 3, 32, 1, 4)), LogMelConfig(), 0.0, 1.0)
