"""SID: speaker identification on VoxCeleb1 (s3prl downstream voxceleb1)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from m2d.common.errors import UserError
from m2d.superb.task import TASKS, Corpora, Measure, Task, file, folder


def voxceleb1(path: str, split: str) -> tuple[str, str]:
    """Absolute root of VoxCeleb1 and of its identification split; the first recording of each part is there."""
    root = folder(path, "voxceleb1", "dev/wav and test/wav")
    table = file(split, "voxceleb1_split", "iden_split.txt")
    first: dict[str, str] = {}
    for number, line in enumerate(table.read_text(encoding="utf-8").splitlines(), 1):
        part, _, name = line.partition(" ")
        if part not in ("1", "2", "3") or not re.fullmatch(r"id1\d{4}/[^/]+/[^/]+\.wav", name):
            raise UserError(f"{split}:{number}: expected '1|2|3 id10001/VIDEO/00001.wav', found '{line}'")
        first.setdefault(part, name)
    for part, name in (("1", "training"), ("2", "dev"), ("3", "test")):
        if part not in first:
            raise UserError(f"{split}: no line of the {name} part ({part})")
        if next(root.glob(f"*/wav/{first[part]}"), None) is None:
            raise UserError(f"{root}: {first[part]} of {split} is neither in dev/wav nor in test/wav")
    return str(root), str(table)


def prepare(corpora: Corpora, tables: Path, config: dict[str, Any]) -> list[str]:
    """The corpus and its split."""
    root, split = voxceleb1(corpora.voxceleb1, corpora.voxceleb1_split)
    config["downstream_expert"]["datarc"].update(file_path=root, meta_data=split)
    return [f"{root}/dev/wav", f"{root}/test/wav", split]


TASKS.register("sid")(Task("SID", "voxceleb1", (Measure("sid", "Acc", "test acc: (.+)"),), prepare))
