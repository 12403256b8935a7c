"""From the options of the data stage to data directories."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from m2d.common.config import nearest, option
from m2d.common.errors import UserError
from m2d.common.stamp import is_made, mark_made, stamp_of
from m2d.data.corpora.audioset import read_audioset
from m2d.data.corpora.folder import read_folder
from m2d.data.corpora.librispeech import read_librispeech
from m2d.data.datadir import DataDir

LOG = logging.getLogger(__name__)

CORPORA = ("librispeech", "audioset", "folder")


@dataclass
class PrepareConfig:
    """What to read, and where to write it."""

    corpus: str = option(help="librispeech, audioset, or folder (any audio: a folder or a text list of files)")
    root: str = option(help="the corpus as downloaded")
    out: str = option(help="data directory to write")
    parts: list[str] = option(help="librispeech: train-clean-100 ...; audioset: balanced_train ...", factory=list)
    metadata: str | None = option(None, "audioset: folder of the official lists, when it is not root")
    segment_seconds: float | None = option(None, "folder: cut longer recordings into equal parts of at most this")
    valid_out: str | None = option(None, "data directory for held-out utterances, of other speakers where known")
    valid_utterances: int | None = option(None, "how many to hold out, at least; goes with valid_out")
    seed: int = option(0, "which speakers or recordings are held out")


def prepare(config: PrepareConfig) -> None:
    """Write the data directory, and that of held-out utterances when asked, unless they are of these options and files.

    Raises `UserError` for an option that does not apply to the corpus, and as the readers of the corpora do.
    """
    _check(config)
    folders = [config.out] if config.valid_out is None else [config.out, config.valid_out]
    if is_made(stamp := stamp_of(config, _sources(config)), *folders):
        LOG.info("%s: already done", config.out)
        return
    data = _read(config)
    if config.valid_out is not None:
        data, valid = data.hold_out(config.valid_utterances, config.seed)
        valid.write(config.valid_out)
        LOG.info("%s: %d utterances held out", config.valid_out, len(valid))
    data.write(config.out)
    mark_made(stamp, *folders)
    LOG.info("%s: %d utterances", config.out, len(data))


def _sources(config: PrepareConfig) -> list[Path]:
    """The folders and files whose content the data directory follows from."""
    root = Path(config.root)
    if config.corpus == "librispeech":
        return [root / part if (root / part).is_dir() else root / "LibriSpeech" / part for part in config.parts]
    return [root] if config.metadata is None else [root, Path(config.metadata)]


def _read(config: PrepareConfig) -> DataDir:
    if config.corpus == "librispeech":
        return read_librispeech(config.root, config.parts)
    if config.corpus == "audioset":
        return read_audioset(config.root, config.parts, config.metadata)
    return read_folder(config.root, config.segment_seconds)


def _check(config: PrepareConfig) -> None:
    if config.corpus not in CORPORA:
        raise UserError(f"corpus={config.corpus}: unknown{nearest(config.corpus, list(CORPORA))} "
                        f"(one of {', '.join(CORPORA)})")
    for name, corpora in (("parts", {"librispeech", "audioset"}), ("metadata", {"audioset"}),
                          ("segment_seconds", {"folder"})):
        if getattr(config, name) not in (None, []) and config.corpus not in corpora:
            raise UserError(f"{name} does not apply to corpus={config.corpus}")
    if (config.valid_out is None) != (config.valid_utterances is None):
        raise UserError("valid_out and valid_utterances go together")
