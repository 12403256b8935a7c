"""Common names of table columns and JSON fields, and their conversion to a data directory."""

import re
from collections.abc import Mapping
from typing import Any

from m2d.common.errors import UserError
from m2d.data.datadir import DataDir

TEXT = ("text", "transcription", "transcript", "sentence", "normalized_text")
SPEAKER = ("speaker", "speaker_id", "spk", "client_id")
LABEL = ("label", "labels", "category", "class", "human_labels", "cls")
ID = ("id", "utt_id", "utterance_id", "file", "file_name", "filename", "key", "video_id")


def add(data: DataDir, utterance: str, source: str, fields: Mapping[str, Any]) -> None:
    """Add an utterance with text, speaker and labels of `fields`, its id without blanks. `UserError` for it twice."""
    utterance = re.sub(r"\s+", "_", utterance)
    if utterance in data.wav:
        raise UserError(f"{source} and {data.wav[utterance]} have the same id '{utterance}'")
    data.wav[utterance] = source
    for names, table in ((TEXT, data.text), (LABEL, data.labels), (SPEAKER, data.utt2spk)):
        value = first(fields, names)
        if value is not None:
            words = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
            table[utterance] = " ".join(words.split())


def first(fields: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The value of the first of these names that is present and not empty."""
    return next((fields[name] for name in names if fields.get(name) not in (None, "", [])), None)


def finish(data: DataDir, root: object, what: str) -> DataDir:
    """The directory, without speakers unless every utterance has one. Raises `UserError` if it is empty."""
    if not data.wav:
        raise UserError(f"{root}: no audio in it: {what}")
    if len(data.utt2spk) < len(data.wav):
        data.utt2spk = {}
    return data
