"""Data directory to log-mel frames in a packed store, one job of several."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import torch

from m2d.audio.logmel import LogMel, LogMelConfig
from m2d.audio.wave import AudioError, read_audio
from m2d.common.progress import progress
from m2d.data.datadir import DataDir
from m2d.data.writer import PackedWriter

LOG = logging.getLogger(__name__)


def extract_logmel(data: DataDir, out: str | Path, job: int, jobs: int, max_bad_share: float,
                   config: LogMelConfig | None = None) -> None:
    """Write the `job`-th part of `data` as shards of `out`, float16 `[T, F]` each; goes on where it was.

    Audio that can't be read is listed in `logmel.JOB.failed`. Raises `UserError` when that is more than `max_bad_share`
    of all of `data`, and when `out` can't be written or was begun with other settings or
    other data.
    """
    config = config or LogMelConfig()
    part, logmel = data.split(job, jobs), LogMel(config)
    info = {"logmel": dataclasses.asdict(config), "data": data.fingerprint()}
    with PackedWriter(out, f"logmel.{job}", config.n_mels, jobs=jobs, info=info,
                      max_failures=int(max_bad_share * len(data))) as writer:
        if writer.finished:
            LOG.info("%s: job %d of %d already done", out, job, jobs)
            return
        todo = [utterance for utterance in part.utterances if utterance not in writer.done]
        LOG.info("%s: job %d of %d: %d utterances, %d of them done before", out, job, jobs, len(part),
                 len(part) - len(todo))
        for utterance in progress(todo, f"log-mel {job}/{jobs}"):
            source = part.source(utterance)
            try:
                wav = read_audio(source.path, config.sample_rate, source.start, source.duration)
            except AudioError as error:
                writer.fail(utterance, str(error))
                continue
            with torch.inference_mode():
                frames = logmel(torch.from_numpy(wav)).T
            writer.append(utterance, frames.numpy())
    LOG.info("%s: job %d of %d: %d utterances, %d failed", out, job, jobs, len(writer.done), writer.failures)
