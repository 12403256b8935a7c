"""Data directory to teacher frames in a packed store, one job of several."""

from dataclasses import dataclass

import numpy as np
import torch

from m2d.common.device import PRECISIONS, pick_device
from m2d.common.errors import UserError
from m2d.common.options import option
from m2d.data.datadir import DataDir
from m2d.data.extract import NetworkOptions, allowed_failures, extract
from m2d.data.format import DTYPES
from m2d.data.writer import PackedWriter
from m2d.teacher import Teacher


@dataclass
class TeacherOptions(NetworkOptions):
    model: str = option("facebook/hubert-base-ls960", "folder or hub id of a speech model or M2D, or logmel")
    layer: int | None = option(None, "layer whose output is taken, from 1 (default: 9, Whisper and M2D: the last)")
    dtype: str = option("float16", "how rows are stored: float16, or int8 with a scale per row (half the disk)",
                        choices=tuple(DTYPES))


class TeacherFrames:
    """A teacher on its device, under autocast for half precision."""

    def __init__(self, teacher: Teacher, place: torch.device, precision: str):
        self._teacher, self._place, self._precision = teacher.to(place), place, precision
        self.sample_rate, self.frame_count = teacher.sample_rate, teacher.frame_count

    def __call__(self, wavs: list[torch.Tensor]) -> list[np.ndarray]:
        """Rows `[T_i, width]` of each waveform; one copy from the device for the batch."""
        with torch.autocast(self._place.type, PRECISIONS[self._precision], enabled=self._precision != "float32"):
            clips = self._teacher(wavs)
        rows = torch.cat(clips).float().cpu().numpy()
        return np.split(rows, np.cumsum([len(clip) for clip in clips])[:-1])


def extract_teacher(data: DataDir, teacher: Teacher, options: TeacherOptions) -> None:
    """Write one job's part of `data` as shards of `options.out`, `[T, width]` each; resumes after an interruption.

    Rows are the teacher's output, untrimmed; the store's header has their rate in Hz. HuBERT's front end
    makes `(samples - 80) // 320` of them, 50 Hz, where the log-mel has `1 + samples // 160` frames: row i goes with
    log-mel frames 2 i and 2 i + 1, and one to three log-mel frames at the end have no row.

    Audio that can't be read or is shorter than one row is listed in `teacher.JOB.failed`. Raises `UserError` when that
    is more than `max_bad_share` of all utterances, for a device or precision that this machine does not have, and when
    `out` can't be written or was begun with other settings.
    """
    place = pick_device(options.device, options.job - 1)
    if options.precision != "float32" and place.type != "cuda":
        raise UserError(f"precision={options.precision}: for GPUs only (this job runs on {place.type}): use "
                        "precision=float32")
    info = {"teacher": {"model": options.model, "layer": teacher.layer, "rate": teacher.rate,
                        "sample_rate": teacher.sample_rate}, "data": data.fingerprint()}
    writer = PackedWriter(options.out, f"teacher.{options.job}", teacher.width, options.dtype, jobs=options.jobs,
                          info=info, max_failures=allowed_failures(data, options))
    extract(data, writer, TeacherFrames(teacher, place, options.precision), options, what="teacher",
            batch_seconds=options.batch_seconds, workers=options.workers)
