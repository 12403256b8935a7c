"""Two corpora that s3prl's wheel leaves out: LibriSpeech with phones from a lexicon, Audio SNIPS with slots."""

import re
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from m2d.common.errors import UserError
from m2d.common.files import existing_file, existing_folder, first_match

VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
CONSONANTS = ("B", "CH", "D", "DH", "F", "G", "HH", "JH", "K", "L", "M", "N", "NG", "P", "R", "S", "SH", "T", "TH",
              "V", "W", "Y", "Z", "ZH")
PHONES = ("SIL", "SPN", *sorted([vowel + stress for vowel in VOWELS for stress in "012"] + list(CONSONANTS)))
"""SUPERB's 71 output phones: ARPAbet with stress, silence and spoken noise."""

SLOTS = "all.iob.snips.txt"

VARIANT = re.compile(r"\(\d+\)$")


class BucketDataset(Dataset):
    """Clips in order of token count, longest first; an item is a clip or a bucket of neighbours."""

    def __init__(self, clips: list[tuple[Path, list[int]]], bucket_size: int):
        self.clips = sorted(clips, key=lambda clip: len(clip[1]), reverse=True)
        self.bucket_size = min(bucket_size, len(self.clips))

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Any:
        """`(path, token ids)`, or with buckets a list of `bucket_size` of them that starts at the clip."""
        if self.bucket_size == 1:
            return self.clips[index]
        first = min(index, len(self.clips) - self.bucket_size)
        return self.clips[first:first + self.bucket_size]


class LibriPhoneDataset(BucketDataset):
    """LibriSpeech with phones; s3prl builds it as `Dataset(splits, tokenizer, bucket_size, path=..., lexicon=...)`."""

    def __init__(self, split: list[str], tokenizer: Any, bucket_size: int, path: str, lexicon: list[str], **_: Any):
        """Clips of `path/SPLIT/S/C/S-C.trans.txt`. `UserError` for a missing split, words that no lexicon has."""
        pronunciations = read_lexicon(lexicon)
        transcripts = read_transcripts(Path(path), split)
        unknown = {word for words in transcripts.values() for word in words} - pronunciations.keys()
        if unknown:
            shown = ", ".join(sorted(unknown)[:5])
            raise UserError(f"{', '.join(lexicon)}: no pronunciation for {len(unknown)} words of {path} ({shown}): "
                            "add them to a lexicon file")
        super().__init__([(clip, tokenizer.encode(" ".join(pronunciations[word] for word in words)))
                          for clip, words in sorted(transcripts.items())], bucket_size)


def read_lexicon(paths: list[str]) -> dict[str, str]:
    """Word in capitals -> its phones, separated by blanks; the first pronunciation counts.

    Lines are `WORD PH PH ...` as in s3prl's lists or CMUdict (`;;;` comments and `WORD(2)` variants are left out).

    Raises `UserError` for a missing file, an empty one, or a phone outside `PHONES`.
    """
    known = set(PHONES)
    pronunciations: dict[str, str] = {}
    for path in paths:
        existing_file(path, "lexicon; give lines 'WORD PH PH ...' such as CMUdict's")
        for number, line in enumerate(Path(path).read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            word, *phones = line.split("#")[0].split() or [""]
            if not phones or word.startswith(";;;") or VARIANT.search(word):
                continue
            strange = [phone for phone in phones if phone not in known]
            if strange:
                raise UserError(f"{path}:{number}: '{strange[0]}' is not one of the {len(PHONES)} ARPAbet phones "
                                "(vowels carry a stress digit)")
            pronunciations.setdefault(word.upper(), " ".join(phones))
    if not pronunciations:
        raise UserError(f"{', '.join(paths) or 'lexicon'}: no pronunciations found")
    return pronunciations


def read_transcripts(root: Path, splits: list[str]) -> dict[Path, list[str]]:
    """Audio file -> its words in capitals, for every clip of the given splits of a LibriSpeech tree.

    Raises `UserError` for a missing split, a split without transcripts, and a transcript without its audio file.
    """
    words: dict[Path, list[str]] = {}
    for split in splits:
        existing_folder(root / split, "LibriSpeech split")
        first_match(root / split, "*/*/*.trans.txt", "SPEAKER/CHAPTER/*.trans.txt")
        for table in sorted((root / split).glob("*/*/*.trans.txt")):
            present = {audio.stem: audio for audio in table.parent.glob("*.flac")}
            for line in table.read_text(encoding="utf-8").splitlines():
                utterance, *text = line.split()
                if utterance not in present:
                    raise UserError(f"{table}: utterance {utterance} has no {utterance}.flac beside it")
                words[present[utterance]] = [word.upper() for word in text]
    return words


class SnipsDataset(BucketDataset):
    """Clips `PATH/SPLIT/SPEAKER-snips-SPLIT-N.wav` of the chosen speakers in order of token count, longest first.

    s3prl builds it as `Dataset(splits, tokenizer, bucket_size, path=..., train_speakers=..., ...)`.
    """

    def __init__(self, split: list[str], tokenizer: Any, bucket_size: int, path: str, **options: Any):
        """Raises `UserError` for a split without clips of its speakers."""
        lines = read_slots(Path(path))
        speakers = tuple(options[f"{split[0]}_speakers"])
        clips = [clip for part in split for clip in sorted((Path(path) / part).rglob("*.wav"))
                 if clip.stem in lines and clip.stem.startswith(speakers)]
        if not clips:
            raise UserError(f"{path}: {', '.join(split)} has no clip of {', '.join(speakers)} with a line in "
                            f"{SLOTS}")
        super().__init__([(clip, tokenizer.encode(lines[clip.stem])) for clip in clips], bucket_size)


def read_slots(root: Path) -> dict[str, str]:
    """Utterance -> `BOS WORDS EOS<tab>O SLOTS O`, as the tokenizer takes it."""
    table = root / SLOTS
    existing_file(table, f"file; is {root} the preprocessed Audio SNIPS (SNIPS)?")
    pairs = (line.strip().partition(" ") for line in table.read_text(encoding="utf-8").splitlines())
    return {utterance: text for utterance, _, text in pairs if text}
