"""Waveforms of a data directory, in batches of like length for a network that reads audio."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Dataset

from m2d.audio.wave import AudioError, audio_duration, read_audio
from m2d.data.datadir import DataDir


def length_batches(data: DataDir, utterances: list[str], batch_seconds: float) -> Iterator[list[str]]:
    """Batches of utterances of like length, the longest first, each at most `batch_seconds` when padded.

    An utterance longer than that is a batch of its own. The longest come first, so that insufficient memory shows at
    once.
    """
    seconds = {utterance: _seconds(data, utterance) for utterance in utterances}
    batch: list[str] = []
    for utterance in sorted(utterances, key=lambda u: (-seconds[u], u)):
        if batch and (len(batch) + 1) * seconds[batch[0]] > batch_seconds:
            yield batch
            batch = []
        batch.append(utterance)
    if batch:
        yield batch


def _seconds(data: DataDir, utterance: str) -> float:
    """Length of an utterance; 0 for a file that can't be opened, which is reported when it is read."""
    if utterance in data.utt2dur:
        return data.utt2dur[utterance]
    path, start, duration = data.source(utterance)
    if duration is not None:
        return duration
    try:
        return audio_duration(path) - start
    except AudioError:
        return 0.0


class AudioBatches(Dataset):
    """Batches of utterances as (ids, waveforms `[N_i]`), an `AudioError` in place of each that can't be read."""

    def __init__(self, data: DataDir, batches: list[list[str]], sample_rate: int):
        self.data, self.batches, self.sample_rate = data, batches, sample_rate

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, i: int) -> tuple[list[str], list[np.ndarray | AudioError]]:
        return self.batches[i], [self._read(utterance) for utterance in self.batches[i]]

    def _read(self, utterance: str) -> np.ndarray | AudioError:
        path, start, duration = self.data.source(utterance)
        try:
            return read_audio(path, self.sample_rate, start, duration)
        except AudioError as error:
            return error
