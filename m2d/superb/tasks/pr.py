"""PR: phone recognition on LibriSpeech (s3prl downstream ctc/libriphone)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from m2d.common.files import first_match, write_text
from m2d.superb.ctc_corpora import PHONES, read_lexicon
from m2d.superb.task import TASKS, Corpora, Measure, Task, folder


def librispeech(path: str, splits: list[str]) -> str:
    """Absolute root of a LibriSpeech tree that has the given splits."""
    root = folder(path, "librispeech", "train-clean-100, dev-clean, test-clean")
    for split in splits:
        folder(str(root / split), "librispeech", f"the split {split}")
        first_match(root / split, "*/*/*.trans.txt", "SPEAKER/CHAPTER/*.trans.txt")
    return str(root)


def lexicon(paths: list[str]) -> list[str]:
    """Absolute paths of readable lexicons."""
    if not paths:
        raise ValueError("option 'corpora.lexicon' is not set: phone recognition needs files of 'WORD PH PH' lines")
    read_lexicon(paths)
    return [str(Path(path).resolve()) for path in paths]


def prepare(corpora: Corpora, tables: Path, config: dict[str, Any]) -> list[str]:
    """Corpus, lexicon, and SUPERB's 71 phones, one a line, which the wheel lacks."""
    expert = config["downstream_expert"]
    corpus = expert["corpus"]
    splits = corpus["train"] + corpus["dev"] + corpus["test"]
    root, lexicons = librispeech(corpora.librispeech, splits), lexicon(corpora.lexicon)
    corpus.update(path=root, lexicon=lexicons)
    write_text(tables / "phones.txt", "\n".join(PHONES) + "\n")
    expert["text"]["vocab_file"] = str(tables / "phones.txt")
    return [*(f"{root}/{split}" for split in splits), *lexicons]


def transcribed(root: str, splits: list[str]) -> Iterator[tuple[str, list[Path]]]:
    """The recording of every line of the transcripts of LibriSpeech's parts."""
    for split in splits:
        for transcript in Path(root, split).glob("*/*/*.trans.txt"):
            for line in transcript.read_text(encoding="utf-8").splitlines():
                yield split, [transcript.with_name(f"{line.partition(' ')[0]}.flac")]


def recordings(config: dict[str, Any]) -> Iterator[tuple[str, list[Path]]]:
    """Those of the three parts."""
    corpus = config["downstream_expert"]["corpus"]
    return transcribed(corpus["path"], corpus["train"] + corpus["dev"] + corpus["test"])


TASKS.register("pr")(Task("PR", "ctc", (Measure("pr", "PER", "test per: (.+)", lower_is_better=True),), prepare,
                          dev_is_error=True, recordings=recordings, published="librispeech"))
