"""Every kind of model gives one vector per clip, the one it should."""

import pytest
import torch
import transformers

from m2d import load_pretrained
from m2d.audio.logmel import LogMel
from m2d.common.errors import UserError
from m2d.pretrained.models import load_model

WAVES = 0.1 * torch.randn(3, 24000, generator=torch.Generator().manual_seed(0))


def embed(model, waves=WAVES):
    with torch.inference_mode():
        return model(waves)


def test_ours_is_the_clip_vector_under_the_tasks_statistics(model_directory):
    model = load_model(str(model_directory), "cpu")
    model.set_statistics(-5.0, 3.0)
    features = load_pretrained(model_directory)
    features.set_statistics(-5.0, 3.0)
    with torch.inference_mode():
        expected = features(WAVES)
    vectors = embed(model)
    assert vectors.shape == (3, 5 * 16) and torch.allclose(vectors, expected.clip)
    assert torch.allclose(vectors, expected.frames.mean(1), atol=1e-6)
    with torch.inference_mode():
        layers = model.layers(WAVES)
    assert len(layers) == 2 and torch.allclose(layers[-1], vectors, atol=1e-6)
    assert torch.allclose(layers[0], expected.layers[0].mean(1), atol=1e-6)
    first = model.identity
    model.set_statistics(-5.0, 4.0)
    assert model.identity != first


def test_random_weights_are_drawn_by_seed(model_directory):
    models = [load_model(name, "cpu") for name in
              (f"random:{model_directory}", f"random:{model_directory}:0", f"random:{model_directory}:1",
               str(model_directory))]
    vectors = [embed(model) for model in models]
    assert torch.equal(vectors[0], vectors[1]) and models[0].identity == models[1].identity
    assert not torch.allclose(vectors[1], vectors[2]) and not torch.allclose(vectors[1], vectors[3])
    assert len({model.identity for model in models}) == 3


def test_log_mel_is_its_normalised_mean():
    model = load_model("logmel", "cpu")
    model.set_statistics(-6.0, 2.0)
    expected = (LogMel()(WAVES).mean(2) + 6) / 2
    assert torch.allclose(embed(model), expected, atol=1e-5)


def test_waveform_models_of_transformers(tmp_path):
    config = transformers.Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, conv_dim=(8, 8, 8),
        conv_stride=(5, 4, 4), conv_kernel=(10, 8, 4), num_feat_extract_layers=3, num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2)
    network = transformers.Wav2Vec2Model(config).eval()
    network.save_pretrained(tmp_path)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(tmp_path)
    model = load_model(f"hf:{tmp_path}", "cpu")
    assert model.sample_rate == 16000 and model.front_end is None
    normalised = (WAVES - WAVES.mean(1, keepdim=True)) / torch.sqrt(WAVES.var(1, keepdim=True, unbiased=False) + 1e-7)
    with torch.inference_mode():
        expected = network(normalised).last_hidden_state.mean(1)
    assert torch.allclose(embed(model), expected, atol=1e-5)
    with torch.inference_mode():
        layers = model.layers(WAVES)
        states = network(normalised, output_hidden_states=True).hidden_states
    assert len(layers) == 2 and torch.allclose(layers[-1], expected, atol=1e-5)
    assert torch.allclose(layers[0], states[1].mean(1), atol=1e-5)
    assert load_model(f"hf:{tmp_path}", "cpu").identity == model.identity
    transformers.Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(tmp_path)
    other_input = load_model(f"hf:{tmp_path}", "cpu").identity
    transformers.Wav2Vec2Model(config).save_pretrained(tmp_path)  # the same folder with new weights
    assert len({model.identity, other_input, load_model(f"hf:{tmp_path}", "cpu").identity}) == 3
    network.half().save_pretrained(tmp_path)
    assert embed(load_model(f"hf:{tmp_path}", "cpu")).dtype == torch.float32


def test_an_encoder_decoder_that_pads_counts_the_clips_frames_only(tmp_path):
    config = transformers.WhisperConfig(
        d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=32, decoder_ffn_dim=32, num_mel_bins=80, max_source_positions=1500, vocab_size=100,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1)
    network = transformers.WhisperModel(config).eval()
    network.save_pretrained(tmp_path)
    extractor = transformers.WhisperFeatureExtractor()
    extractor.save_pretrained(tmp_path)
    vectors = embed(load_model(f"hf:{tmp_path}", "cpu"))
    with torch.inference_mode():
        inputs = extractor(list(WAVES.numpy()), sampling_rate=16000, return_tensors="pt").input_features
        frames = network.encoder(inputs).last_hidden_state
    assert torch.allclose(vectors, frames[:, :75].mean(1), atol=1e-5)  # 1.5 s at 50 Hz


def test_long_clips_are_cut_for_spectrogram_models(tmp_path):
    config = transformers.ASTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
                                    max_length=64, num_mel_bins=32)
    network = transformers.ASTModel(config).eval()
    network.save_pretrained(tmp_path)
    transformers.ASTFeatureExtractor(num_mel_bins=32, max_length=64).save_pretrained(tmp_path)
    model = load_model(f"hf:{tmp_path}", "cpu")
    parts = [embed(model, WAVES[:, start:start + 10240]) for start in (0, 10240, 20480)]
    assert torch.allclose(embed(model), torch.stack(parts).mean(0), atol=1e-5)


def test_an_upstream_of_s3prl():
    model = load_model("s3prl:mel", "cpu")
    vectors = embed(model)
    layers, frames = model.model(WAVES[:1], torch.tensor([24000]))
    assert vectors.shape == (3, layers[-1].shape[2])
    assert torch.allclose(vectors[0], layers[-1][0, :frames[-1][0]].mean(0), atol=1e-4)
    assert len(model.layers(WAVES)) == len(layers)
    with pytest.raises(UserError, match="s3prl has no upstream 'melk'"):
        load_model("s3prl:melk", "cpu")


@pytest.mark.parametrize("name, words", [
    ("lgmel", "model 'lgmel': not a model directory"),
    ("hubert", "s3prl:NAME"),
    ("logmel:4", "model 'logmel:4': a mean over time knows no patches"),
    ("no/such/dir/at/all", "no/such/dir/at/all"),
    ("hf:/no/such/folder", "hf:/no/such/folder: not loadable"),
])
def test_unknown_models_say_so(name, words, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match=words):
        load_model(name, "cpu")
