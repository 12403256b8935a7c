"""Teachers of other kinds: Whisper's encoder, an M2D model, the log-mel; each tells its width and rate."""

import numpy as np
import pytest
import soundfile
import torch
import transformers

from m2d.audio.logmel import LogMel, LogMelConfig
from m2d.common.errors import UserError
from m2d.data.datadir import DataDir
from m2d.data.merge import merge_index
from m2d.data.store import PackedStore
from m2d.nn.config import EncoderConfig
from m2d.nn.encoder import Encoder
from m2d.pretrained.features import M2DFeatures
from m2d.pretrained.files import save_pretrained
from m2d.teacher import TEACHERS, load_teacher
from m2d.teacher.extract import TeacherOptions, extract_teacher

SAMPLES = (16000, 5000, 23999, 320)


@pytest.fixture(scope="module")
def wavs():
    draw = torch.Generator().manual_seed(0)
    return [0.1 * torch.randn(n, generator=draw) for n in SAMPLES]


@pytest.fixture(scope="module")
def whisper(tmp_path_factory):
    """Folder and network of a 3-layer Whisper, 16 wide, with windows of 1 s in place of 30 s."""
    folder = tmp_path_factory.mktemp("whisper")
    torch.manual_seed(0)
    model = transformers.WhisperModel(transformers.WhisperConfig(
        d_model=16, encoder_layers=3, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=32, decoder_ffn_dim=32, vocab_size=60, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        decoder_start_token_id=1, max_source_positions=50)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    transformers.WhisperFeatureExtractor(chunk_length=1).save_pretrained(folder)
    return folder, model


@pytest.fixture(scope="module")
def m2d(tmp_path_factory):
    """Folder and model of a small M2D, 80x4 in two bands: 64 wide at 25 Hz."""
    folder = tmp_path_factory.mktemp("m2d")
    torch.manual_seed(0)
    model = M2DFeatures(Encoder(EncoderConfig((80, 96), (40, 4), 1, 32, 3, 2)), LogMelConfig(), -7.0, 4.0).eval()
    save_pretrained(model, folder)
    return folder, model


def test_each_tells_its_width_and_rate(whisper, m2d, hubert):
    about = {str(whisper[0]): (16, 50.0, 3), str(m2d[0]): (64, 25.0, 3), "logmel": (80, 100.0, None)}
    for model, expected in about.items():
        teacher = load_teacher(model)
        assert (teacher.width, teacher.rate, teacher.layer) == expected
        assert not teacher.training and not any(p.requires_grad for p in teacher.parameters())
    assert load_teacher(str(hubert), 1).rate == 50.0
    assert {"hubert", "logmel", "m2d", "wav2vec2", "wavlm", "whisper"} <= set(TEACHERS)


def test_whisper_gives_the_rows_of_the_clips_own_audio_window_by_window(whisper, wavs):
    folder, model = whisper
    extractor = transformers.WhisperFeatureExtractor(chunk_length=1)
    for layer in (2, 3):
        teacher = load_teacher(str(folder), layer)
        for wav, frames in zip(wavs, teacher(wavs), strict=True):
            assert len(frames) == teacher.frame_count(len(wav)) == len(wav) // 320
            expected = []
            for piece in wav.split(16000):
                features = extractor(piece.numpy(), sampling_rate=16000, return_tensors="pt").input_features
                with torch.no_grad():
                    output = model.encoder(features, output_hidden_states=True)
                hidden = output.last_hidden_state if layer == 3 else output.hidden_states[layer]
                expected.append(hidden[0])
            torch.testing.assert_close(frames, torch.cat(expected)[:len(frames)], rtol=0, atol=1e-5)
    assert teacher.frame_count(319) == 0


def test_m2d_gives_the_features_of_the_layer(m2d, wavs):
    folder, model = m2d
    output = model(wavs)
    for layer in (1, 3):
        teacher = load_teacher(str(folder), layer)
        for i, (wav, frames) in enumerate(zip(wavs, teacher(wavs), strict=True)):
            assert len(frames) == teacher.frame_count(len(wav)) == output.lengths[i]
            torch.testing.assert_close(frames, output.layers[layer - 1][i, :len(frames)], rtol=0, atol=1e-5)


def test_log_mel_is_that_of_the_front_end(wavs):
    teacher = load_teacher("logmel")
    for wav, frames in zip(wavs, teacher(wavs), strict=True):
        assert len(frames) == teacher.frame_count(len(wav))
        torch.testing.assert_close(frames, LogMel()(wav).T)


def test_rows_and_rate_reach_the_store(m2d, wavs, tmp_path):
    for i, wav in enumerate(wavs):
        soundfile.write(tmp_path / f"{i}.wav", wav.numpy(), 16000, subtype="FLOAT")
    data = DataDir({str(i): str(tmp_path / f"{i}.wav") for i in range(len(wavs))})
    teacher = load_teacher(str(m2d[0]))
    extract_teacher(data, teacher, TeacherOptions(out=str(tmp_path / "store"), model="m2d", workers=0))
    merge_index(tmp_path / "store")
    store = PackedStore(tmp_path / "store")
    assert (store.rate, store.width) == (25.0, 64)
    np.testing.assert_allclose(store.read(0), teacher(wavs[:1])[0].numpy(), atol=2e-3)


@pytest.mark.parametrize(("model", "layer", "message"), [
    ("whisper", 4, "layer=4: the teacher has layers 1 to 3"), ("m2d", 0, "layer=0: the teacher has layers 1 to 3"),
    ("logmel", 9, "layer=9 does not apply to model=logmel")])
def test_a_layer_that_is_not_there_is_refused(whisper, m2d, model, layer, message):
    folder = {"whisper": str(whisper[0]), "m2d": str(m2d[0])}.get(model, model)
    with pytest.raises(UserError, match=message):
        load_teacher(folder, layer)


@pytest.mark.parametrize(("config", "message"), [
    ('{"model_type": "whispr"}', "unknown kind of teacher 'whispr', did you mean 'whisper'"),
    ("{}", "unknown kind of teacher 'None'"), ("[1]", "not a model's configuration"),
    ("{", "not a model's configuration"), (None, "config.json is missing")])
def test_a_folder_of_another_kind_is_refused(tmp_path, config, message):
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(UserError, match=message):
        load_teacher(str(tmp_path))
