"""Data directory to features of a pre-trained model, one job of several: a file per utterance, or a packed store."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader

from m2d.audio.wave import AudioError
from m2d.common.device import PRECISIONS, pick_device
from m2d.common.errors import UserError
from m2d.common.files import atomic_open, write_json, write_text
from m2d.common.progress import progress
from m2d.data.datadir import DataDir
from m2d.data.waveforms import AudioBatches, length_batches
from m2d.data.writer import PackedWriter
from m2d.pretrained.features import M2DFeatures

LOG = logging.getLogger(__name__)


class Writer(Protocol):
    """Where features go; `done` holds the utterances that are there already."""

    done: set[str]

    def append(self, utterance: str, frames: np.ndarray) -> None:
        """Store the frames `[T, W]` of one utterance."""

    def fail(self, utterance: str, reason: str) -> None:
        """Note an utterance without features; `UserError` when there are too many."""

    def __enter__(self) -> Writer:
        """Begin."""

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Keep what is finished; without an error the job has seen all its utterances."""


class FileWriter:
    """One float32 `UTTERANCE.npy` `[T, W]` per utterance; `features.json` says what they are.

    Raises `UserError` when the folder holds features of another kind.
    """

    def __init__(self, directory: str | Path, job: int, info: dict[str, Any], max_failures: int):
        self.directory, self.job = Path(directory), job
        self._max_failures = max_failures
        self._failed: dict[str, str] = {}
        self.directory.mkdir(parents=True, exist_ok=True)
        about = self.directory / "features.json"
        if about.is_file() and json.loads(about.read_text(encoding="utf-8")) != info:
            raise UserError(f"{about}: features of another model or kind are there: choose another folder or delete it")
        write_json(about, info)
        self.done = {path.name.removesuffix(".npy") for path in self.directory.glob("*.npy")}

    def append(self, utterance: str, frames: np.ndarray) -> None:
        """Write one file. Raises `UserError` for an id that can't be a file's name."""
        if "/" in utterance or utterance.startswith("."):
            raise UserError(f"utterance id '{utterance}' can't be the name of a file: use packed=true")
        with atomic_open(self.directory / f"{utterance}.npy", "wb") as stream:
            np.save(stream, frames)

    def fail(self, utterance: str, reason: str) -> None:
        """List an utterance in `features.JOB.failed`. Raises `UserError` when there are more than allowed."""
        LOG.warning("%s left out: %s", utterance, reason)
        self._failed[utterance] = reason
        if len(self._failed) > self._max_failures:
            raise UserError(f"{self.directory}/features.{self.job}.failed: lists {len(self._failed)} unusable "
                            f"utterances, more than the {self._max_failures} allowed: mend the data, or raise "
                            "max_bad_share")

    def __enter__(self) -> FileWriter:
        return self

    def __exit__(self, *_: object) -> None:
        """Write the list of failures."""
        write_text(self.directory / f"features.{self.job}.failed",
                   "".join(f"{utterance} {reason}\n" for utterance, reason in sorted(self._failed.items())))


def extract_features(
    data: DataDir, out: str | Path, model: M2DFeatures, name: str, *, layer: int | None = None, pool: bool = False,
    packed: bool = False, job: int = 1, jobs: int = 1, max_bad_share: float = 0.01, device: str = "auto",
    precision: str = "float32", batch_seconds: float = 120.0, workers: int = 2,
) -> None:
    """Write the features of the `job`-th part of `data` into `out`; goes on where it was.

    Args:
        data: what to read.
        out: folder of `UTTERANCE.npy` files, float32, or of the float16 shards of a packed store.
        model: the network; `name` is how the folder's notes call it.
        name: see model.
        layer: 0 .. n_layers - 1; None: the last.
        pool: one vector per utterance, `[1, W]`, the mean over time, instead of frames `[T, W]`.
        packed: a packed store (merge its jobs with `m2d.bin.merge_features`) instead of one file per utterance.
        job, jobs: this part, from 1, of so many.
        max_bad_share: share of utterances that may be unreadable.
        device, precision, batch_seconds, workers: as for `m2d.teacher.extract.extract_teacher`.

    Raises `UserError` for a layer that is not there, settings that don't fit, too many unreadable utterances.
    """
    if layer is not None and not 0 <= layer < model.n_layers:
        raise UserError(f"layer={layer}: the model has layers 0 to {model.n_layers - 1}")
    if precision not in PRECISIONS:
        raise UserError(f"precision={precision}: must be one of {', '.join(PRECISIONS)}")
    place = pick_device(device, job - 1)
    chosen = model.n_layers - 1 if layer is None else layer
    info = {"features": {"model": name, "layer": chosen, "pool": pool, "mean": model.mean, "std": model.std},
            "data": data.fingerprint()}
    max_failures = int(max_bad_share * len(data))
    writer: Writer = (
        PackedWriter(out, f"features.{job}", model.dim, jobs=jobs, info=info, max_failures=max_failures)
        if packed else FileWriter(out, job, info, max_failures))
    part = data.split(job, jobs)
    batches = list(length_batches(part, [u for u in part.utterances if u not in writer.done], batch_seconds))
    LOG.info("%s: job %d of %d on %s: %d utterances, %d of them to do", out, job, jobs, place, len(part),
             sum(map(len, batches)))
    model = model.to(place).eval()
    loader = DataLoader(AudioBatches(part, batches, model.logmel.config.sample_rate), batch_size=None,
                        num_workers=workers)
    half = torch.autocast(place.type, PRECISIONS[precision], enabled=precision != "float32")
    with writer, torch.inference_mode(), half:
        for utterances, wavs in progress(loader, f"features {job}/{jobs}", len(batches)):
            whole = {}
            for utterance, wav in zip(utterances, wavs, strict=True):
                if isinstance(wav, AudioError):
                    writer.fail(utterance, str(wav))
                else:
                    whole[utterance] = torch.as_tensor(wav, device=place)
            if whole:
                _append(writer, model, whole, chosen, pool)


def _append(writer: Writer, model: M2DFeatures, wavs: dict[str, torch.Tensor], layer: int, pool: bool) -> None:
    output = model(list(wavs.values()), sampling_rate=model.logmel.config.sample_rate,
                   all_layers=layer != model.n_layers - 1)
    frames = (output.layers[layer] if len(output.layers) > 1 else output.frames).cpu().numpy()
    for utterance, clip, length in zip(wavs, frames, output.lengths.tolist(), strict=True):
        own = clip[:length]
        writer.append(utterance, own.mean(axis=0, keepdims=True) if pool else own)
