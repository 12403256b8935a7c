import dataclasses

import pytest
import torch
import transformers

from m2d.common.errors import UserError
from m2d.superb import cache
from m2d.superb.upstream import HubertUpstream, LogMelUpstream, M2DUpstream, RandomUpstream, Settings


def clips(*samples: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [0.1 * torch.randn(n, generator=generator) for n in samples]


@pytest.fixture(scope="module")
def hubert(tmp_path_factory) -> str:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("hubert")
    config = transformers.HubertConfig(
        hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32, conv_dim=(8,) * 7,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2)
    transformers.HubertModel(config).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return str(folder)


@pytest.fixture(params=["m2d", "random", "logmel", "hubert"])
def any_upstream(request, model, hubert):
    settings = Settings(mean=-8.0, std=4.0)
    made = {"m2d": lambda: M2DUpstream(model, settings), "random": lambda: RandomUpstream(model, settings),
            "logmel": lambda: LogMelUpstream(2, settings), "hubert": lambda: HubertUpstream(hubert, settings)}
    return made[request.param]().eval()


@torch.no_grad()
def test_keeps_the_contract_of_s3prl(any_upstream):
    wavs = clips(16000, 9000, 30001)
    output = any_upstream(wavs)
    layers, rate = output["hidden_states"], any_upstream.get_downsample_rates("hidden_states")
    assert isinstance(layers, list) and isinstance(rate, int)
    assert len({layer.shape for layer in layers}) == 1 and layers[0].shape[0] == 3
    assert 0 <= layers[0].shape[1] - round(30001 / rate) <= 4
    assert torch.equal(output["last_hidden_state"], layers[-1])


@torch.no_grad()
def test_a_clip_in_a_batch_is_the_clip_alone(any_upstream):
    """Both through the whole interface and in the one call that a GPU makes for the batch."""
    wavs = clips(16000, 9000, 30001)
    together = torch.stack(any_upstream(wavs)["hidden_states"])
    for index, (wav, encoded) in enumerate(zip(wavs, any_upstream.encode(wavs), strict=True)):
        frames = round(len(wav) / any_upstream.samples_per_frame)
        alone = torch.stack(any_upstream([wav])["hidden_states"])[:, 0]
        assert torch.equal(together[:, index, :frames], alone[:, :frames])
        assert torch.allclose(encoded, any_upstream.encode([wav])[0], atol=1e-5)


@torch.no_grad()
def test_kept_features_are_the_computed_ones(any_upstream, monkeypatch):
    monkeypatch.setattr(cache, "_CACHES", {})
    wavs = clips(16000, 9000)
    computed = any_upstream(wavs)["hidden_states"]
    any_upstream.settings = dataclasses.replace(any_upstream.settings, cache_gib=0.01)
    for _ in range(2):
        assert all(map(torch.equal, any_upstream(wavs)["hidden_states"], computed))


def test_every_layer_of_hubert_is_given(hubert):
    wav = clips(16000)[0]
    extractor = transformers.Wav2Vec2FeatureExtractor.from_pretrained(hubert)
    inputs = extractor(wav.numpy(), sampling_rate=16000, return_tensors="pt")
    with torch.no_grad():
        expected = transformers.HubertModel.from_pretrained(hubert).eval()(**inputs, output_hidden_states=True)
        layers = HubertUpstream(hubert, Settings()).eval()([wav])["hidden_states"]
    frames = expected.last_hidden_state.shape[1]
    assert len(layers) == len(expected.hidden_states) == 4
    for ours, theirs in zip(layers, expected.hidden_states, strict=True):
        assert torch.allclose(ours[:, :frames], theirs, atol=1e-5)


def test_layer_weights_can_learn(any_upstream):
    """s3prl multiplies the features with weights it trains: they must not be inference tensors."""
    with torch.no_grad():
        layers = torch.stack(any_upstream(clips(16000))["hidden_states"])
    weights = torch.zeros(len(layers), requires_grad=True)
    (weights.softmax(0).view(-1, 1, 1, 1) * layers).square().mean().backward()
    assert weights.grad is not None and weights.grad.isfinite().all()


@pytest.mark.parametrize("seed", [0, 3])
def test_random_weights_follow_the_seed(model, seed):
    wavs = clips(16000)
    with torch.no_grad():
        first, again, other, trained = (
            made.eval()(wavs)["last_hidden_state"] for made in (
                RandomUpstream(model, Settings(seed=seed)), RandomUpstream(model, Settings(seed=seed)),
                RandomUpstream(model, Settings(seed=seed + 1)), M2DUpstream(model, Settings())))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other) and not torch.allclose(first, trained)


def test_statistics_are_those_of_the_task(model):
    wav = clips(16000)
    with torch.no_grad():
        own, other, equal = (M2DUpstream(model, settings).eval()(wav)["last_hidden_state"] for settings in (
            Settings(), Settings(mean=-6.0, std=2.0), Settings(mean=-8.0, std=4.0)))
    assert torch.equal(own, equal) and not torch.allclose(own, other)


def test_logmel_keeps_the_mean_over_time():
    """s3prl's fbank removes it, so that tasks which pool over time see nothing."""
    quiet, loud = (LogMelUpstream(2, Settings(mean=-8.0, std=4.0))([gain * clips(16000)[0]])["last_hidden_state"]
                   for gain in (0.01, 1.0))
    assert quiet.shape == (1, 51, 160)
    assert (loud.mean() - quiet.mean()).item() == pytest.approx(2 * torch.log(torch.tensor(100.0)).item() / 4, rel=0.05)


def test_kept_features_of_hubert(hubert):
    with torch.no_grad():
        upstream = HubertUpstream(hubert, Settings(cache_gib=0.01)).eval()
        computed, kept = (upstream(clips(16000))["last_hidden_state"] for _ in range(2))
    assert torch.equal(computed, kept)


def test_a_short_clip_of_hubert_ends_in_no_zero_frame(hubert):
    """16,000 samples are 49 rows of HuBERT; S3PRLUpstream counts 50 frames of them."""
    with torch.no_grad():
        together = HubertUpstream(hubert, Settings()).eval()(clips(16000, 48000))["hidden_states"]
    for layer in together:
        assert torch.equal(layer[0, 49], layer[0, 48]) and layer[0, 49].abs().max() > 0
        assert not layer[0, 50:].any()


@pytest.mark.parametrize(("source", "words"), [
    ({"mean": 1.0, "sdt": 2.0}, "unknown key 'sdt'"),
    ("nowhere.json", "nowhere.json: no such file"),
])
def test_bad_settings_are_named(source, words):
    with pytest.raises(UserError, match=words):
        Settings.read(source)
