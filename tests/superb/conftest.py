"""Corpora of a few clips in the official layouts, and a small model directory."""

import csv
import hashlib
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from m2d import M2DFeatures, save_pretrained
from m2d.audio.logmel import LogMelConfig
from m2d.nn.encoder import Encoder
from m2d.nn.encoder_config import EncoderConfig
from m2d.superb.task import Corpora
from m2d.superb.tasks.ks import KEYWORDS


def tone(path: Path, seed: int, seconds: float = 0.5) -> None:
    """A tone in noise; the seed sets both."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * 16000)) / 16000
    path.parent.mkdir(parents=True, exist_ok=True)
    wav = 0.2 * np.sin(2 * np.pi * 200 * (1 + seed % 12) * time) + 0.01 * rng.standard_normal(len(time))
    soundfile.write(path, wav.astype(np.float32), 16000)


def librispeech(root: Path) -> None:
    for speaker, split in enumerate(("train-clean-100", "dev-clean", "test-clean"), 10):
        chapter = root / split / f"{speaker}" / "7"
        lines = []
        for index in range(4):
            name = f"{speaker}-7-{index:04d}"
            tone(chapter / f"{name}.flac", index, 0.5 + 0.1 * index)
            lines.append(f"{name} {' '.join(['GO', 'STOP', 'GO', 'GO'][:index + 1])}\n")
        (chapter / f"{speaker}-7.trans.txt").write_text("".join(lines))
    (root / "lexicon.txt").write_text(";;; a comment\nGO G OW1\nSTOP S T AA1 P\nSTOP(2) S T AA2 P\n")


def speech_commands(root: Path) -> None:
    def speaker(part: range, index: int) -> str:
        names = (f"{number:08x}" for number in range(10_000))
        chosen = [name for name in names
                  if int(hashlib.sha1(name.encode()).hexdigest(), 16) % 2**27 * 100 / (2**27 - 1) // 10 in part]
        return chosen[index]

    for index, word in enumerate((*KEYWORDS, "bed")):
        for part, count in ((range(2, 10), 2), (range(0, 1), 1)):
            for take in range(count):
                tone(root / "v1" / word / f"{speaker(part, take)}_nohash_0.wav", index)
        tone(root / "test" / (word if word in KEYWORDS else "_unknown_") / f"{index:08x}_nohash_0.wav", index)
    tone(root / "v1" / "_background_noise_" / "hum.wav", 11, 1.5)
    tone(root / "test" / "_silence_" / "hum.wav", 11)


def fluent(root: Path) -> None:
    for split, count in (("train", 6), ("valid", 3), ("test", 3)):
        (root / "data").mkdir(parents=True, exist_ok=True)
        with open(root / "data" / f"{split}_data.csv", "w", newline="") as stream:
            table = csv.writer(stream)
            table.writerow(["", "path", "speakerId", "transcription", "action", "object", "location"])
            for index in range(count):
                path = f"wavs/speakers/{split}/{index}.wav"
                tone(root / path, index % 3)
                table.writerow([index, path, split, "x", f"action{index % 3}", "lights", "none"])


def voxceleb1(root: Path) -> None:
    lines = []
    for speaker in range(3):
        for video, part in (("a", 1), ("b", 2), ("c", 3)):
            name = f"id{10001 + speaker}/{video}/00001.wav"
            tone(root / ("test" if part == 3 else "dev") / "wav" / name, speaker)
            lines.append(f"{part} {name}\n")
    (root / "iden_split.txt").write_text("".join(lines))
    wavs = [f"id{10001 + speaker}/c/00001.wav" for speaker in range(3)]
    (root / "veri_test.txt").write_text("".join(f"{int(a == b)} {a} {b}\n" for a in wavs for b in wavs))


def iemocap(root: Path) -> None:
    for session in range(1, 6):
        dialog = f"Ses{session:02d}F_impro01"
        lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n"]
        for turn, label in reversed(list(enumerate(("neu", "hap", "ang", "sad", "exc", "fru")))):
            utterance = f"{dialog}_F{turn:03d}"
            tone(root / f"Session{session}/sentences/wav/{dialog}/{utterance}.wav", turn)
            lines.append(f"[{turn}.0000 - {turn}.5000]\t{utterance}\t{label}\t[2.5000, 2.5000, 2.5000]\n")
        folder = root / f"Session{session}" / "dialog" / "EmoEvaluation"
        folder.mkdir(parents=True)
        (folder / f"{dialog}.txt").write_text("".join(lines))


def snips(root: Path) -> None:
    """Two sentences by a speaker of each part, with a slot each."""
    lines = []
    for part, speaker in (("train", "Ivy"), ("valid", "Amy"), ("test", "Emma")):
        for index in range(4):
            name = f"{speaker}-snips-{part}-{index}"
            tone(root / part / f"{name}.wav", index)
            lines.append(f"{name} BOS {'GO' * (1 + index % 2)} HOME EOS\tO O place O\n")
    (root / "all.iob.snips.txt").write_text("".join(lines))
    (root / "slots.txt").write_text("O\nplace")


def libri2mix(root: Path) -> None:
    """Kaldi data directories of mixtures: one speaker from the start, the other from the middle."""
    for part in ("train", "dev", "test"):
        tables: dict[str, list[str]] = {name: [] for name in ("wav.scp", "segments", "utt2spk", "spk2utt", "reco2dur",
                                                              "rttm")}
        for index in range(3):
            recording = f"{part}{index}"
            tone(root / "audio" / f"{recording}.wav", index, 2.0)
            tables["wav.scp"].append(f"{recording} {root}/audio/{recording}.wav")
            tables["reco2dur"].append(f"{recording} 2.0")
            for speaker, start in (("a", 0.0), ("b", 1.0)):
                utterance = f"{speaker}_{recording}"
                tables["segments"].append(f"{utterance} {recording} {start} {start + 0.9}")
                tables["utt2spk"].append(f"{utterance} {recording}{speaker}")
                tables["spk2utt"].append(f"{recording}{speaker} {utterance}")
                tables["rttm"].append(f"SPEAKER {recording} 1 {start} 0.9 <NA> <NA> {speaker} <NA>")
        (root / part).mkdir(parents=True)
        for name, lines in tables.items():
            (root / part / name).write_text("\n".join(lines) + "\n")


SCORER = """#!/bin/bash
# stands for the corpus's own scorer, which needs java: counts the detections of s3prl's list
hits=$(grep -c 'decision="YES"' "$1/benchmark.stdlist.xml")
echo "$2 $3 actTWV: 0.0 maxTWV: 0.0$hits Threshold: 1.0"
"""


def quesst14(root: Path) -> None:
    for name in ("utterances", "dev", "eval"):
        lines = []
        for index in range(3):
            path = f"{'Audio' if name == 'utterances' else name + '_queries'}/{name}_{index}.wav"
            tone(root / path, index, 1.0 if name == "utterances" else 0.5)
            lines.append(f"quesst14Database/{path} {'nnenglish' if index < 2 else 'albanian'}\n")
        (root / "scoring").mkdir(exist_ok=True)
        (root / "scoring" / f"language_key_{name}.lst").write_text("".join(lines))
        if name != "utterances":
            (root / "scoring" / f"groundtruth_quesst14_{name}").mkdir()
    (root / "scoring" / "score-TWV-Cnxe.sh").write_text(SCORER)


@pytest.fixture(scope="session")
def corpora(tmp_path_factory) -> Corpora:
    root = tmp_path_factory.mktemp("corpora")
    librispeech(root / "libri")
    speech_commands(root / "commands")
    fluent(root / "fluent")
    voxceleb1(root / "vox")
    iemocap(root / "iemocap")
    snips(root / "snips")
    libri2mix(root / "libri2mix")
    quesst14(root / "quesst14")
    return Corpora(
        librispeech=str(root / "libri"), lexicon=[str(root / "libri" / "lexicon.txt")],
        speech_commands=str(root / "commands" / "v1"), speech_commands_test=str(root / "commands" / "test"),
        fluent=str(root / "fluent"), voxceleb1=str(root / "vox"), voxceleb1_split=str(root / "vox" / "iden_split.txt"),
        voxceleb1_pairs=str(root / "vox" / "veri_test.txt"),
        iemocap=str(root / "iemocap"), snips=str(root / "snips"), libri2mix=str(root / "libri2mix"),
        quesst14=str(root / "quesst14"))


@pytest.fixture
def copy_of(corpora):
    """The corpora with some fields changed."""
    return lambda **changes: Corpora(**{**asdict(corpora), **changes})


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> str:
    torch.manual_seed(7)
    folder = tmp_path_factory.mktemp("model") / "model"
    encoder = Encoder(EncoderConfig((80, 64), (80, 4), 1, 32, 2, 2))
    save_pretrained(M2DFeatures(encoder, LogMelConfig(), -8.0, 4.0), folder)
    return str(folder)
