#!/usr/bin/env python3
"""Marks of finished stages: whether a stage is done, judged by the content of what it follows from.

usage: mark.py begin MARK WORD...     exit code 0: to be done; 3: done before; 1: it can't be, for the reason printed
       mark.py end MARK OUTPUT...     the stage is done; what it wrote is printed
       mark.py anew MARK WORD...      the stage began on folders of other inputs (--out, --keep): they are cleared away

What the stage follows from:
  NAME=VALUE            a setting
  --yaml FILE           settings in a file: keys and values count, comments and layout do not
  --corpus NAME=PATH    a corpus folder, a text list of audio, or a file: names, sizes and times of all its files
  --data DIR            a data directory or a prepared task: its tables, sizes and times of its audio; indexed images
  --store DIR           packed features: their frames
  --weights PATH        a model's folder or file: its bytes; of a name that is no path here, the name
  --model NAME          a model by its name in evaluations (see m2d.pretrained.names): the name and the bytes behind it
  --after MARK          an earlier stage: its outputs. It must be done
  --needs MARK          an earlier stage that must be done, and no more
What does not make other results wrong:
  --more NAME=VALUE     how much is done (seeds): a change has the stage run again over what is there
  --interim NAME=VALUE  how it is divided (jobs): a change counts only for what an interrupted run left
What becomes of outputs that followed from something else:
  --out DIR             removed
  --keep DIR            moved to exp/old/DATE: it took hours
OUTPUTs are --data, --store, --weights; their identity is what --after sees. MARK.begun notes what an unfinished stage
follows from. Both are JSON, a line for each key.
"""

import csv
import json
import os
import shutil
import sys
import time
from pathlib import Path

import yaml

from m2d.audio.containers import SEPARATOR, split_reference
from m2d.common.errors import UserError
from m2d.common.files import disk_size, sha256, write_json
from m2d.common.progress import duration
from m2d.common.stamp import STAMP, corpus_identity, digest_of, files_identity
from m2d.data.damage import store_damage
from m2d.data.format import read_meta
from m2d.pretrained.names import parse_model

DONE_BEFORE = 3
DAMAGED = "damaged"
WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".json")


class MarkError(Exception):
    """One line for the user."""


def yaml_identity(path: str) -> str:
    """Digest of the keys and values of a YAML file; of its bytes where it is not valid, for its reader to refuse."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        return sha256(path)
    except OSError as error:
        raise MarkError(f"{path}: {error.strerror}") from error
    return digest_of(json.dumps(content, sort_keys=True, default=str))


def data_identity(path: str) -> str:
    """Digest of a data directory (wav.scp), a prepared task (task.json) or an indexed list of images (images.json)."""
    folder = Path(path)
    if (folder / "wav.scp").is_file():
        tables = sorted(entry for entry in folder.glob("*") if entry.is_file() and entry.name not in (STAMP, "wav.scp"))
        parts = [f"{table.name} {sha256(table)}" for table in tables]
        with open(folder / "wav.scp", encoding="utf-8") as stream:
            rows = (line.rstrip("\n").partition(" ") for line in stream)
            return digest_of(*parts, files_identity(Path(), ((key, _file_of(name.strip())) for key, _, name in rows)))
    if (folder / "task.json").is_file():  # statistics and log-mels that evaluations keep there follow from these two
        parts = [f"{name} {sha256(folder / name)}" for name in ("task.json", "table.csv")]
        root = json.loads((folder / "task.json").read_text(encoding="utf-8"))["root"]
        with open(folder / "table.csv", newline="", encoding="utf-8") as stream:
            names = (row["file_name"] for row in csv.DictReader(stream))
            return digest_of(*parts, files_identity(Path(), ((name, _file_of(f"{root}/{name}")) for name in names)))
    if (folder / "images.json").is_file():
        return json.loads((folder / "stats.json").read_text(encoding="utf-8"))["content"]
    return "absent"


def _file_of(name: str) -> str:
    """The file that audio lies in: of a reference to an entry of a larger file (FILE::KEY), that file."""
    place = split_reference(name) if SEPARATOR in name else None
    return name if place is None else str(place[0])


def store_identity(path: str) -> str:
    """The content of a packed store whose shards are as they were written; a word where they are not."""
    try:
        meta = read_meta(path)
    except UserError:
        return DAMAGED
    return DAMAGED if store_damage(Path(path), meta) else meta["content"]


def weights_identity(path: str) -> str:
    """Digest of a model's weights and configuration."""
    if not os.path.exists(path):
        return path
    files = sorted(entry for entry in Path(path).iterdir() if entry.suffix in WEIGHTS) if os.path.isdir(path) \
        else [Path(path)]
    return digest_of(*(f"{file.name} {sha256(file)}" for file in files))


def model_identity(text: str) -> str:
    """Identity of what a model's name stands for; of random weights that are drawn anew, the configuration's."""
    try:
        name = parse_model(text)
    except UserError as error:
        raise MarkError(str(error)) from error
    path = name.detail if name.kind == "s3prl" else name.source
    if name.kind == "random" and os.path.isfile(f"{path}/config.json"):
        config = json.loads(Path(path, "config.json").read_text(encoding="utf-8"))
        return digest_of(text, json.dumps({**config, "origin": None}, sort_keys=True))
    return digest_of(text, weights_identity(path))


IDENTITIES = {"yaml": yaml_identity, "data": data_identity, "store": store_identity, "weights": weights_identity,
              "model": model_identity}


class Words:
    """The words after MARK: `inputs`, `more`, `interim` (key to value), and folders to `out` (remove) or `keep`."""

    def __init__(self, words: list[str]):
        self.inputs: dict[str, str] = {}
        self.more: dict[str, str] = {}
        self.interim: dict[str, str] = {}
        self.out: list[Path] = []
        self.keep: list[Path] = []
        rest = iter(words)
        for word in rest:
            if word.startswith("--"):
                self._option(word[2:], next(rest))
            elif word:
                self._setting(self.inputs, word)

    def _option(self, kind: str, value: str) -> None:
        if kind in ("more", "interim"):
            self._setting(getattr(self, kind), value)
        elif kind in ("out", "keep"):
            getattr(self, kind).append(Path(value))
        elif kind in ("after", "needs"):
            mark = read(Path(value))
            if mark is None:
                raise MarkError(f"it needs an earlier stage that is not done ({value} is missing)")
            if kind == "after":
                self.inputs[f"after {value}"] = digest_of(*mark["outputs"].values()) if mark["outputs"] \
                    else mark["finished"]
        elif kind == "corpus":
            name, _, path = value.partition("=")
            self.inputs[name] = f"{path} ({corpus_identity(path)})" if path else ""
        else:
            self.inputs[f"{kind} {value}"] = IDENTITIES[kind](value)

    @staticmethod
    def _setting(table: dict[str, str], word: str) -> None:
        name, _, value = word.partition("=")
        table[name] = value


def read(path: Path) -> dict | None:
    """A mark; None where there is none, or one of an older form."""
    try:
        mark = json.loads(path.read_text(encoding="utf-8"))
        return mark if isinstance(mark, dict) and "inputs" in mark else None
    except (OSError, ValueError):
        return None


def begin(path: Path, words: Words) -> int:
    """Decide whether the stage is to be done, and clear the way for it."""
    mark, begun = read(path), read(path.with_name(path.name + ".begun"))
    more = mark is not None and mark["inputs"] == words.inputs
    if more:
        changed = changed_outputs(mark["outputs"])
        more = changed <= {DAMAGED}
        if mark["more"] == words.more and not changed:
            return DONE_BEFORE
    if mark is not None:
        for line in differences({**mark["inputs"], **mark["more"]}, {**words.inputs, **words.more}):
            print(f"    {line}", file=sys.stderr)
        if mark.get("seconds", 0) >= 10:
            print(f"    the last time it took {duration(mark['seconds'])}", file=sys.stderr)
    goes_on = more or (mark is None and begun is not None and begun["inputs"] == words.inputs
                       and begun["interim"] == words.interim)
    if not goes_on:
        discard(words)
    for folder in {path.parent, *words.out, *words.keep}:
        sweep(folder, deep=folder != path.parent)
    path.unlink(missing_ok=True)
    write_json(path.with_name(path.name + ".begun"), {
        "inputs": words.inputs, "more": words.more, "interim": words.interim,
        "writes": [str(folder) for folder in (*words.out, *words.keep)]})
    return 0


def changed_outputs(outputs: dict[str, str]) -> set[str]:
    """What became of outputs that are not as the stage left them: `DAMAGED` (or lost), or a store's other content."""
    changed = set()
    for name, before in outputs.items():
        kind, _, path = name.partition(" ")
        now = DAMAGED if not os.path.exists(path) else store_identity(path) if kind == "store" else before
        if now != before:
            print(f"    {path} is not as the stage left it", file=sys.stderr)
            changed.add(now)
    return changed


def anew(path: Path, words: Words) -> int:
    """Clear away the folders of a stage that has begun and stays begun."""
    begun = read(path.with_name(path.name + ".begun"))
    discard(words)
    write_json(path.with_name(path.name + ".begun"), begun)
    return 0


def discard(words: Words) -> None:
    """Remove or move outputs whose inputs differ or are unknown."""
    for folder in words.out:
        if folder.exists():
            print(f"    {folder} is of other inputs: removed, to be made anew", file=sys.stderr)
            shutil.rmtree(folder)
    for folder in words.keep:
        if folder.exists():
            first, *below = folder.parts
            date, number = time.strftime("%Y%m%d-%H%M%S"), 1
            while (aside := Path(first, "old", date if number == 1 else f"{date}-{number}", *below)).exists():
                number += 1
            aside.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(aside)
            print(f"    {folder} is of other inputs: moved to {aside}", file=sys.stderr)


def sweep(folder: Path, deep: bool) -> None:
    """Remove half-written files (see m2d.common.files) that a killed run left: the stage's lock says nobody writes."""
    for stale in folder.rglob(".*.tmp") if deep else folder.glob(".*.tmp"):
        shutil.rmtree(stale, ignore_errors=True) if stale.is_dir() else stale.unlink(missing_ok=True)


def differences(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """What changed, a line each; long digests are not shown."""
    lines = []
    for key in sorted(key for key in {*before, *now} if before.get(key) != now.get(key)):
        old, new = before.get(key), now.get(key)
        is_setting = not any(value is not None and len(value) > 60 for value in (old, new))
        lines.append(f"changed: {key}" + (f": {show(old)} -> {show(new)}" if is_setting else ""))
    return lines


def show(value: str | None) -> str:
    """A setting's value for a message."""
    return "not given" if value is None else f"'{value}'"


def end(path: Path, words: list[str]) -> int:
    """Write the mark from what the stage began with and the identity of its outputs; print what the stage wrote."""
    begun_path = path.with_name(path.name + ".begun")
    if (begun := read(begun_path)) is None:
        raise MarkError(f"{begun_path} is gone: the stage's inputs are not known")
    outputs, seconds = Words(words).inputs, time.time() - begun_path.stat().st_mtime
    write_json(path, {"finished": time.strftime("%Y-%m-%d %H:%M:%S"), "seconds": round(seconds),
                      **{k: begun[k] for k in ("inputs", "more")}, "outputs": outputs})
    begun_path.unlink()
    written = dict.fromkeys([*begun.get("writes", []), *(name.split(" ", 1)[1] for name in outputs)])
    print(", ".join(f"{name} ({disk_size(Path(name))})" for name in written if os.path.exists(name)))
    return 0


def main(verb: str, mark: str, *words: str) -> int:
    """Do what the command line says; the exit code."""
    try:
        if verb == "end":
            return end(Path(mark), list(words))
        return {"begin": begin, "anew": anew}[verb](Path(mark), Words(list(words)))
    except MarkError as error:
        print(error)
    except OSError as error:
        print(f"{error.filename}: {error.strerror}")
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
