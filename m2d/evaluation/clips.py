"""Waveforms of a task, the same for every model: truncated or zero-padded at the end to the task's length."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from m2d.audio.logmel import LogMel, LogMelConfig
from m2d.audio.statistics import Moments
from m2d.audio.wave import AudioError, read_audio
from m2d.common.errors import UserError
from m2d.common.files import read_json, write_json
from m2d.common.progress import progress
from m2d.evaluation.audio_check import MAX_UNREADABLE
from m2d.evaluation.tables import Clip
from m2d.evaluation.task import Task

STATISTICS_CLIPS = 10000
"""Number of training clips from which a scalar mean and deviation are computed."""


class ClipDataset(Dataset):
    """Item i: `(wave [N] float32, fault)`, N the same for all; a file that can't be decoded is zeros and its fault."""

    def __init__(self, task: Task, clips: list[Clip], sample_rate: int):
        self.task, self.clips, self.sample_rate = task, clips, sample_rate
        self.samples = round(task.seconds * sample_rate)

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> tuple[np.ndarray, str]:
        wave, fault = np.zeros(self.samples, np.float32), ""
        clip = self.clips[index]
        seconds = self.task.seconds if clip.end is None else min(self.task.seconds, clip.end - clip.start)
        try:
            read = read_audio(self.task.path(clip), self.sample_rate, clip.start, seconds)
            wave[:len(read)] = read[:self.samples]
        except AudioError as error:
            fault = str(error)
        return wave, fault


def wave_batches(task: Task, clips: list[Clip], sample_rate: int, batch_size: int,
                 workers: int) -> Iterator[tuple[Tensor, list[str]]]:
    """Batches `(waves [B, N], faults)` in the order of `clips`, read by `workers` processes.

    Raises `UserError` when more than `MAX_UNREADABLE` of the clips can't be decoded.
    """
    loader = DataLoader(ClipDataset(task, clips, sample_rate), batch_size, num_workers=workers)
    bad: list[str] = []
    for waves, faults in progress(loader, f"{task.title}: batches of {batch_size} clips"):
        bad += filter(None, faults)
        if len(bad) > max(1, MAX_UNREADABLE * len(clips)):
            raise UserError(f"{task.title}: {len(bad)} clips can't be decoded, for example: {bad[0]}")
        yield waves, list(faults)


def statistics(task: Task, directory: str | Path, batch_size: int, workers: int,
               front_end: LogMelConfig | None = None) -> tuple[float, float]:
    """Mean and deviation of all log-mel values of the training clips (of all clips, with folds), padding included.

    From large sets `STATISTICS_CLIPS` clips are drawn with a fixed seed. Cached as `stats.json` in the task's folder.
    """
    front_end = front_end or LogMelConfig()
    path, key = Path(directory) / "stats.json", {"task": task.digest(), "front_end": str(front_end)}
    kept = read_json(path, {})
    if kept.get("key") == key:
        return kept["mean"], kept["std"]
    clips = task.clips if task.has_folds else [clip for clip in task.clips if clip.part == "train"]
    if len(clips) > STATISTICS_CLIPS:
        chosen = np.random.default_rng(0).choice(len(clips), STATISTICS_CLIPS, replace=False)
        clips = [clips[index] for index in sorted(chosen)]
    logmel, moments = LogMel(front_end), Moments()
    for waves, faults in wave_batches(task, clips, front_end.sample_rate, batch_size, workers):
        moments.add(logmel(waves[[not fault for fault in faults]]).numpy())
    write_json(path, {"key": key, "mean": moments.mean, "std": moments.std, "clips": len(clips)})
    return moments.mean, moments.std
