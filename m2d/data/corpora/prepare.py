"""The data stage: from its options to data directories."""

import inspect
import logging
from dataclasses import dataclass
from pathlib import Path

from m2d.audio.containers import split_reference
from m2d.audio.wave import AudioError, audio_duration
from m2d.common.config import option
from m2d.common.errors import UserError
from m2d.common.files import in_threads
from m2d.common.progress import progress
from m2d.common.stamp import is_made, mark_made, stamp_of
from m2d.data.corpora import CORPORA, warn_of
from m2d.data.corpora.published import Size, compared, published
from m2d.data.datadir import DataDir

LOG = logging.getLogger(__name__)

OF_CORPORA = ("parts", "metadata", "segment_seconds")
"""Options that only some corpora have."""

CLIP_S, CLIP_TOLERANCE_S = 10.0, 0.5
"""Length of AudioSet's clips."""


@dataclass
class PrepareConfig:
    """What to read, and where to write it."""

    corpus: str = option(help="layout: librispeech, audioset, folder (any audio, or a list of files), parquet ...")
    root: str = option(help="the corpus as downloaded")
    out: str = option(help="data directory to write")
    parts: list[str] = option(help="librispeech: train-clean-100 ...; audioset: balanced_train ...", factory=list)
    metadata: str | None = option(None, "audioset: folder of the official lists, when it is not root")
    segment_seconds: float | None = option(None, "folder: cut longer recordings into equal parts of at most this",
                                            within="(0, inf)")
    valid_out: str | None = option(None, "data directory for held-out utterances, of other speakers where known")
    valid_utterances: int | None = option(None, "how many to hold out, at least; goes with valid_out",
                                             within="[1, inf)")
    seed: int = option(0, "which speakers or recordings are held out")


def prepare(config: PrepareConfig) -> None:
    """Write the data directory and that of held-out utterances, unless both were made from these options and files.

    Raises `UserError` for an option that does not apply to the corpus, and as the readers of the corpora do.
    """
    read = CORPORA.get(config.corpus)
    applying = inspect.signature(read).parameters.keys()
    for name in OF_CORPORA:
        if getattr(config, name) not in (None, []) and name not in applying:
            raise UserError(f"{name} does not apply to corpus={config.corpus}")
    if (config.valid_out is None) != (config.valid_utterances is None):
        raise UserError("valid_out and valid_utterances go together")
    folders = [config.out] if config.valid_out is None else [config.out, config.valid_out]
    if is_made(stamp := stamp_of(config, _sources(config)), *folders):
        LOG.info("%s: already done", config.out)
        return
    data = read(**{name: getattr(config, name) for name in applying})
    measure(data)
    _show_size(config, data)
    if config.valid_out is not None:
        data, valid = data.hold_out(config.valid_utterances, config.seed)
        valid.write(config.valid_out)
        LOG.info("%s: %d utterances held out", config.valid_out, len(valid))
    data.write(config.out)
    mark_made(stamp, *folders)
    LOG.info("%s: %d utterances", config.out, len(data))


def _show_size(config: PrepareConfig, data: DataDir) -> None:
    """Log the numbers of utterances, hours and speakers beside the published ones."""
    hours = sum(data.utt2dur.values()) / 3600 if data.utt2dur else None
    found = Size(len(data), hours, len(set(data.utt2spk.values())) or None)
    seconds = list(data.utt2dur.values()) if config.corpus == "audioset" else []
    if other := sum(abs(length - CLIP_S) > CLIP_TOLERANCE_S for length in seconds):
        LOG.info("%d of %d recordings are not %g s long (%g s more or less): from %.1f to %.1f s", other, len(seconds),
                 CLIP_S, CLIP_TOLERANCE_S, min(seconds), max(seconds))
    words, differs = compared(found, published(config.corpus, config.parts))
    LOG.log(logging.WARNING if differs else logging.INFO, "%s: %s", " + ".join(config.parts) or config.root, words)


def _sources(config: PrepareConfig) -> list[Path]:
    """The folders and files that the data directory is made from: of a corpus in parts, the selected ones."""
    root = Path(config.root)
    parts = [folder / part for part in config.parts for folder in (root, root / "LibriSpeech")]
    metadata = [] if config.metadata is None else [Path(config.metadata)]
    return ([part for part in parts if part.is_dir()] or [root]) + metadata


def measure(data: DataDir) -> None:
    """Fill `utt2dur` if it is empty, except for recordings inside container files, which would have to be decoded.

    Files that can't be opened are logged and have no length; the feature stage skips them.
    """
    if data.utt2dur:
        return
    plain = [key for key, path in data.wav.items() if split_reference(path) is None]
    seconds: dict[str, float] = {}
    faults: list[str] = []
    found = in_threads(_duration, (data.wav[key] for key in plain))
    for key, length in progress(zip(plain, found, strict=True), "lengths", total=len(plain)):
        if isinstance(length, float):
            seconds[key] = length
        else:
            faults.append(str(length))
    warn_of(faults, f"{len(data.wav)} recordings")
    if not data.segments:
        data.utt2dur = seconds
        return
    for utterance, (recording, start, end) in data.segments.items():
        if recording in seconds:
            data.utt2dur[utterance] = (min(end, seconds[recording]) if end >= 0 else seconds[recording]) - start


def _duration(path: str) -> float | AudioError:
    try:
        return audio_duration(Path(path))
    except AudioError as error:
        return error
