"""ASR: character CTC on LibriSpeech, decoded without a language model (s3prl downstream asr)."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import soundfile

from m2d.common.files import atomic_open, write_text
from m2d.superb.task import TASKS, Corpora, Measure, Task
from m2d.superb.tasks.pr import librispeech, transcribed

CHARACTERS = "|ETAONIHSRDLUMCWFGYPBVK'XJQZ"
"""SUPERB's output symbols in its order: `|` ends a word."""


def prepare(corpora: Corpora, tables: Path, config: dict[str, Any]) -> list[str]:
    """Corpus, and what the wheel lacks: the symbols (with counts, which only their order needs) and the lengths."""
    data = config["downstream_expert"]["datarc"]
    splits = data["train"] + data["dev-clean"] + data["test-clean"]
    root = librispeech(corpora.librispeech, splits)
    counted = zip(CHARACTERS, range(len(CHARACTERS), 0, -1), strict=True)
    write_text(tables / "characters.txt", "".join(f"{symbol} {count}\n" for symbol, count in counted))
    for split in splits:
        _write_lengths(Path(root), split, tables / "lengths" / f"{split}.csv")
    data.update(libri_root=root, dict_path=str(tables / "characters.txt"), bucket_file=str(tables / "lengths"))
    return [f"{root}/{split}" for split in splits]


def _write_lengths(root: Path, split: str, table: Path) -> None:
    """`file_path,length` of each clip in samples, longest first: s3prl makes its batches from this order."""
    lengths = {str(clip.relative_to(root)): soundfile.info(clip).frames for clip in (root / split).glob("*/*/*.flac")}
    with atomic_open(table) as stream:
        rows = csv.writer(stream)
        rows.writerow(["file_path", "length"])
        rows.writerows(sorted(lengths.items(), key=lambda clip: (-clip[1], clip[0])))


def recordings(config: dict[str, Any]) -> Iterator[tuple[str, list[Path]]]:
    """Those of the three parts."""
    data = config["downstream_expert"]["datarc"]
    return transcribed(data["libri_root"], data["train"] + data["dev-clean"] + data["test-clean"])


TASKS.register("asr")(Task("ASR", "asr", (Measure("asr", "WER", "test-clean wer: (.+)", 1.0, lower_is_better=True),),
                           prepare, split="test-clean", best="dev-clean-best.ckpt", dev_is_error=True,
                           recordings=recordings, published="librispeech"))
