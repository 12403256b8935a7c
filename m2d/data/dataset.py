"""Pre-training samples: crops of speech, of its teacher frames and of noise, read as bytes straight into a batch.

Nothing is converted here: mixing, normalisation and casting happen on the device, on the batch. Which clip of noise and
which crop a sample gets is a pure function of (seed, epoch, index).
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from m2d.audio.logmel import SILENCE
from m2d.common.errors import UserError
from m2d.data.randomness import uniform
from m2d.data.store import PackedStore

LOG = logging.getLogger(__name__)

MAX_WITHOUT_TEACHER = 0.01
"""Share of the speech that may lack teacher frames and is then left out; more means that the stage went wrong."""

Batch = dict[str, Any]


class PretrainDataset(Dataset):
    """Crops of `crop_frames` log-mel frames (10 ms each) from packed stores, a batch at a time.

    With a `teacher` store (50 Hz), speech is used as far as the teacher's frames reach, in whole patches of
    `patch_frames`, and utterances the teacher lacks are left out. Without `noise` (noise ratio 0) batches have none;
    at ratio 1 the noise is all that is used, and an epoch still is as many samples as there are utterances of speech.

    Raises `UserError` for stores that do not fit together, and a crop that is no whole number of patches.
    """

    def __init__(self, speech: PackedStore, crop_frames: int, patch_frames: int = 1, teacher: PackedStore | None = None,
                 noise: PackedStore | None = None, seed: int = 0):
        if crop_frames <= 0 or crop_frames % patch_frames:
            raise UserError(f"crop of {crop_frames} frames: must be a whole number of patches of {patch_frames} frames")
        for store in (speech, noise):
            if store is not None and (store.quantised or store.width != speech.width):
                raise UserError(f"{store.directory}: log-mel must be float16, {speech.width} wide: extract it again")
        self.speech, self.teacher, self.noise, self.seed = speech, teacher, noise, seed
        self.crop_frames, self.patch_frames = crop_frames, patch_frames
        self._speech_rows, self._teacher_rows = _match(speech, teacher)

    def __len__(self) -> int:
        return len(self.speech) if self._speech_rows is None else len(self._speech_rows)

    def utterance(self, index: int) -> str:
        """Utterance id of the sample at `index`."""
        return self.speech.keys[index if self._speech_rows is None else self._speech_rows[index]]

    def __getitem__(self, key: tuple[int, np.ndarray]) -> Batch:
        """The batch of `(epoch, indices [B])`, with T = crop_frames and contiguous tensors:

        - `index` int64 `[B]`, `utt` list of B ids;
        - `logmel` float16 `[B, T, 80]` raw log-mel from frame `start` (int64 `[B]`, uniform over all places where the
          crop fits); `valid` int64 `[B]` frames of it are speech, the rest is silence;
        - `noise` float16 `[B, T, 80]`: a random part of a random clip, a short clip repeated from a random frame on;
        - `teacher` `[B, T // 2, W]` as stored, from row `start // 2`, and `teacher_scale` float16 `[B, T // 2]` when
          that is int8 (see `decode_teacher`); `teacher_valid` int64 `[B]` rows are there, the rest is 0.

        Raises `UserError` that names the shard when one can't be read.
        """
        epoch, indices = key
        indices = np.asarray(indices)
        draws = uniform(self.seed, epoch, indices, 3)
        rows = indices if self._speech_rows is None else self._speech_rows[indices]
        frames = self.speech.entries["frames"][rows].astype(np.int64)
        usable = frames
        if self.teacher is not None:
            teacher_rows = rows if self._teacher_rows is None else self._teacher_rows[indices]
            teacher_frames = self.teacher.entries["frames"][teacher_rows].astype(np.int64)
            usable = np.minimum(frames, 2 * teacher_frames) // self.patch_frames * self.patch_frames
        starts = _place(draws[:, 0], usable - self.crop_frames + 1)
        valid = np.minimum(frames - starts, self.crop_frames)
        batch = {"index": torch.from_numpy(indices.astype(np.int64)), "utt": [self.speech.keys[row] for row in rows],
                 "start": torch.from_numpy(starts), "valid": torch.from_numpy(valid),
                 "logmel": self._crops(self.speech, rows, starts, valid)}
        if self.teacher is not None:
            self._add_teacher(batch, teacher_rows, starts // 2, teacher_frames)
        if self.noise is not None:
            batch["noise"] = self._noise(draws[:, 1:])
        return batch

    def _crops(self, store: PackedStore, rows: np.ndarray, starts: np.ndarray, counts: np.ndarray) -> Tensor:
        crops = torch.empty(len(rows), self.crop_frames, store.width, dtype=torch.float16)
        store.read_into(crops.numpy(), rows, starts, counts)
        for b in np.flatnonzero(counts < self.crop_frames):
            crops[b, counts[b]:] = SILENCE
        return crops

    def _add_teacher(self, batch: Batch, rows: np.ndarray, starts: np.ndarray, frames: np.ndarray) -> None:
        count = self.crop_frames // 2
        dtype = torch.int8 if self.teacher.quantised else torch.float16
        crops = torch.empty(len(rows), count, self.teacher.width, dtype=dtype)
        scale = torch.zeros(len(rows), count, dtype=torch.float16) if self.teacher.quantised else None
        valid = np.minimum(frames - starts, count)
        self.teacher.read_into(crops.numpy(), rows, starts, valid, None if scale is None else scale.numpy())
        for b in np.flatnonzero(valid < count):
            crops[b, valid[b]:] = 0
        batch["teacher"], batch["teacher_valid"] = crops, torch.from_numpy(valid)
        if scale is not None:
            batch["teacher_scale"] = scale

    def _noise(self, draws: np.ndarray) -> Tensor:
        rows = _place(draws[:, 0], np.full(len(draws), len(self.noise)))
        frames = self.noise.entries["frames"][rows].astype(np.int64)
        short = frames < self.crop_frames
        starts = np.where(short, 0, _place(draws[:, 1], frames - self.crop_frames + 1))
        crops = self._crops(self.noise, rows, starts, np.minimum(frames, self.crop_frames))
        for b in np.flatnonzero(short):
            first = _place(draws[b, 1], frames[b])
            crops[b] = crops[b, torch.arange(first, first + self.crop_frames) % int(frames[b])]
        return crops


def decode_teacher(batch: Batch) -> Tensor:
    """Teacher frames `[B, T // 2, W]` float32 of a batch, on the device it is on, scaled when they are int8."""
    frames = batch["teacher"].float()
    return frames * batch["teacher_scale"].float()[..., None] if "teacher_scale" in batch else frames


def _place(draws: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Draws in [0, 1) to whole numbers 0 .. places - 1, 0 where there is none."""
    return np.floor(draws * np.maximum(places, 1)).astype(np.int64)


def _match(speech: PackedStore, teacher: PackedStore | None) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Rows of both stores for each sample; None for both when the rows are the same."""
    if teacher is None:
        return None, None
    wanted, there = speech.entries["utterance"], teacher.entries["utterance"]
    if len(wanted) == len(there) and (wanted == there).all():
        return None, None
    wanted, there = np.ascontiguousarray(wanted), np.ascontiguousarray(there)
    found = np.searchsorted(there, wanted).clip(max=len(there) - 1)
    rows = np.flatnonzero(there[found] == wanted)
    missing = len(wanted) - len(rows)
    if missing > MAX_WITHOUT_TEACHER * len(wanted):
        first = speech.keys[int((there[found] != wanted).argmax())]
        raise UserError(f"{teacher.directory}: has no frames for {missing} of {len(wanted)} utterances of "
                        f"{speech.directory} ('{first}' is one): run the teacher stage on the same data")
    if missing:
        LOG.info("%s: %d of %d utterances left out, they have no teacher frames", speech.directory, missing,
                 len(wanted))
    return rows, found[rows]
