"""SID: speaker identification on VoxCeleb1 (s3prl downstream voxceleb1)."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from m2d.superb.task import TASKS, Corpora, Measure, Task, file, folder


def voxceleb1(path: str, split: str, made: Path) -> tuple[str, str]:
    """Absolute root of VoxCeleb1 and of its identification split; the first recording of each part is there.

    Of a corpus whose two parts were merged into one `wav/`, the root is the folder `made`, in which that is `dev/wav`.
    """
    root = folder(path, "voxceleb1", "dev/wav and test/wav")
    if (root / "wav").is_dir() and not (root / "dev").exists():
        root = _as_dev(root / "wav", made)
    table = file(split, "voxceleb1_split", "iden_split.txt")
    first: dict[str, str] = {}
    for number, line in enumerate(table.read_text(encoding="utf-8").splitlines(), 1):
        part, _, name = line.partition(" ")
        if part not in ("1", "2", "3") or not re.fullmatch(r"id1\d{4}/[^/]+/[^/]+\.wav", name):
            raise ValueError(f"{split}:{number}: expected '1|2|3 id10001/VIDEO/00001.wav', found '{line}'")
        first.setdefault(part, name)
    for part, name in (("1", "training"), ("2", "dev"), ("3", "test")):
        if part not in first:
            raise ValueError(f"{split}: no line of the {name} part ({part})")
        if next(root.glob(f"*/wav/{first[part]}"), None) is None:
            raise ValueError(f"{root}: {first[part]} of {split} is neither in dev/wav nor in test/wav")
    return str(root), str(table)


def _as_dev(wav: Path, made: Path) -> Path:
    link = made.absolute() / "dev" / "wav"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(wav)
    return made.absolute()


def prepare(corpora: Corpora, tables: Path, config: dict[str, Any]) -> list[str]:
    """The corpus and its split."""
    root, split = voxceleb1(corpora.voxceleb1, corpora.voxceleb1_split, tables / "voxceleb1")
    config["downstream_expert"]["datarc"].update(file_path=root, meta_data=split)
    return [f"{root}/dev/wav", f"{root}/test/wav", split]


def recordings(config: dict[str, Any]) -> Iterator[tuple[str, list[Path]]]:
    """All lines of the split; s3prl looks in `*/wav`."""
    data = config["downstream_expert"]["datarc"]
    homes, parts = sorted(Path(data["file_path"]).glob("*/wav")), {"1": "train", "2": "dev", "3": "test"}
    for line in Path(data["meta_data"]).read_text(encoding="utf-8").splitlines():
        part, _, name = line.partition(" ")
        yield parts[part], [home / name for home in homes]


TASKS.register("sid")(Task("SID", "voxceleb1", (Measure("sid", "Acc", "test acc: (.+)"),), prepare,
                           recordings=recordings, published="voxceleb1", cut_at_random=True))
