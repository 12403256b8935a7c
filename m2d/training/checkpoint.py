"""Checkpoints: written atomically and asynchronously, with checksums; the newest intact one is read back.

A checkpoint is `step_NNNNNNNNN.pt`, a dictionary that `torch.load(weights_only=True)` reads:

    model       state dict of the objective (encoder, predictor, target ...)
    optimizer   state dict of AdamW
    config      the resolved `PretrainConfig` as nested plain dictionaries
    identity    identity of the data: a text for each part (`DataModule.identity`)
    statistics  {"mean", "std"} of the log-mels that the model was trained on
    step        optimiser steps done
    epoch       the same in epochs (float)
    data        {"seed", "size", "global_batch", "step"}: the sampler's order and the run's position in it
    rng         a list with the random states of each rank: {"cpu": uint8 [5056], "cuda": uint8 [16]}
    monitor     counters of the run so far

Beside it lies `step_NNNNNNNNN.pt.sha256`, in the format of sha256sum.
"""

import logging
import os
import re
import threading
import time
from pathlib import Path
from typing import Any

import torch

from m2d.common.errors import UserError
from m2d.common.files import atomic_open, existing_file, sha256, write_text

LOG = logging.getLogger(__name__)
NAME = re.compile(r"step_(\d{9})\.pt")


def checkpoints(directory: str | Path) -> list[Path]:
    """The checkpoints in a directory, oldest first."""
    return sorted(path for path in Path(directory).glob("step_*.pt") if is_checkpoint(path))


def is_checkpoint(path: str | Path) -> bool:
    """Whether the file's name is that of a checkpoint of a run."""
    return NAME.fullmatch(Path(path).name) is not None


def step_of(path: Path) -> int:
    """Optimiser steps done at a checkpoint, from its name."""
    return int(NAME.fullmatch(path.name).group(1))


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """One checkpoint, on the CPU. Raises `UserError` if it is missing, contradicts its checksum, or is not ours."""
    path = Path(path)
    mark = path.with_name(path.name + ".sha256")
    existing_file(path, "checkpoint")
    if not mark.is_file():
        raise UserError(f"{path}: broken checkpoint, its checksum {mark.name} is missing")
    if mark.read_text(encoding="utf-8").split()[:1] != [sha256(path)]:
        raise UserError(f"{path}: broken checkpoint, the content does not fit its checksum {mark.name}")
    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or not {"model", "config", "statistics", "step"} <= state.keys():
        raise UserError(f"{path}: not a checkpoint of m2d.bin.pretrain")
    return state


def read_newest(directory: str | Path) -> tuple[Path, dict[str, Any]] | None:
    """The newest intact checkpoint and its content; None if there is none. `UserError` if all are broken."""
    paths = checkpoints(directory)
    for path in reversed(paths):
        try:
            return path, read_checkpoint(path)
        except UserError as error:
            LOG.warning("%s; trying the one before", error)
    if paths:
        raise UserError(f"{directory}: none of the {len(paths)} checkpoints can be read; "
                        "remove them to start anew, or restore one")
    return None


class CheckpointWriter:
    """Writes checkpoints in a thread, one at a time, and removes old ones.

    Training waits only for the copy of the state to the host and for an unfinished previous write.
    torch.distributed.checkpoint's asynchronous saving is no substitute: its metadata is a pickle, and it has no
    checksum and no atomic directory.
    """

    def __init__(self, directory: str | Path, keep_last: int, keep_steps: int):
        """Keep the newest `keep_last`, and permanently those at multiples of `keep_steps` steps (0: none)."""
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.keep_last = keep_last
        self.keep_steps = keep_steps
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        for orphan in self.directory.glob(".step_*.tmp"):  # of a writer that was killed
            orphan.unlink()

    def save(self, state: dict[str, Any]) -> float:
        """Begin to write a copy of `state`; the seconds that training waited. `UserError` if the last write failed."""
        start = time.monotonic()
        self.wait()
        copy = _to_host(state)
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
        self._thread = threading.Thread(target=self._write, args=(copy,), name="checkpoint")
        self._thread.start()
        return time.monotonic() - start

    def wait(self) -> None:
        """Wait for the last write. Raises `UserError` if it failed (full disk, lost mount)."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.check()

    def check(self) -> None:
        """Raise the `UserError` of a failed write, as soon as it is known."""
        if self._error is not None:
            error, self._error = self._error, None
            left = checkpoints(self.directory)
            raise UserError(f"{self.directory}: the checkpoint could not be written ({_reason(error)}); "
                            + (f"the last good one is {left[-1].name}: mend that (make room) and run the same command "
                               "again" if left else "there is none before it")) from error

    def _write(self, state: dict[str, Any]) -> None:
        path = self.directory / f"step_{state['step']:09d}.pt"
        mark = path.with_name(path.name + ".sha256")
        try:
            with atomic_open(path, "wb") as stream:
                torch.save(state, stream)
                stream.flush()
                # The checksum is there before the file takes its name: a checkpoint without one is broken.
                write_text(mark, f"{sha256(stream.name)}  {path.name}\n")
            self._remove_old()
        except BaseException as error:  # whatever it is, the training thread reports it
            self._error = error
            if not path.exists():
                mark.unlink(missing_ok=True)

    def _remove_old(self) -> None:
        paths = checkpoints(self.directory)
        for path in paths[:-self.keep_last]:
            if not self.keep_steps or step_of(path) % self.keep_steps:
                path.unlink()
                path.with_name(path.name + ".sha256").unlink(missing_ok=True)


def _to_host(value: Any) -> Any:
    """A copy on the host of nested dictionaries and lists of tensors; copies from a GPU are asynchronous."""
    if isinstance(value, dict):
        return {key: _to_host(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_host(item) for item in value]
    if isinstance(value, torch.Tensor):
        copy = torch.empty_like(value, device="cpu", pin_memory=value.is_cuda)
        return copy.copy_(value.detach(), non_blocking=True)
    return value


def _reason(error: BaseException) -> str:
    """The system's error, which torch's zip writer hides behind a RuntimeError."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno)
        cause = cause.__context__
    return f"{type(error).__name__}: {error}".splitlines()[0]
