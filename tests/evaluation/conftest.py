"""Miniatures of the thirteen tasks' data sets: official names, lists and trees, a few short files per class.

Each class is a tone of its own with noise, so that a classifier has something to find.
"""

import csv
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile


def tone(label, seconds=0.4, rate=16000, channels=1, seed=0):
    """Samples [N] or [N, channels] of a class's tone."""
    random = np.random.default_rng([zlib.crc32(str(label).encode()), seed])
    pitch = 200 + zlib.crc32(str(label).encode()) % 3000
    time = np.arange(round(seconds * rate)) / rate
    wave = 0.3 * np.sin(2 * np.pi * pitch * time) + 0.02 * random.standard_normal(len(time))
    return wave if channels == 1 else np.stack([wave] * channels, 1)


def put(path, label, seed=0, rate=16000, channels=1, seconds=0.4, subtype=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(label, seconds, rate, channels, seed), rate, subtype=subtype)


def put_csv(path, header, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])


def esc50(root):
    rows = []
    for fold in range(1, 6):
        for target, category in enumerate(["dog", "rooster", "rain"]):
            for take in "AB":
                name = f"{fold}-{100032 + fold}-{take}-{target}.wav"
                put(root / "audio" / name, category, fold * 10 + ord(take), rate=44100)
                rows.append([name, fold, target, category, "True", 100032 + fold, take])
    put_csv(root / "meta/esc50.csv", ["filename", "fold", "target", "category", "esc10", "src_file", "take"], rows)


def us8k(root):
    kinds = [dict(rate=44100, channels=2, subtype="PCM_24"), dict(rate=48000, channels=2, subtype="FLOAT"),
             dict(rate=8000, channels=1, subtype="PCM_U8"), dict(rate=44100, channels=2, subtype="MS_ADPCM"),
             dict(rate=96000, channels=2, subtype="PCM_32"), dict(rate=22050, channels=1, subtype="PCM_16")]
    rows = []
    for fold in range(1, 11):
        for class_id, name in enumerate(["air_conditioner", "car_horn"]):
            for take in range(2):
                file_name = f"{100000 + 100 * fold + take}-{class_id}-0-{take}.wav"
                put(root / f"audio/fold{fold}" / file_name, name, fold * 10 + take, **kinds[len(rows) % len(kinds)])
                rows.append([file_name, 100000 + fold, 0.0, 0.4, 1, fold, class_id, name])
    put_csv(root / "metadata/UrbanSound8K.csv",
            ["slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class"], rows)
    (root / "audio/fold1/.DS_Store").write_bytes(b"x")


def spcv2(root):
    lists = {"validation_list.txt": [], "testing_list.txt": []}
    for word in ("backward", "bed", "zero"):
        for speaker in range(8):
            name = f"{word}/{speaker:08x}_nohash_0.wav"
            put(root / name, word, speaker)
            if speaker >= 4:
                lists["validation_list.txt" if speaker < 6 else "testing_list.txt"].append(name)
    for name, lines in lists.items():
        (root / name).write_text("".join(f"{line}\n" for line in lines))
    put(root / "_background_noise_/white_noise.wav", "noise", seconds=2)
    (root / "LICENSE").write_text("CC BY 4.0\n")


def vc1(root):
    lines = []
    for speaker, part in (("id10001", "dev"), ("id10270", "test"), ("id11251", "dev")):
        for video, code in enumerate([1, 1, 2, 3]):
            name = f"{speaker}/{video}-vidXYZ012/00001.wav"
            put(root / part / "wav" / name, speaker, video)
            lines.append(f"{code} {name}\n")
    (root / "iden_split.txt").write_text("".join(lines))


def voxforge(root):
    for language in ("de", "en", "es", "fr", "it", "ru"):
        for speaker in ("guenter", "anna", "Anonymous", "x-y", "zoe"):
            for take in range(2):
                submission = root / language / f"{speaker}-2008042{take}-a{language}{take}"
                put(submission / f"wav/{language}{take}-01.wav", language, take)
                (submission / "etc").mkdir()
                (submission / "etc/README").write_text("User Name:x\n")


def cremad(root):
    for actor in range(1001, 1011):
        for emotion in ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD"):
            put(root / f"AudioWAV/{actor}_DFA_{emotion}_{'XX' if emotion == 'NEU' else 'HI'}.wav", emotion, actor)
    (root / "AudioWAV/._1001_DFA_ANG_XX.wav").write_bytes(b"macOS")


def gtzan(root):
    lists = {"train": [], "valid": [], "test": []}
    for genre in ("blues", "jazz"):
        for number in range(48, 60):
            name = f"{genre}/{genre}.{number:05d}.wav"
            put(root / "genres" / name, genre, number, rate=22050)
            lists[["train", "train", "valid", "test"][number % 4]].append(name)
    (root / "genres/jazz/jazz.00054.wav").write_bytes(b"\x80\x01not a RIFF header" * 100)
    for part, names in lists.items():
        (root / f"{part}_filtered.txt").write_text("".join(f"{name}\n" for name in names))


def nsynth(root):
    for part, instruments in (("train", 4), ("valid", 2), ("test", 2)):
        notes = {}
        for family in ("bass", "synth_lead"):
            for instrument in range(instruments):
                key = f"{family}_acoustic_{instrument:03d}-060-100"
                put(root / f"nsynth-{part}/audio/{key}.wav", family, instrument)
                notes[key] = {"note": 1, "pitch": 60, "velocity": 100, "instrument_family_str": family,
                              "instrument_str": f"{family}_acoustic_{instrument:03d}"}
        (root / f"nsynth-{part}/examples.json").write_text(json.dumps(notes))


def surge(root):
    for number in range(8):
        for note in (21, 60, 108):
            put(root / f"Bank {number % 2}/tone {number}/{note}.ogg", note, number)


CLASSES = [f"/m/{index:03d}" for index in range(5)]


def as20k(root):
    """Ids of the three ways people name them; two of the official clips of each part are gone."""
    for part, folder, count in (("balanced_train", "balanced_train_segments", 12), ("eval", "eval_segments", 8)):
        lines = ["# Segments csv created Sun Mar  5 10:54:31 2017\n", "# num_ytids=1\n",
                 "# YTID, start_seconds, end_seconds, positive_labels\n"]
        for number in range(count):
            video = f"-{part[0].upper()}_abcDE{number:03d}"
            mids = [CLASSES[number % 4], CLASSES[(number + 1) % 4]] if number % 3 == 0 else [CLASSES[number % 4]]
            lines.append(f'{video}, 30.000, 40.000, "{",".join(mids)}"\n')
            name = [f"{video}.wav", f"Y{video}.flac", f"{video}_30000.ogg"][number % 3]
            if number >= 2:
                put(root / folder / name, mids[0], number, rate=[16000, 44100, 16000][number % 3])
        (root / f"{part}_segments.csv").write_text("".join(lines))
    put_csv(root / "class_labels_indices.csv", ["index", "mid", "display_name"],
            [[index, mid, f"Sound {index}, of a kind"] for index, mid in enumerate(CLASSES)])


MAKERS = {maker.__name__: maker for maker in
          (esc50, us8k, spcv2, vc1, voxforge, cremad, gtzan, nsynth, surge, as20k)}


@pytest.fixture(scope="session")
def miniatures(tmp_path_factory):
    """The ten data sets, not to be changed: name -> folder."""
    roots = {}
    for name, maker in MAKERS.items():
        roots[name] = tmp_path_factory.mktemp(name)
        maker(roots[name])
    return roots


@pytest.fixture
def own_copy(tmp_path):
    """A miniature of its own for a test that breaks it: name -> folder."""
    def make(name: str) -> Path:
        root = tmp_path / name
        root.mkdir()
        MAKERS[name](root)
        return root
    return make
