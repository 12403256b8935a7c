"""Are the corpora of the tasks as s3prl expects them? Each check gives absolute paths, or one clear line.

They also write the tables that s3prl's wheel lacks: the phone list of PR and the fold tables of ER.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import re
from pathlib import Path

from m2d.common.errors import UserError
from m2d.common.files import write_json, write_text
from m2d.superb.libriphone import PHONES, read_lexicon

KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
FLUENT_COLUMNS = ("path", "action", "object", "location")
EMOTIONS = {"neu": 0, "hap": 1, "ang": 2, "sad": 3}
EMOTION_LINE = re.compile(r"^\[[^]]*\]\s+(\S+)\s+(\S+)")
SESSIONS = (1, 2, 3, 4, 5)


def folder(path: str, name: str, content: str) -> Path:
    """The absolute folder, or an error that names the option and what should be in it."""
    if not path:
        raise UserError(f"option 'corpora.{name}' is not set: give the folder with {content}")
    if not Path(path).is_dir():
        raise UserError(f"corpora.{name}={path}: no such folder; it should hold {content}")
    return Path(path).resolve()


def librispeech(path: str, splits: list[str]) -> str:
    """Absolute root of a LibriSpeech tree that has the given splits."""
    root = folder(path, "librispeech", "train-clean-100, dev-clean, test-clean")
    for split in splits:
        folder(str(root / split), "librispeech", f"the split {split}")
        if next((root / split).glob("*/*/*.trans.txt"), None) is None:
            raise UserError(f"{root / split}: no SPEAKER/CHAPTER/*.trans.txt in it")
    return str(root)


def lexicon(paths: list[str]) -> list[str]:
    """Absolute paths of readable lexicons."""
    if not paths:
        raise UserError("option 'corpora.lexicon' is not set: phone recognition needs files of 'WORD PH PH' lines")
    read_lexicon(paths)
    return [str(Path(path).resolve()) for path in paths]


def phone_list(path: Path) -> str:
    """Write SUPERB's 71 phones, one a line."""
    write_text(path, "\n".join(PHONES) + "\n")
    return str(path)


def speech_commands(path: str, batch_size: int) -> str:
    """Absolute root of Speech Commands; with fewer training files than a batch s3prl would loop for ever."""
    root = folder(path, "speech_commands", "a folder per word and _background_noise_")
    lacking = [word for word in (*KEYWORDS, "_background_noise_") if next((root / word).glob("*.wav"), None) is None]
    if lacking:
        raise UserError(f"{root}: no wav files under {lacking[0]}; is it Speech Commands v0.01?")
    files = sum(1 for _ in root.glob("*/*_nohash_*.wav"))
    if files * 0.8 <= batch_size:  # a tenth each goes to dev and, unused, to test
        raise UserError(f"{root}: only {files} recordings; training needs well over a batch of {batch_size}")
    return str(root)


def speech_commands_test(path: str) -> str:
    """Absolute root of the test set of Speech Commands, with its 12 classes."""
    root = folder(path, "speech_commands_test", "the ten keywords, _unknown_ and _silence_")
    found = {entry.name for entry in root.iterdir() if entry.is_dir()}
    strange = found - {*KEYWORDS, "_unknown_", "_silence_"}
    if strange or not found:
        raise UserError(f"{root}: {f'{min(strange)} is' if strange else 'there are'} none of the 12 classes; "
                        "is it speech_commands_test_set_v0.01?")
    return str(root)


def fluent(path: str) -> str:
    """Absolute root of Fluent Speech Commands, whose tables and first recordings are there."""
    root = folder(path, "fluent", "data/{train,valid,test}_data.csv and wavs/")
    for split in ("train", "valid", "test"):
        table = root / "data" / f"{split}_data.csv"
        if not table.is_file():
            raise UserError(f"{table}: no such file")
        with open(table, newline="", encoding="utf-8") as stream:
            first = next(csv.DictReader(stream), None)
        if first is None or any(column not in first for column in FLUENT_COLUMNS):
            raise UserError(f"{table}: expected rows with the columns {', '.join(FLUENT_COLUMNS)}")
        if not (root / first["path"]).is_file():
            raise UserError(f"{table}: its first recording {root / first['path']} is missing")
    return str(root)


def voxceleb1(path: str, split: str) -> tuple[str, str]:
    """Absolute root of VoxCeleb1 and of its identification split; the first recording of each part is there."""
    root = folder(path, "voxceleb1", "dev/wav and test/wav")
    if not split:
        raise UserError("option 'corpora.voxceleb1_split' is not set: give iden_split.txt")
    if not Path(split).is_file():
        raise UserError(f"corpora.voxceleb1_split={split}: no such file")
    first: dict[str, str] = {}
    for number, line in enumerate(Path(split).read_text(encoding="utf-8").splitlines(), 1):
        part, _, name = line.partition(" ")
        if part not in ("1", "2", "3") or not re.fullmatch(r"id1\d{4}/[^/]+/[^/]+\.wav", name):
            raise UserError(f"{split}:{number}: expected '1|2|3 id10001/VIDEO/00001.wav', found '{line}'")
        first.setdefault(part, name)
    for part, name in (("1", "training"), ("2", "dev"), ("3", "test")):
        if part not in first:
            raise UserError(f"{split}: no line of the {name} part ({part})")
        if next(root.glob(f"*/wav/{first[part]}"), None) is None:
            raise UserError(f"{root}: {first[part]} of {split} is neither in dev/wav nor in test/wav")
    return str(root), str(Path(split).resolve())


def iemocap(path: str, given: str, made: Path) -> tuple[str, str, str]:
    """Absolute root of IEMOCAP, a folder of fold tables `SessionN/{train,test}_meta_data.json`, and whose they are.

    Session N is the test set of fold N. s3prl draws the dev part from the order of the train table with seed 0, so
    that SUPERB's dev parts come from the tables of its repository alone: those given, or those of an s3prl that was
    installed from there (its wheel has none). Otherwise tables in alphabetical order are written to `made`; their test
    sets are the same.
    """
    root = folder(path, "iemocap", "Session1 to Session5")
    shipped = _shipped_tables()
    if given or shipped is not None:
        tables = folder(given, "iemocap_tables", "Session1 to Session5") if given else shipped
        for number in SESSIONS:
            for part in ("train", "test"):
                _check_table(tables / f"Session{number}" / f"{part}_meta_data.json", root)
        return str(root), str(tables), "folds and dev parts by the tables of s3prl's repository"
    by_session = {number: _session(root, number) for number in SESSIONS}
    for held_out in SESSIONS:
        train = [entry for number in SESSIONS if number != held_out for entry in by_session[number]]
        for part, entries in (("train", train), ("test", by_session[held_out])):
            write_json(made / f"Session{held_out}" / f"{part}_meta_data.json",
                       {"labels": EMOTIONS, "meta_data": entries})
    return str(root), str(made.resolve()), ("SUPERB's test folds, but not its dev parts: s3prl's wheel lacks its fold "
                                            "tables (give corpora.iemocap_tables)")


def _shipped_tables() -> Path | None:
    """The fold tables beside the installed s3prl, if it was installed from its repository."""
    package = importlib.util.find_spec("s3prl")
    if package is None or not package.submodule_search_locations:
        return None
    tables = Path(package.submodule_search_locations[0]) / "downstream" / "emotion" / "meta_data"
    return tables if tables.is_dir() else None


def _check_table(table: Path, root: Path) -> None:
    try:
        content = json.loads(table.read_text(encoding="utf-8"))
        first = content["meta_data"][0]["path"]
        labels = content["labels"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(f"{table}: not a fold table of s3prl ({type(error).__name__}); expected 'labels' and "
                        "'meta_data' with a 'path' each") from error
    if labels != EMOTIONS:
        raise UserError(f"{table}: its labels are {labels}, expected {EMOTIONS}")
    if not (root / first).is_file():
        raise UserError(f"{table}: its first recording {first} is not under {root}")


def _session(root: Path, number: int) -> list[dict[str, str]]:
    session = folder(str(root / f"Session{number}"), "iemocap", "sentences/wav and dialog/EmoEvaluation")
    reports = sorted(session.glob("dialog/EmoEvaluation/*.txt"))
    if not reports:
        raise UserError(f"{session / 'dialog' / 'EmoEvaluation'}: no label files (*.txt)")
    recordings = {wav.stem: wav for wav in session.glob("sentences/wav/*/*.wav")}
    entries = []
    for report in reports:
        for line in report.read_text(encoding="utf-8", errors="replace").splitlines():
            found = EMOTION_LINE.match(line)
            if found is None:
                continue
            utterance, label = found[1], found[2].replace("exc", "hap")
            if label in EMOTIONS and utterance in recordings:
                entries.append({"path": str(recordings[utterance].relative_to(root)), "label": label,
                                "speaker": utterance.split("_")[0]})
    if not entries:
        raise UserError(f"{session}: no recording with one of the labels {', '.join(EMOTIONS)}")
    return sorted(entries, key=lambda entry: entry["path"])
