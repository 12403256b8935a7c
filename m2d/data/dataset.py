"""Pre-training samples: crops of speech, of its teacher frames and of noise, read as bytes straight into a batch.

Nothing is converted here: mixing, normalisation and casting happen on the device, on the batch. Crop, clip of noise and
mask are pure functions of (seed, epoch, index).
"""

import logging
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from m2d.audio.logmel import SILENCE
from m2d.common.errors import UserError
from m2d.data.memory import Layout, new_block, views
from m2d.data.randomness import uniform
from m2d.data.store import PackedStore

LOG = logging.getLogger(__name__)

MAX_WITHOUT_TEACHER = 0.01
"""Share of utterances that may lack teacher frames and are then skipped; more means that the stage failed."""

FRAMES_PER_S = 100
"""Of log-mels."""

MASKS = 1 << 62
"""Added to the seed for masks, so that they share no random numbers with the crops."""

Batch = dict[str, Any]


class BatchDataset(Dataset):
    """Samples that are read a batch at a time, into the tensors of `layout`."""

    def layout(self, size: int) -> Layout:
        """The tensors of a batch of `size` samples."""
        raise NotImplementedError

    def fill(self, batch: Batch, epoch: int, indices: np.ndarray) -> Batch:
        """Read the samples `indices` `[B]` of an epoch into the tensors of `layout(B)`, and return the batch."""
        raise NotImplementedError

    def __getitem__(self, key: tuple[int, np.ndarray]) -> Batch:
        """The batch of `(epoch, indices [B])` in memory of its own."""
        layout = self.layout(len(key[1]))
        return self.fill(views(new_block(layout), layout), *key)


def check_crop(crop_frames: int, patch_frames: int) -> None:
    """Raise `UserError` unless a crop is a whole number of patches."""
    if crop_frames <= 0 or crop_frames % patch_frames:
        raise UserError(f"crop of {crop_frames} frames: must be a whole number of patches of {patch_frames} frames")


def check_logmel(store: PackedStore, width: int) -> None:
    """Raise `UserError` unless a store has log-mels of `width` bands, as they are."""
    if store.quantised or store.width != width:
        raise UserError(f"{store.directory}: log-mel must be float16, {width} wide: extract it again")


class PretrainDataset(BatchDataset):
    """Crops of `crop_frames` log-mel frames (10 ms each) from packed stores, a batch at a time.

    With a `teacher` store, speech is used up to the end of the teacher's frames, in whole patches of `patch_frames`;
    utterances without teacher frames are skipped. Without `noise` (noise ratio 0) batches have none; at ratio 1 only
    the noise is used, and an epoch still has one sample per utterance of speech.

    Raises `UserError` for stores that do not fit together, and a crop that is not a whole number of patches.
    """

    def __init__(self, speech: PackedStore, crop_frames: int, patch_frames: int = 1, teacher: PackedStore | None = None,
                 noise: PackedStore | None = None, seed: int = 0, n_patches: int = 0):
        check_crop(crop_frames, patch_frames)
        for store in (speech, noise):
            if store is not None:
                check_logmel(store, speech.width)
        self.speech, self.teacher, self.noise, self.seed = speech, teacher, noise, seed
        self.directory = speech.directory
        self.crop_frames, self.patch_frames, self.n_patches = crop_frames, patch_frames, n_patches
        self._speech_rows, self._teacher_rows = _match(speech, teacher)
        self._rate = None if teacher is None else frame_ratio(teacher.directory, teacher.rate, patch_frames)

    def __len__(self) -> int:
        return len(self.speech) if self._speech_rows is None else len(self._speech_rows)

    def utterance(self, index: int) -> str:
        """Utterance id of the sample at `index`."""
        return self.speech.keys[index if self._speech_rows is None else self._speech_rows[index]]

    def layout(self, size: int) -> Layout:
        numbers = (size,), torch.int64
        crops = (size, self.crop_frames, self.speech.width), torch.float16
        layout = {"index": numbers, "start": numbers, "valid": numbers, "logmel": crops}
        if self.teacher is not None:
            rows = size, int(self.crop_frames * self._rate)
            layout["teacher_valid"] = numbers
            layout["teacher"] = (*rows, self.teacher.width), torch.int8 if self.teacher.quantised else torch.float16
            if self.teacher.quantised:
                layout["teacher_scale"] = rows, torch.float16
        if self.noise is not None:
            layout["noise"] = crops
        if self.n_patches:
            layout["mask_noise"] = (size, self.n_patches), torch.float32
        return layout

    def fill(self, batch: Batch, epoch: int, indices: np.ndarray, numbers: np.ndarray | None = None) -> Batch:
        """Read the samples `indices` `[B]` of an epoch into the tensors of `layout(B)`, with T = crop_frames:

        - `index` int64 `[B]`: `numbers`, on which crop, noise and mask depend (default: `indices`); and added to the
          tensors `ids`, the list of B utterance ids;
        - `logmel` float16 `[B, T, 80]` raw log-mel from frame `start` (int64 `[B]`, uniform over all places where the
          crop fits); `valid` int64 `[B]` frames of it are speech, the rest is silence;
        - `noise` float16 `[B, T, 80]`: a random part of a random clip, a short clip repeated from a random frame on;
        - `teacher` `[B, T', W]` as stored, T' = T * rate / 100, from row floor(start * rate / 100), and `teacher_scale`
          float16 `[B, T']` when that is int8; `teacher_valid` int64 `[B]` rows are there, the rest is 0;
        - `mask_noise` float32 `[B, n_patches]`, uniform in [0, 1), for the objective's mask.

        Returns the batch. Raises `UserError` that names the shard when one can't be read.
        """
        indices = np.asarray(indices)
        numbers = indices if numbers is None else numbers
        draws = uniform(self.seed, epoch, numbers, 3)
        rows = indices if self._speech_rows is None else self._speech_rows[indices]
        frames = self.speech.entries["frames"][rows].astype(np.int64)
        usable = frames
        if self.teacher is not None:
            teacher_rows = rows if self._teacher_rows is None else self._teacher_rows[indices]
            teacher_frames = self.teacher.entries["frames"][teacher_rows].astype(np.int64)
            usable = usable_frames(frames, teacher_frames, self._rate, self.patch_frames)
        starts = place(draws[:, 0], usable - self.crop_frames + 1)
        valid = np.minimum(frames - starts, self.crop_frames)
        arrays = {name: tensor.numpy() for name, tensor in batch.items()}
        arrays["index"][:], arrays["start"][:], arrays["valid"][:] = numbers, starts, valid
        _read(self.speech, arrays["logmel"], rows, starts, valid, SILENCE)
        if self.teacher is not None:
            first = starts * self._rate.numerator // self._rate.denominator
            rows_valid = np.minimum(teacher_frames - first, arrays["teacher"].shape[1])
            _read(self.teacher, arrays["teacher"], teacher_rows, first, rows_valid, 0, arrays.get("teacher_scale"))
            arrays["teacher_valid"][:] = rows_valid
        if self.noise is not None:
            read_noise(self.noise, arrays["noise"], draws[:, 1:])
        if self.n_patches:
            arrays["mask_noise"][:] = uniform(self.seed + MASKS, epoch, numbers, self.n_patches)
        batch["ids"] = [self.speech.keys[row] for row in rows]
        return batch

    @property
    def total_frames(self) -> int:
        """Log-mel frames of all utterances."""
        return self.speech.total_frames


def _read(store: PackedStore, crops: np.ndarray, rows: np.ndarray, starts: np.ndarray, counts: np.ndarray,
          rest: float, scale: np.ndarray | None = None) -> None:
    """Fill `crops` `[B, T, D]` with `counts` frames of each clip, then `rest`; `scale` `[B, T]` with theirs, then 0."""
    store.read_into(crops, rows, starts, counts, scale)
    for b in np.flatnonzero(counts < crops.shape[1]):
        crops[b, counts[b]:] = rest
        if scale is not None:
            scale[b, counts[b]:] = 0


def read_noise(store: PackedStore, crops: np.ndarray, draws: np.ndarray) -> None:
    """Fill `crops` `[B, T, 80]` with noise from where `draws` `[B, 2]` fall: the clip, and the frame in it."""
    rows, crop_frames = place(draws[:, 0], np.full(len(draws), len(store))), crops.shape[1]
    frames = store.entries["frames"][rows].astype(np.int64)
    short = frames < crop_frames
    starts = np.where(short, 0, place(draws[:, 1], frames - crop_frames + 1))
    _read(store, crops, rows, starts, np.minimum(frames, crop_frames), SILENCE)
    for b in np.flatnonzero(short):
        first = place(draws[b, 1], frames[b])
        crops[b] = crops[b, np.arange(first, first + crop_frames) % frames[b]]


def frame_ratio(teacher: object, rate: float, patch_frames: int) -> Fraction:
    """Teacher frames per log-mel frame. Raises `UserError`, naming `teacher`, unless a patch holds a whole number."""
    ratio = Fraction(rate / FRAMES_PER_S).limit_denominator(1000)
    if (ratio * patch_frames).denominator > 1 or not ratio:
        raise UserError(f"{teacher}: {rate:g} Hz: a patch of {patch_frames} frames (10 ms each) does not hold a whole "
                        "number of teacher frames")
    return ratio


def usable_frames(frames: np.ndarray, teacher_frames: np.ndarray, ratio: Fraction, patch_frames: int) -> np.ndarray:
    """Log-mel frames of clips up to the end of the teacher's frames, in whole patches: int64 `[B]`."""
    covered = teacher_frames * ratio.denominator // ratio.numerator
    return np.minimum(frames, covered) // patch_frames * patch_frames


def place(draws: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Draws in [0, 1) to integers 0 .. places - 1; 0 if `places` is 0."""
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
