"""The slot-filling corpus that s3prl's wheel leaves out: Audio SNIPS clips with their words and slots."""

from pathlib import Path
from typing import Any

from m2d.common.errors import UserError
from m2d.common.files import existing_file
from m2d.superb.libriphone import BucketDataset

TRANSCRIPTS = "all.iob.snips.txt"


class SnipsDataset(BucketDataset):
    """Clips `PATH/SPLIT/SPEAKER-snips-SPLIT-N.wav` of the chosen speakers in order of token count, longest first.

    s3prl builds it as `Dataset(splits, tokenizer, bucket_size, path=..., train_speakers=..., ...)`.
    """

    def __init__(self, split: list[str], tokenizer: Any, bucket_size: int, path: str, **options: Any):
        """Raises `UserError` for a split without clips of its speakers."""
        lines = read_transcripts(Path(path))
        speakers = tuple(options[f"{split[0]}_speakers"])
        clips = [clip for part in split for clip in sorted((Path(path) / part).rglob("*.wav"))
                 if clip.stem in lines and clip.stem.startswith(speakers)]
        if not clips:
            raise UserError(f"{path}: {', '.join(split)} has no clip of {', '.join(speakers)} with a line in "
                            f"{TRANSCRIPTS}")
        super().__init__([(clip, tokenizer.encode(lines[clip.stem])) for clip in clips], bucket_size)


def read_transcripts(root: Path) -> dict[str, str]:
    """Utterance -> `BOS WORDS EOS<tab>O SLOTS O`, as the tokenizer takes it."""
    table = root / TRANSCRIPTS
    existing_file(table, f"file; is {root} the preprocessed Audio SNIPS (SNIPS)?")
    pairs = (line.strip().partition(" ") for line in table.read_text(encoding="utf-8").splitlines())
    return {utterance: text for utterance, _, text in pairs if text}
