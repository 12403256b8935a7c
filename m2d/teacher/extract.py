"""Data directory to teacher frames in a packed store, one job of several."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader

from m2d.audio.wave import AudioError
from m2d.common.device import PRECISIONS, pick_device
from m2d.common.errors import UserError
from m2d.common.progress import progress
from m2d.data.datadir import DataDir
from m2d.data.waveforms import AudioBatches, length_batches
from m2d.data.writer import DTYPES, PackedWriter
from m2d.teacher.speech_model import SpeechTeacher

LOG = logging.getLogger(__name__)


def extract_teacher(data: DataDir, out: str | Path, teacher: SpeechTeacher, name: str, *, job: int = 1, jobs: int = 1,
                    max_bad_share: float = 0.01, dtype: str = "float16", device: str = "auto",
                    precision: str = "float32", batch_seconds: float = 120.0, workers: int = 2) -> None:
    """Write the `job`-th part of `data` as shards of `out`, `[T, width]` each; goes on where it was.

    `name` is how the store's `meta.json` calls the teacher. Rows are as the teacher gives them, nothing is trimmed:
    HuBERT's front end makes `(samples - 80) // 320` of them where the log-mel has `1 + samples // 160` frames. Row i
    goes with log-mel frames 2 i and 2 i + 1; one to three log-mel frames at the end have no row. Who crops both uses
    `min(frames, 2 * rows)` log-mel frames, and reads the teacher from row `start // 2`.

    Audio that can't be read or is shorter than one row is listed in `teacher.JOB.failed`. Raises `UserError` when that
    is more than `max_bad_share` of all of `data`, for a device, precision or dtype that is not to be had, and when
    `out` can't be written or was begun with other settings.
    """
    place = pick_device(device, job - 1)
    if precision not in PRECISIONS:
        raise UserError(f"precision={precision}: must be one of {', '.join(PRECISIONS)}")
    if precision != "float32" and place.type != "cuda":
        raise UserError(f"precision={precision}: for GPUs only (this job runs on {place.type}): use precision=float32")
    if dtype not in DTYPES:
        raise UserError(f"dtype={dtype}: must be one of {', '.join(DTYPES)}")
    part = data.split(job, jobs)
    info = {"teacher": {"model": name, "layer": teacher.layer, "hop": teacher.hop, "sample_rate": teacher.sample_rate},
            "data": data.fingerprint()}
    with PackedWriter(out, f"teacher.{job}", teacher.width, dtype, jobs=jobs, info=info,
                      max_failures=int(max_bad_share * len(data))) as writer:
        if writer.finished:
            LOG.info("%s: job %d of %d already done", out, job, jobs)
            return
        batches = list(length_batches(part, [u for u in part.utterances if u not in writer.done], batch_seconds))
        LOG.info("%s: job %d of %d on %s: %d utterances, %d of them done before", out, job, jobs, place, len(part),
                 len(writer.done))
        teacher.to(place)
        loader = DataLoader(AudioBatches(part, batches, teacher.sample_rate), batch_size=None, num_workers=workers)
        with torch.autocast(place.type, PRECISIONS[precision], enabled=precision != "float32"):
            for utterances, wavs in progress(loader, f"teacher {job}/{jobs}", len(batches)):
                _append(writer, teacher, utterances, wavs)
    LOG.info("%s: job %d of %d: %d utterances, %d failed", out, job, jobs, len(writer.done), writer.failures)


def _append(writer: PackedWriter, teacher: SpeechTeacher, utterances: list[str],
            wavs: list[np.ndarray | AudioError]) -> None:
    """Run the teacher on what could be read of a batch and store its rows; list the rest."""
    whole = []
    for utterance, wav in zip(utterances, wavs, strict=True):
        if isinstance(wav, AudioError):
            writer.fail(utterance, str(wav))
        elif not teacher.frame_count(len(wav)):
            writer.fail(utterance, f"{len(wav)} samples are less than one teacher frame")
        else:
            whole.append((utterance, wav))
    if not whole:
        return
    frames = teacher([wav for _, wav in whole])
    rows = torch.cat(frames).float().cpu().numpy()  # one copy from the device for the batch
    ends = np.cumsum([len(clip) for clip in frames])
    for (utterance, _), clip in zip(whole, np.split(rows, ends[:-1]), strict=True):
        writer.append(utterance, clip)
