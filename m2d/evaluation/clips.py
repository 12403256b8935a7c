"""The audio of a task: check of its files; waveforms, the same for every model, cut or zero-padded to its length."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from m2d.audio.containers import SEPARATOR, read_entry, split_reference
from m2d.audio.logmel import LogMel, LogMelConfig
from m2d.audio.statistics import Moments
from m2d.audio.wave import AudioError, audio_duration, read_audio
from m2d.common.errors import UserError
from m2d.common.files import read_json, sha256, write_json
from m2d.common.progress import progress
from m2d.evaluation.tables import Clip
from m2d.evaluation.task import Task

MAX_UNREADABLE = 0.1
"""Share of a task's files that may be empty or damaged; more means a broken copy, not a few known faults."""

STATISTICS_CLIPS = 10000
"""Number of training clips from which a scalar mean and deviation are computed."""


class Audio(NamedTuple):
    """One file: length in seconds and digest of the content, or the reason why it can't be read (otherwise empty)."""

    seconds: float
    digest: str
    fault: str


def inspect(root: Path, names: Sequence[str], title: str) -> dict[str, Audio]:
    """Check each of the files. Raises `UserError` when more than `MAX_UNREADABLE` of them are empty or damaged."""
    def look(name: str) -> Audio:
        try:
            return Audio(audio_duration(root / name), _digest(root / name), "")
        except AudioError as error:
            return Audio(0.0, "", str(error))

    names = list(dict.fromkeys(names))
    packed = any(SEPARATOR in name for name in names)  # readers of packs are not safe in threads
    with ThreadPoolExecutor(1 if packed else 8) as pool:  # it waits for the disk
        found = dict(zip(names, progress(pool.map(look, names), f"checking {title}", len(names)), strict=True))
    faults = [audio.fault for audio in found.values() if audio.fault]
    if len(faults) > MAX_UNREADABLE * len(found):
        raise UserError(f"{title}: {len(faults)} of {len(found)} files in {root} are empty or damaged, for example: "
                        f"{faults[0]}")
    return found


def _digest(path: Path) -> str:
    entry = split_reference(path)
    return sha256(path) if entry is None else hashlib.sha256(read_entry(*entry).getbuffer()).hexdigest()


def content_of(audio: dict[str, Audio]) -> str:
    """One digest for the content of all readable files."""
    return hashlib.sha256("".join(file.digest for file in audio.values()).encode()).hexdigest()[:16]


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
    """Batches `(waves [B, N], faults)` in the order of `clips`. `UserError` for more than `MAX_UNREADABLE` faults."""
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
