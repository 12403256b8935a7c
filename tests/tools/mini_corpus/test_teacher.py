"""The mini teacher learns phones, its folder is a teacher like any other, and the probe tells."""

import dataclasses
import json

import numpy as np
import pytest
import soundfile
import torch
import transformers
from mini_corpus import teacher_training
from mini_corpus.probe import folder_probe, phone_probe, probe_accuracy, probe_teacher
from mini_corpus.teacher import build_mini_hubert, gabor_filters
from mini_corpus.teacher_training import TrainOptions, span_mask, train_mini_teacher
from mini_corpus.units import cluster, mfcc_rows, purity
from safetensors.torch import load_file

from m2d.common.errors import UserError
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


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    """A teacher of two short rounds, its folder and its masked accuracies."""
    train, valid, _ = corpus
    out = tmp_path_factory.mktemp("trained") / "teacher"
    options = TrainOptions(steps=[60, 30], units=[4, 4], batch=4, crop_rows=40, lr=2e-3, span=4, mask=0.4)
    train_mini_teacher(train, valid, out, options)
    return out, json.loads((out / "training.json").read_text())["masked_accuracy"], options


def test_it_predicts_masked_units_and_loads_like_any_teacher(corpus, trained):
    _, valid, _ = corpus
    out, accuracy, _ = trained
    assert len(accuracy) == 2 and min(accuracy) > 0.4  # one of four by chance
    assert sorted(p.name for p in out.iterdir()) == [
        "config.json", "model.safetensors", "preprocessor_config.json", "training.json"]
    assert json.loads((out / "training.json").read_text())["masked_accuracy"] == accuracy

    teacher = SpeechTeacher.load(str(out), 9)
    samples, _ = soundfile.read(valid.source(valid.utterances[0]).path, dtype="float32")
    normal = transformers.AutoFeatureExtractor.from_pretrained(out)(samples, sampling_rate=16000).input_values[0]
    network = transformers.AutoModel.from_pretrained(out).float()
    with torch.no_grad():
        states = network(torch.tensor(normal)[None], output_hidden_states=True)
    torch.testing.assert_close(teacher([torch.from_numpy(samples)])[0], states.hidden_states[9][0], rtol=0, atol=1e-5)


def test_the_probe_tells_phones_and_words_by_layer(corpus, trained, tmp_path):
    train, valid, alignments = corpus
    for name, pitch in TONES.items():
        (tmp_path / "words" / name).mkdir(parents=True)
        for k in range(6):
            samples = np.sin(2 * np.pi * pitch * (1 + 0.01 * k) * np.arange(8000) / 16000)
            soundfile.write(tmp_path / "words" / name / f"{k}.wav", 0.1 * samples, 16000)
    words = folder_probe(tmp_path / "words", 100)
    assert (len(words.fit), len(words.test), words.classes) == (12, 6, 3)
    fewer = folder_probe(tmp_path / "words", 9)
    assert len(fewer.fit) + len(fewer.test) == 9

    phones = phone_probe(train, valid, alignments, 9)
    probed = probe_teacher(str(trained[0]), {"phones": phones, "words": words}, tmp_path / "probe", seed=0)
    assert probed["words"]["logmel"] == 1 and probed["words"]["majority"] == pytest.approx(1 / 3)
    assert len(probed["phones"]["teacher"]) == len(probed["phones"]["random"]) == 12
    assert probed["phones"]["teacher"][8] > 0.9 > probed["phones"]["majority"]
    assert 0.3 < probed["phones"]["majority"] < probed["phones"]["logmel"] <= 1
    assert probed == json.loads((tmp_path / "probe" / "probe.json").read_text())["accuracy"]
    assert (tmp_path / "probe" / "probe.png").stat().st_size > 1000


def test_what_is_finished_is_not_trained_again(corpus, trained, tmp_path, caplog):
    train, valid, _ = corpus
    out, _, options = trained
    assert not (out.parent / "teacher.rounds").exists()
    again, rounds = tmp_path / "teacher", tmp_path / "teacher.rounds"
    with pytest.raises(RuntimeError), pytest.MonkeyPatch.context() as patch:
        patch.setattr(teacher_training, "atomic_directory", raise_error)  # stands for an interruption
        train_mini_teacher(train, valid, again, options)
    record = json.loads((rounds / "0.json").read_text())
    (rounds / "0.json").write_text(json.dumps({**record, "masked_accuracy": 0.123}))
    train_mini_teacher(train, valid, again, options)
    assert json.loads((again / "training.json").read_text())["masked_accuracy"][0] == 0.123
    one, two = (load_file(folder / "model.safetensors") for folder in (out, again))
    assert all(torch.equal(one[name], two[name]) for name in one)

    with caplog.at_level("INFO"):
        train_mini_teacher(train, valid, again, options)
    assert "trained before" in caplog.text
    train_mini_teacher(train, valid, again, dataclasses.replace(options, steps=[1, 1]))
    assert json.loads((again / "training.json").read_text())["steps"] == [1, 1]


def test_a_round_needs_steps_and_units(corpus, tmp_path):
    with pytest.raises(UserError, match=r"train.steps=\[1, 1, 1\], train.units=\[4, 4\]: give one of each"):
        train_mini_teacher(*corpus[:2], tmp_path / "teacher", TrainOptions(steps=[1, 1, 1], units=[4, 4]))


def raise_error(path):
    raise RuntimeError("interrupted")


def test_units_are_clusters_with_a_row_for_each_of_hubert_s():
    draw = np.random.default_rng(0)
    assert mfcc_rows(torch.from_numpy(draw.standard_normal(16000)).float()).shape == (49, 39)
    labels = [draw.integers(3, size=length) for length in (50, 7, 200)]
    units = cluster([10.0 * np.eye(3)[y] + draw.normal(size=(len(y), 3)) for y in labels], 3, seed=0)
    assert [len(one) for one in units] == [50, 7, 200] and purity(units, labels) > 0.99
    assert purity([np.zeros_like(y) for y in labels], labels) < 0.5


def test_masked_spans():
    draw = np.random.default_rng(0)
    masks = np.stack([span_mask(100, 0.8, 10, draw) for _ in range(200)])
    assert 0.45 < masks.mean() < 0.65 and (masks.sum(1) >= 10).all()  # spans overlap


def test_the_probe_finds_what_is_linear_and_nothing_else():
    draw = np.random.default_rng(0)
    labels = draw.integers(4, size=(10, 100))
    axes = draw.standard_normal((4, 8))
    open_clips = [(axes[y] + 0.1 * draw.standard_normal((100, 8)), y) for y in labels]
    blind_clips = [(draw.standard_normal((100, 8)), y) for y in labels]
    assert probe_accuracy(open_clips[:5], open_clips[5:], 4) > 0.99
    assert probe_accuracy(blind_clips[:5], blind_clips[5:], 4) < 0.35
