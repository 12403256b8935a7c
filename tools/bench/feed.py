"""The feed: samples/s from packed stores, compared with a folder of one `.npy` per clip that is read whole.

    python -m bench.feed [clips=200 workers=2 ...]

A sample is that of M2D-S: a crop of log-mel, a crop of noise, the teacher's frames. By one process, against its CPU
seconds and those of a plain copy of as many bytes; and through worker processes, against the CPU seconds of all
processes together and against the wall clock. The page cache is warm.
"""

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler

from bench.measure import CPU, copy, cpu_of_all, in_turns, machine, medians
from bench.report import leave
from bench.synthetic import teacher_frames, write_folder, write_stores
from m2d.audio.noise import mix_noise
from m2d.common.cli import run
from m2d.common.options import option
from m2d.data.dataset import PretrainDataset
from m2d.data.format import quantise
from m2d.data.loader import PretrainLoader
from m2d.data.sampler import GlobalSampler
from m2d.data.store import PackedStore
from m2d.nn.objectives import cosine_error, standardise

LS960_FRAMES = 960 * 3600 * 100
"""10 ms frames of LibriSpeech's 960 h, for the size of each choice."""
RATIO, MEAN, STD = 0.2, -7.1, 4.2
ENDLESS = 1 << 30
COLUMNS = {"crop_frames": "d", "feed": "", "kb_per_sample": ".0f", "ls960_gb": ".0f", "samples_per_core_s": ".0f",
           "times_folder": ".1f", "times_copy": ".2f", "workers": "d", "by_workers_per_core_s": ".0f",
           "by_workers_times_folder": ".1f", "samples_per_s": ".0f"}


@dataclass
class FeedBench:
    clips: int = option(200, "clips of speech, and as many of noise")
    seconds: float = option(12.3, "length of a clip (LibriSpeech's mean)")
    crop_frames: list[int] = option(factory=lambda: [208, 608], help="log-mel frames of a sample: a table each")
    batch: int = option(64, "samples in a batch")
    batches: int = option(3, "batches in a turn of one process")
    turns: int = option(5, "timed turns of each reader")
    workers: int = option(2, "worker processes of the second figures")
    worker_seconds: float = option(1.0, "a turn of theirs: long against what they read ahead")
    teacher: str = option("", "float16 teacher store to measure int8 on (default: random frames)")
    directory: str = option("", "where the data are made (default: a temporary folder)")
    json: str = option("", "write machine, command and rows here as well")


class FolderDataset(Dataset):
    """The baseline: loads whole files, cuts, mixes and normalises in the worker, one sample at a time."""

    def __init__(self, folder: Path, crop_frames: int, mix: bool):
        self.folder, self.crop_frames, self.mix = folder, crop_frames, mix
        self.names = sorted(path.name for path in (folder / "speech").iterdir())

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        speech, start = self._crop("speech", self.names[index])
        noise, _ = self._crop("noise", self.names[torch.randint(len(self.names), ()).item()])
        teacher = np.load(self.folder / "teacher" / self.names[index])[start // 2:start // 2 + self.crop_frames // 2]
        sample = {"teacher": torch.from_numpy(teacher)}
        if self.mix:
            return {**sample, "x": mix_noise(speech, noise, RATIO, MEAN, STD, MEAN)}
        return {**sample, "logmel": speech, "noise": noise}

    def _crop(self, kind: str, name: str) -> tuple[Tensor, int]:
        logmel = np.load(self.folder / kind / name)  # [80, T]
        start = torch.randint(logmel.shape[1] - self.crop_frames + 1, ()).item()
        return torch.from_numpy(logmel[:, start:start + self.crop_frames]), start


def bench(options: FeedBench) -> None:
    """Make the data, take the times, print the table."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=options.directory or None) as name:
        folder, stores = Path(name) / "folder", Path(name) / "stores"
        write_folder(folder, options.clips, round(100 * options.seconds))
        write_stores(stores, folder)
        rows = [row for crop in options.crop_frames for row in figures(folder, stores, crop, options)]
    about = {**machine(), "int8_change_of_cosine_loss": int8_changes(options.teacher)}
    leave(about, rows, COLUMNS, options.json)


def figures(folder: Path, stores: Path, crop: int, options: FeedBench) -> list[dict[str, Any]]:
    """One row for each way to feed crops of `crop` frames; the first, the slowest, is the reference of the others."""
    rows, readers = [], {}
    frames = round(100 * options.seconds)
    for feed, mix in (("folder, mixed in the worker", True), ("folder", False)):
        readers[feed] = folder_reader(FolderDataset(folder, crop, mix), options.batch)
        rows.append({"feed": feed, "bytes": frames * (2 * 320 + 1536), "rate": 320 + 1536})
    for teacher, width in (("", 0), ("teacher_float16", 2 * 768), ("teacher_int8", 768 + 2)):
        data = PretrainDataset(PackedStore(stores / "speech"), crop, 2,
                               PackedStore(stores / teacher) if teacher else None, PackedStore(stores / "noise"))
        feed = f"packed, {teacher or 'no teacher'}"
        readers[feed] = packed_reader(data, options.batch)
        rows.append({"feed": feed, "bytes": crop * (2 * 160 + width / 2), "rate": 160 + width / 2})
    samples, (copied, copied_bytes) = options.batch * options.batches, copy(CPU)
    works = {feed: drawing(reader(0), options.batches) for feed, reader in readers.items()}
    alone = medians(in_turns({**works, "copy": copied}, options.turns, clock="cpu"))
    by_workers = worker_rates(readers, options)
    slowest = rows[0]["feed"]
    for row in rows:
        feed, (per_core, in_all) = row["feed"], by_workers[row["feed"]]
        bytes_ = row.pop("bytes")
        floor = 2 * bytes_ * samples * alone["copy"] / copied_bytes  # each byte is read and written
        row.update(crop_frames=crop, kb_per_sample=bytes_ / 1e3, ls960_gb=row.pop("rate") * LS960_FRAMES / 1e9,
                   samples_per_core_s=samples / alone[feed], times_folder=alone[slowest] / alone[feed],
                   times_copy=alone[feed] / floor, workers=options.workers, by_workers_per_core_s=per_core,
                   by_workers_times_folder=per_core / by_workers[slowest][0], samples_per_s=in_all)
    return rows


def folder_reader(data: FolderDataset, batch: int) -> Callable[[int], Iterable]:
    """A call makes a loader with `workers` processes that draws files at random without end."""
    def reader(workers: int) -> DataLoader:
        return DataLoader(data, batch, sampler=RandomSampler(data, replacement=True, num_samples=ENDLESS),
                          num_workers=workers)
    return reader


def packed_reader(data: PretrainDataset, batch: int) -> Callable[[int], Iterable]:
    """The same from stores, by the loader that training uses."""
    return lambda workers: PretrainLoader(data, GlobalSampler(len(data), batch, ENDLESS), workers)


def drawing(loader: Iterable, batches: int) -> Callable[[], None]:
    """A call draws the next `batches` batches; the workers live on from call to call."""
    drawn = iter(loader)

    def draw() -> None:
        for _ in itertools.islice(drawn, batches):
            pass
    return draw


def worker_rates(readers: dict[str, Callable[[int], Iterable]], options: FeedBench) -> dict[str, tuple[float, float]]:
    """The rates of `drawing_rates` of each reader: medians over turns with fresh workers."""
    rates: dict[str, list[tuple[float, float]]] = {feed: [] for feed in readers}
    for _ in range(options.turns):
        for feed, reader in readers.items():
            rates[feed].append(drawing_rates(reader(options.workers), options.batch, options.worker_seconds))
    return {feed: (statistics.median(core for core, _ in taken), statistics.median(wall for _, wall in taken))
            for feed, taken in rates.items()}


def drawing_rates(loader: Iterable, batch: int, seconds: float) -> tuple[float, float]:
    """Samples per CPU second of all processes, and per second.

    The time begins and ends while workers read, so that prefetching before it and within it cancel out.
    """
    drawn = iter(loader)
    draw_for(drawn, seconds / 2)
    before, start = cpu_of_all(), time.perf_counter()
    samples = batch * draw_for(drawn, seconds)
    return samples / (cpu_of_all() - before), samples / (time.perf_counter() - start)


def draw_for(drawn: Iterator, seconds: float) -> int:
    """Draw batches for this long and return their number."""
    end = time.perf_counter() + seconds
    for count, _ in enumerate(drawn, 1):
        if time.perf_counter() >= end:
            return count
    raise RuntimeError("the reader has an end")


def int8_changes(store: str, frames: int = 4096) -> dict[str, str]:
    """`int8_change` of a teacher's frames, or of random ones by the size of their largest dimensions."""
    rng = np.random.default_rng(0)
    if not store:
        return {f"random, some dims x{outlier:g}": f"{int8_change(teacher_frames(rng, frames, outlier)):.1e}"
                for outlier in (1.0, 5.0, 10.0)}
    teacher = PackedStore(store)
    clips = rng.permutation(len(teacher))[:100]
    clean = np.concatenate([teacher.read(i) for i in clips])[:frames].astype(np.float32)
    return {store: f"{int8_change(clean):.1e}"}


def int8_change(clean: np.ndarray) -> float:
    """Relative change of the mean cosine loss of a student that is half right when frames `[T, W]` are stored as int8.

    Against float16 storage.
    """
    noise = np.random.default_rng(0).permutation(clean.ravel()).reshape(clean.shape)
    student = torch.from_numpy(clean + noise)
    rows, scale = quantise(clean)
    decoded = {"float16": clean.astype(np.float16).astype(np.float32), "int8": rows * scale[:, None].astype(np.float32)}
    losses = {name: cosine_error(student, standardise(torch.from_numpy(values))).mean().item()
              for name, values in decoded.items()}
    return abs(losses["int8"] - losses["float16"]) / losses["float16"]


if __name__ == "__main__":
    run(FeedBench, bench, __doc__)
