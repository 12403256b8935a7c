"""Layer features equal those of the transformers model on one clip alone, whatever else is in the batch."""

import json
import pickle

import numpy as np
import pytest
import torch
import transformers

from m2d.common.errors import UserError
from m2d.teacher import load_teacher

torch.set_num_threads(1)
KINDS = {
    "hubert": (transformers.HubertConfig, transformers.HubertModel),
    "wav2vec2": (transformers.Wav2Vec2Config, transformers.Wav2Vec2Model),
    "wavlm": (transformers.WavLMConfig, transformers.WavLMModel),
    "unispeech-sat": (transformers.UniSpeechSatConfig, transformers.UniSpeechSatModel),
}
SAMPLES = (6000, 2500, 4111, 400, 719, 6000)
DEPTH = 10


def build(folder, kind="hubert", large=False, do_normalize=True):
    """A random network of the Base (post-norm, group norm) or Large (pre-norm, layer norm) build, saved to `folder`."""
    torch.manual_seed(1)
    config_class, model_class = KINDS[kind]
    model = model_class(config_class(
        hidden_size=16, num_hidden_layers=DEPTH, num_attention_heads=2, intermediate_size=32, conv_dim=(8,) * 7,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2, do_stable_layer_norm=large,
        feat_extract_norm="layer" if large else "group", conv_bias=large)).eval()
    with torch.no_grad():  # non-trivial norms and biases, so that a misplaced one shows
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=do_normalize).save_pretrained(folder)
    return model


@pytest.fixture(scope="module")
def wavs():
    draw = np.random.default_rng(0)
    return [torch.from_numpy(0.05 + 0.1 * draw.standard_normal(n)).float() for n in SAMPLES]


def alone(model, wav, layer, do_normalize=True):
    if do_normalize:
        extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
        wav = torch.from_numpy(extractor(wav.numpy(), sampling_rate=16000).input_values[0])
    with torch.no_grad():
        output = model(wav[None], output_hidden_states=True)
    return (output.last_hidden_state if layer == DEPTH else output.hidden_states[layer])[0]


@pytest.mark.parametrize("large", [False, True], ids=["base", "large"])
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_batch_gives_what_each_clip_gives_alone(tmp_path, wavs, kind, large):
    model = build(tmp_path, kind, large)
    for layer in (9, DEPTH):
        teacher = load_teacher(str(tmp_path), layer)
        for wav, frames in zip(wavs, teacher(wavs), strict=True):
            assert frames.shape == (teacher.frame_count(len(wav)), teacher.width)
            torch.testing.assert_close(frames, alone(model, wav, layer), rtol=0, atol=1e-5)


def test_the_waveform_is_left_as_it_is_where_the_checkpoint_says_so(tmp_path, wavs):
    model = build(tmp_path, do_normalize=False)
    frames = load_teacher(str(tmp_path))(wavs[:1])[0]
    torch.testing.assert_close(frames, alone(model, wavs[0], 9, do_normalize=False), rtol=0, atol=1e-5)


def test_hubert_rows_count_as_documented(tmp_path):
    build(tmp_path)
    teacher = load_teacher(str(tmp_path))
    assert teacher.hop == 320
    for samples in (0, 399, 400, 719, 720, 16000, 97280):
        assert teacher.frame_count(samples) == max(0, (samples - 80) // 320)


@pytest.mark.parametrize("layer", [0, DEPTH + 1])
def test_a_layer_that_is_not_there_is_refused(tmp_path, layer):
    build(tmp_path)
    with pytest.raises(UserError, match=f"layer={layer}.*1 to {DEPTH}"):
        load_teacher(str(tmp_path), layer)


def test_weights_of_another_network_are_refused(tmp_path):
    build(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": DEPTH + 2}))
    with pytest.raises(UserError, match=r"lack \d+ of the network's tensors"):
        load_teacher(str(tmp_path))


def test_a_model_of_another_kind_is_refused(tmp_path):
    transformers.BertModel(transformers.BertConfig(
        vocab_size=10, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8,
    )).save_pretrained(tmp_path)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    with pytest.raises(UserError, match="unknown kind of teacher 'bert'"):
        load_teacher(str(tmp_path), 1)


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


def test_old_weight_files_load_and_foreign_objects_in_them_do_not(tmp_path, wavs):
    model = build(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    frames = load_teacher(str(tmp_path))(wavs[:1])[0]
    torch.testing.assert_close(frames, alone(model, wavs[0], 9), rtol=0, atol=1e-5)

    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps({"encoder": Trap(tmp_path / "sprung")}))
    with pytest.raises(UserError, match="can't be loaded"):
        load_teacher(str(tmp_path))
    assert not (tmp_path / "sprung").exists()
