"""The mini teacher learns phones, its folder is a teacher like any other, and the probe tells."""

import json

import numpy as np
import pytest
import soundfile
import torch
import transformers
from mini_corpus.probe import probe_accuracy, probe_teacher
from mini_corpus.teacher import build_mini_hubert, gabor_filters
from mini_corpus.teacher_training import TrainOptions, train_mini_teacher

from m2d.data.datadir import DataDir
from m2d.teacher.speech_model import SpeechTeacher, row_count, sample_count

TONES = {"AA": 300, "IY": 900, "SH": 3500}
"""'Phones' of the test's language, in Hz."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Twelve clips of 100 ms tones, and their phone times: (train, valid, folder of alignments)."""
    folder, draw = tmp_path_factory.mktemp("tones"), np.random.default_rng(0)
    wav, lines = {}, []
    for k in range(12):
        names = draw.choice(list(TONES), 15)
        pitch = np.repeat([TONES[name] for name in names], 1600)
        samples = 0.1 * np.sin(2 * np.pi * np.cumsum(pitch) / 16000) + 0.003 * draw.standard_normal(len(pitch))
        wav[f"u{k:02d}"] = str(folder / f"u{k:02d}.wav")
        soundfile.write(wav[f"u{k:02d}"], samples, 16000)
        lines += [f"u{k:02d} 1 {0.1 * i:.3f} 0.100 {name}" for i, name in enumerate(names)]
    (folder / "tones.ctm").write_text("\n".join(lines) + "\n")
    data = DataDir(wav)
    return data.subset(data.utterances[:9]), data.subset(data.utterances[9:]), folder


def test_filters_are_unit_energy_bands_in_order():
    spectrum = np.abs(np.fft.rfft(gabor_filters(32, 100), 4096)) ** 2
    peaks = spectrum[::2].argmax(1) * 16000 / 4096
    assert (np.diff(peaks[2:]) > 0).all() and peaks[-1] > 6000
    np.testing.assert_allclose((gabor_filters(32, 100) ** 2).sum(1), 1, rtol=1e-5)


def test_rows_are_hubert_s_but_for_three_at_the_end():
    config = build_mini_hubert(0).config
    assert config.num_hidden_layers == 12
    for samples in (8000, 16000, 31999):
        assert row_count(config, samples) == (samples - 80) // 320 - 3


def test_as_many_samples_as_rows_need_and_no_more():
    config = build_mini_hubert(0).config
    for rows in (1, 40, 100):
        samples = sample_count(config, rows)
        assert row_count(config, samples) == rows == row_count(config, samples - 1) + 1


def test_it_learns_phones_in_both_layers_and_loads_like_any_teacher(corpus, tmp_path):
    train, valid, alignments = corpus
    out = tmp_path / "teacher"
    scores = train_mini_teacher(train, valid, alignments, out, TrainOptions(steps=40, batch=4, crop_rows=40, lr=2e-3))
    assert scores.keys() == {"layer9", "layer12"}
    assert min(scores.values()) > 0.7  # one of three by chance
    assert sorted(p.name for p in out.iterdir()) == [
        "config.json", "model.safetensors", "preprocessor_config.json", "training.json"]
    assert json.loads((out / "training.json").read_text())["phones"] == ["AA", "IY", "SH", "SIL"]

    teacher = SpeechTeacher.load(str(out), 9)
    samples, _ = soundfile.read(valid.source(valid.utterances[0]).path, dtype="float32")
    normal = transformers.AutoFeatureExtractor.from_pretrained(out)(samples, sampling_rate=16000).input_values[0]
    with torch.no_grad():
        states = transformers.AutoModel.from_pretrained(out)(torch.tensor(normal)[None], output_hidden_states=True)
    torch.testing.assert_close(teacher([torch.from_numpy(samples)])[0], states.hidden_states[9][0], rtol=0, atol=1e-5)

    probed = probe_teacher(str(out), [9], train, valid, alignments, tmp_path / "probe", clips=9, seed=0)
    assert probed["layer9"] > 0.9  # tones are plain to random weights, too
    assert 0.3 < probed["majority"] < probed["logmel"] <= 1 and 0.3 < probed["random9"] <= 1
    assert probed == json.loads((tmp_path / "probe" / "probe.json").read_text())["accuracy"]
    assert (tmp_path / "probe" / "probe.png").stat().st_size > 1000


def test_the_probe_finds_what_is_linear_and_nothing_else():
    draw = np.random.default_rng(0)
    labels = draw.integers(4, size=(10, 100))
    axes = draw.standard_normal((4, 8))
    open_clips = [(axes[y] + 0.1 * draw.standard_normal((100, 8)), y) for y in labels]
    blind_clips = [(draw.standard_normal((100, 8)), y) for y in labels]
    assert probe_accuracy(open_clips[:5], open_clips[5:], 4) > 0.99
    assert probe_accuracy(blind_clips[:5], blind_clips[5:], 4) < 0.35
