"""Pre-training samples as waveforms: whole clips of data directories, for runs that make log-mels on the device.

Crops are placed where the lengths are known, on the device (`m2d.training.data_modules.waves`); the random numbers that
place them are those of `PretrainDataset`, so that both give the same crops, noise and masks.
"""

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from m2d.audio.containers import SEPARATOR, split_reference
from m2d.audio.wave import read_audio
from m2d.common.errors import UserError
from m2d.common.files import in_threads
from m2d.common.stamp import digest_of
from m2d.data.datadir import DataDir, Segment
from m2d.data.dataset import FRAMES_PER_S, MASKS, Batch, BatchDataset, place, read_noise
from m2d.data.memory import Layout
from m2d.data.randomness import uniform
from m2d.data.store import PackedStore

SAMPLE_RATE = 16000


class WaveDir:
    """The audio of a data directory by utterance, in sorted order, as a `PackedStore` has its frames.

    Attributes: `directory`; `content`, a hex digest of the utterances, their places in recordings and the recordings'
    sizes in bytes, wherever they lie. Tables are kept as arrays, which worker processes share.

    Raises `UserError` for a folder that is no data directory, and audio files that are missing.
    """

    def __init__(self, directory: str | Path):
        self.directory = Path(directory)
        data = DataDir.read(directory)
        names = data.utterances
        self._seconds = sum(data.utt2dur.values()) if len(data.utt2dur) == len(names) else None
        sources = [data.source(name) for name in names]
        self._names, self._paths = (np.array([os.fsencode(text) for text in texts])
                                    for texts in (names, [source.path for source in sources]))
        self._starts = np.array([source.start for source in sources])
        self._durations = np.array([np.nan if source.duration is None else source.duration for source in sources])
        whole = Segment("", 0.0, -1.0)
        segments = (data.segments.get(name, whole) for name in names)
        sizes = in_threads(_size, (source.path for source in sources))
        self.content = digest_of(*(f"{name} {segment.start:.3f} {segment.end:.3f} {size}" for name, segment, size
                                   in zip(names, segments, sizes, strict=True)))[:32]

    def __len__(self) -> int:
        return len(self._names)

    @property
    def total_frames(self) -> int:
        """Log-mel frames of all utterances. Raises `UserError` for a directory that does not tell all lengths."""
        if self._seconds is None:
            raise UserError(f"{self.directory}/utt2dur: does not have all utterances: data.by_hours needs them")
        return round(FRAMES_PER_S * self._seconds)

    def read(self, rows: np.ndarray) -> tuple[list[str], list[int], Tensor]:
        """Ids, numbers of samples and waveforms of the utterances `rows` `[B]`.

        The waveforms lie one after the other, float32 `[N]` at 16 kHz. Raises `AudioError` that names the file when one
        can't be read.
        """
        waves = [read_audio(os.fsdecode(self._paths[row]), SAMPLE_RATE, float(self._starts[row]),
                            None if np.isnan(self._durations[row]) else float(self._durations[row])) for row in rows]
        names = [os.fsdecode(self._names[row]) for row in rows]
        return names, [len(wave) for wave in waves], torch.from_numpy(np.concatenate(waves))


def _size(path: str) -> int:
    """Bytes of the file that holds a recording."""
    entry = split_reference(path) if SEPARATOR in path else None
    try:
        return os.stat(path if entry is None else entry[0]).st_size
    except OSError as error:
        raise UserError(f"{path}: no such audio file ({error.strerror}): run the data stage again") from error


class WaveDataset(BatchDataset):
    """Clips of `speech`, each with a clip of `noise`, or a crop of `crop_frames` log-mel frames of it from a store."""

    teacher = None

    def __init__(self, speech: WaveDir, crop_frames: int, noise: WaveDir | PackedStore | None = None, seed: int = 0,
                 n_patches: int = 0):
        self.speech, self.noise, self.seed, self.n_patches = speech, noise, seed, n_patches
        self.crop_frames, self.directory = crop_frames, speech.directory

    def __len__(self) -> int:
        return len(self.speech)

    @property
    def total_frames(self) -> int:
        """Log-mel frames of all utterances."""
        return self.speech.total_frames

    def layout(self, size: int) -> Layout:
        """The tensors of a batch of `size` samples whose shape is known beforehand."""
        layout = {"index": ((size,), torch.int64)}
        if isinstance(self.noise, PackedStore):
            layout["noise"] = (size, self.crop_frames, self.noise.width), torch.float16
        if self.n_patches:
            layout["mask_noise"] = (size, self.n_patches), torch.float32
        return layout

    def fill(self, batch: Batch, epoch: int, indices: np.ndarray, numbers: np.ndarray | None = None) -> Batch:
        """Read the samples `indices` `[B]`, as `PretrainDataset.fill`, but clips instead of crops of log-mel:

        - `wave` float32 `[N]`, the clips one after the other; `samples`, the list of their B lengths; `places`, the
          list of B numbers in [0, 1) that place the crops;
        - the same of the noise, `noise_wave`, `noise_samples` and `noise_places`; from a store, `noise` itself.
        """
        indices = np.asarray(indices)
        numbers = indices if numbers is None else numbers
        draws = uniform(self.seed, epoch, numbers, 3)
        batch["index"].numpy()[:] = numbers
        batch["ids"], batch["samples"], batch["wave"] = self.speech.read(indices)
        batch["places"] = draws[:, 0].tolist()
        if isinstance(self.noise, PackedStore):
            read_noise(self.noise, batch["noise"].numpy(), draws[:, 1:])
        elif self.noise is not None:
            rows = place(draws[:, 1], np.full(len(draws), len(self.noise)))
            _, batch["noise_samples"], batch["noise_wave"] = self.noise.read(rows)
            batch["noise_places"] = draws[:, 2].tolist()
        if self.n_patches:
            batch["mask_noise"].numpy()[:] = uniform(self.seed + MASKS, epoch, numbers, self.n_patches)
        return batch
