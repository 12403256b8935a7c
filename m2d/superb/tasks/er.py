"""ER: emotion recognition on IEMOCAP (s3prl downstream emotion), one run per session."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from m2d.common.files import first_match, read_json, write_json
from m2d.superb.task import TASKS, Corpora, Measure, Task, folder

EMOTIONS = {"neu": 0, "hap": 1, "ang": 2, "sad": 3}
EMOTION_LINE = re.compile(r"^\[[^]]*\]\s+(\S+)\s+(\S+)")
SESSIONS = (1, 2, 3, 4, 5)


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
        content = read_json(table)
        first = content["meta_data"][0]["path"]
        labels = content["labels"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{table}: not a fold table of s3prl ({type(error).__name__}); expected 'labels' and "
                        "'meta_data' with a 'path' each") from error
    if labels != EMOTIONS:
        raise ValueError(f"{table}: its labels are {labels}, expected {EMOTIONS}")
    if not (root / first).is_file():
        raise ValueError(f"{table}: its first recording {first} is not under {root}")


def _session(root: Path, number: int) -> list[dict[str, str]]:
    session = folder(str(root / f"Session{number}"), "iemocap", "sentences/wav and dialog/EmoEvaluation")
    first_match(session / "dialog" / "EmoEvaluation", "*.txt", "label files (*.txt)")
    recordings = {wav.stem: wav for wav in session.glob("sentences/wav/*/*.wav")}
    entries = []
    for report in sorted(session.glob("dialog/EmoEvaluation/*.txt")):
        for line in report.read_text(encoding="utf-8", errors="replace").splitlines():
            found = EMOTION_LINE.match(line)
            if found is None:
                continue
            utterance, label = found[1], found[2].replace("exc", "hap")
            if label in EMOTIONS and utterance in recordings:
                entries.append({"path": str(recordings[utterance].relative_to(root)), "label": label,
                                "speaker": utterance.split("_")[0]})
    if not entries:
        raise ValueError(f"{session}: no recording with one of the labels {', '.join(EMOTIONS)}")
    return sorted(entries, key=lambda entry: entry["path"])


def prepare(corpora: Corpora, tables: Path, config: dict[str, Any]) -> list[str]:
    """The corpus and its fold tables."""
    root, folds, config["note"] = iemocap(corpora.iemocap, corpora.iemocap_tables, tables / "iemocap")
    config["downstream_expert"]["datarc"].update(root=root, meta_data=folds)
    return [*(f"{root}/Session{number}/sentences/wav" for number in SESSIONS), folds]


def recordings(config: dict[str, Any]) -> Iterator[tuple[str, list[Path]]]:
    """The test tables of the five folds, which together hold everything."""
    data = config["downstream_expert"]["datarc"]
    for number in SESSIONS:
        table = read_json(Path(data["meta_data"], f"Session{number}", "test_meta_data.json"))
        for entry in table["meta_data"]:
            yield f"Session{number}", [Path(data["root"], entry["path"])]


TASKS.register("er")(Task("ER", "emotion", (Measure("er", "Acc", "test acc: (.+)"),), prepare, folds=SESSIONS,
                          recordings=recordings, published="iemocap"))
