"""ASV: speaker verification on VoxCeleb1 (s3prl downstream sv_voxceleb1)."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from m2d.common.files import first_match, write_text
from m2d.pretrained.s3prl_compat import libsox_works
from m2d.superb.task import TASKS, Corpora, Measure, Task, file, folder


def prepare(corpora: Corpora, tables: Path, config: dict[str, Any]) -> list[str]:
    """The corpus and its pairs; the lengths that s3prl keeps go to the folder of the tables."""
    if not libsox_works():
        raise ValueError("ASV trims silence with libsox through torchaudio: install libsox-dev (Debian, Ubuntu) and a "
                        "torchaudio before 2.9, or leave it out (--tasks)")
    root = folder(corpora.voxceleb1, "voxceleb1", "dev/wav and test/wav")
    pairs = file(corpora.voxceleb1_pairs, "voxceleb1_pairs", "veri_test.txt")
    labels = set()
    for number, line in enumerate(pairs.read_text(encoding="utf-8").splitlines(), 1):
        if not re.fullmatch(r"[01]( id1\d{4}/[^/ ]+/[^/ ]+\.wav){2}", line):
            raise ValueError(f"{pairs}:{number}: expected '0|1 id10270/VIDEO/00001.wav id10273/VIDEO/00002.wav', "
                            f"found '{line}'")
        labels.add(line[0])
    if labels != {"0", "1"}:
        raise ValueError(f"{pairs}: pairs of one speaker (1) and of two (0) are needed")
    first_match(root / "dev" / "wav", "*/*/*.wav", "SPEAKER/VIDEO/*.wav")
    write_text(tables / "no_dev.txt", "")
    config["downstream_expert"]["datarc"].update(
        file_path=str(root), test_meta_data=str(pairs),
        **dict.fromkeys(("train_meta_data", "dev_meta_data"), str(tables / "no_dev.txt")))
    return [f"{root}/dev/wav", f"{root}/test/wav", str(pairs)]


def recordings(config: dict[str, Any]) -> Iterator[tuple[str, list[Path]]]:
    """Those of the pairs."""
    data = config["downstream_expert"]["datarc"]
    pairs = Path(data["test_meta_data"]).read_text(encoding="utf-8").split()
    for name in sorted({word for word in pairs if len(word) > 1}):
        yield "pairs", [Path(data["file_path"]) / "test" / "wav" / name]


TASKS.register("asv")(Task(
    "ASV", "sv_voxceleb1", (Measure("asv", "EER", "sv-voxceleb1/test-EER: (.+)", lower_is_better=True),), prepare,
    recordings=recordings, dev_is_error=True, every_state=True, cut_at_random=True))
