"""The extraction loop of one job, from audio through frames to a writer; and the extraction of log-mels."""

import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from omegaconf import MISSING
from torch.utils.data import DataLoader, Dataset

from m2d.audio.logmel import LogMel, LogMelConfig
from m2d.audio.wave import AudioError, audio_duration, read_audio
from m2d.common.device import PRECISIONS
from m2d.common.options import option
from m2d.common.progress import progress
from m2d.common.threads import write_behind
from m2d.data.datadir import DataDir
from m2d.data.writer import PackedWriter, Writer

LOG = logging.getLogger(__name__)
K = TypeVar("K", str, int)


@dataclass
class JobOptions:
    data: str = option(MISSING, "data directory: wav.scp and perhaps segments, utt2dur")
    out: str = option(MISSING, "folder of the features")
    job: int = option(1, "this job's number, from 1")
    jobs: int = option(1, "number of jobs that share the work")
    max_bad_share: float = option(0.01, "share of unusable utterances above which the job fails")


@dataclass
class NetworkOptions(JobOptions):
    """Further options of the extraction commands that run a network."""

    device: str = option("auto", "cpu, cuda:N, or auto: each job the next GPU in turn, the CPU where there is none")
    precision: str = option("float32", "float32, bfloat16 or float16 (autocast)", choices=tuple(PRECISIONS))
    batch_seconds: float = option(120.0, "audio in a batch, padding included; less where memory is short")
    workers: int = option(2, "processes that read audio ahead")


class Frames(Protocol):
    """Waveforms to frames."""

    sample_rate: int

    def frame_count(self, samples: int) -> int:
        """Number of frames of a clip of `samples` samples; 0 for a clip that is too short."""

    def __call__(self, wavs: list[torch.Tensor]) -> list[np.ndarray]:
        """Frames `[T_i, D]` of each waveform `[N_i]`, float32."""


def allowed_failures(data: DataDir, options: JobOptions) -> int:
    """Number of utterances of the whole `data` that may fail."""
    return int(options.max_bad_share * len(data))


def extract(data: DataDir, writer: Writer, model: Frames, options: JobOptions, *, what: str, batch_seconds: float = 0.0,
            workers: int = 0) -> None:
    """Write the frames of one job's part of `data`; resumes after the utterances that the writer has.

    Batches hold clips of like length, `batch_seconds` of audio at most; at 0, one clip each in the order of their ids.
    `workers` processes read audio ahead, and a thread writes one batch while the next is computed.
    Audio that can't be read or is shorter than a frame is noted in the writer's list of failures, which raises
    `UserError` when there are too many.
    """
    job, jobs = options.job, options.jobs
    with writer:
        if writer.finished:
            LOG.info("%s: job %d of %d already done", options.out, job, jobs)
            return
        part = data.split(job, jobs)
        todo = [utterance for utterance in part.utterances if utterance not in writer.done]
        LOG.info("%s: job %d of %d: %d utterances, %d of them done before", options.out, job, jobs, len(part),
                 len(part) - len(todo))
        batches = list(length_batches(part, todo, batch_seconds)) if batch_seconds else [[name] for name in todo]
        loader = DataLoader(AudioBatches(part, batches, model.sample_rate), batch_size=None, num_workers=workers)
        with write_behind() as hand_over:
            for utterances, wavs in progress(loader, f"{what} {job}/{jobs}", len(batches)):
                hand_over(_write_batch, writer, *_frames_of(model, dict(zip(utterances, wavs, strict=True))))
    LOG.info("%s: job %d of %d: %d utterances, %d failed", options.out, job, jobs, len(writer.done),
             len(writer.failed))


def _frames_of(model: Frames, batch: dict[str, torch.Tensor | AudioError]) -> tuple[dict[str, np.ndarray],
                                                                                     dict[str, str]]:
    """Frames by utterance, and the reasons why others have none."""
    whole, failures = {}, {}
    for utterance, wav in batch.items():
        if isinstance(wav, AudioError):
            failures[utterance] = str(wav)
        elif not model.frame_count(len(wav)):
            failures[utterance] = f"{len(wav)} samples are less than one frame"
        else:
            whole[utterance] = wav
    return dict(zip(whole, model(list(whole.values())), strict=True)) if whole else {}, failures


def _write_batch(writer: Writer, frames: dict[str, np.ndarray], failures: dict[str, str]) -> None:
    for utterance, reason in failures.items():
        writer.failed.add(utterance, reason)
    for utterance, rows in frames.items():
        writer.append(utterance, rows)


class LogMelFrames:
    """The log-mel front end, clip by clip."""

    def __init__(self, config: LogMelConfig):
        self.sample_rate, self._logmel = config.sample_rate, LogMel(config)
        self.frame_count: Callable[[int], int] = self._logmel.frames

    @torch.inference_mode()
    def __call__(self, wavs: list[torch.Tensor]) -> list[np.ndarray]:
        return [self._logmel(wav).T.numpy() for wav in wavs]


def extract_logmel(data: DataDir, options: JobOptions) -> None:
    """Write one job's part of `data` as shards of `options.out`, float16 `[T, F]` each; resumes after an interruption.

    Audio that can't be read is listed in `logmel.JOB.failed`. Raises `UserError` when that is more than `max_bad_share`
    of all of `data`, and when `out` can't be written or was begun with other settings or other data.
    """
    config = LogMelConfig()
    info = {"logmel": dataclasses.asdict(config), "data": data.fingerprint()}
    writer = PackedWriter(options.out, f"logmel.{options.job}", config.n_mels, jobs=options.jobs, info=info,
                          max_failures=allowed_failures(data, options))
    extract(data, writer, LogMelFrames(config), options, what="log-mel")


def length_batches(data: DataDir, utterances: list[str], batch_seconds: float) -> Iterator[list[str]]:
    """Batches of utterances of like length, each at most `batch_seconds` when padded (see `like_lengths`)."""
    return like_lengths({utterance: _seconds(data, utterance) for utterance in utterances}, batch_seconds)


def like_lengths(seconds: Mapping[K, float], batch_seconds: float) -> Iterator[list[K]]:
    """Batches of clips of like length, the longest first, each at most `batch_seconds` when padded.

    A clip longer than that is a batch of its own. The longest come first, so that insufficient memory shows at once.
    """
    batch: list[K] = []
    for clip in sorted(seconds, key=lambda clip: (-seconds[clip], clip)):
        if batch and (len(batch) + 1) * seconds[batch[0]] > batch_seconds:
            yield batch
            batch = []
        batch.append(clip)
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
