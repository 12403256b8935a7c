"""The experiment directory: the run's identity (options and data), its lock, and whether it is finished."""

import contextlib
import errno
import fcntl
import logging
import os
import shlex
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from m2d.common.cli import LOG_FORMAT
from m2d.common.config import load_config, to_yaml
from m2d.common.errors import OtherRunError, UserError
from m2d.common.files import read_json, write_json, write_text
from m2d.common.provenance import command, environment
from m2d.training.checkpoint import read_checkpoint, read_newest
from m2d.training.config import PretrainConfig, changes, plain
from m2d.training.distributed import Ranks, default_dtype

LOG = logging.getLogger(__name__)


class Experiment:
    """The directory `run.exp`, locked by rank 0 during the block. `UserError` if another run has locked it."""

    def __init__(self, config: PretrainConfig, ranks: Ranks):
        self.config, self.ranks = config, ranks
        self.directory = Path(config.run.exp)
        self.checkpoints = self.directory / "checkpoints"
        self.finished = False
        self.resumed: dict[str, Any] | None = None
        self._held = contextlib.ExitStack()

    def __enter__(self) -> "Experiment":
        with contextlib.ExitStack() as held:
            self._held = held
            self.ranks.on_main(self._hold)
            self._held = held.pop_all()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, UserError):
            LOG.error("%s", error)
        elif error is not None and not isinstance(error, SystemExit):
            LOG.error("stopped by an unexpected error", exc_info=error)
        self._held.close()

    def _hold(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._held.callback(os.close, self._lock())
        log = logging.FileHandler(self.directory / "train.log", encoding="utf-8")
        log.setFormatter(logging.Formatter(LOG_FORMAT))
        logging.getLogger().addHandler(log)
        self._held.callback(log.close)
        self._held.callback(logging.getLogger().removeHandler, log)

    def find_run(self, identity: dict[str, Any]) -> None:
        """Set `finished` and `resumed` (the newest sound checkpoint, None for a new run); record options and data.

        `identity` is that of the run's data. Resolves `run.dtype=auto`: as the run began, for a new one by the device.
        Raises `OtherRunError` if the directory holds a run with other options or data, `UserError` if none of its
        checkpoints can be read.
        """
        self.finished, newest = self.ranks.on_main(lambda: self._newest(identity))
        if self.finished:
            return
        if newest is not None and self.resumed is None:
            self.resumed = read_checkpoint(newest)
        if self.config.run.dtype == "auto":
            self.config.run.dtype = self.resumed["config"]["run"]["dtype"] if self.resumed \
                else default_dtype(self.ranks.device)
        self.ranks.on_main(lambda: self._record(identity))

    def _newest(self, identity: dict[str, Any]) -> tuple[bool, Path | None]:
        if (self.directory / "done").is_file():
            refuse_other_run(self.config, identity, *_recorded(self.directory))
            return True, None
        newest = read_newest(self.checkpoints)
        if newest is None:
            return False, None
        path, self.resumed = newest
        refuse_other_run(self.config, identity, self.resumed["config"], self.resumed.get("identity", {}))
        return False, path

    def _record(self, identity: dict[str, Any]) -> None:
        """Write config.yaml, data.json, environment.json and replay.sh."""
        write_text(self.directory / "config.yaml", to_yaml(self.config))
        write_json(self.directory / "data.json", identity)
        write_json(self.directory / "environment.json", environment())
        replay = self.directory / "replay.sh"
        write_text(replay, f"#!/usr/bin/env bash\nset -euo pipefail\ncd {shlex.quote(os.getcwd())}\n{command()}\n")
        readable = replay.stat().st_mode
        replay.chmod(readable | (readable & 0o444) >> 2)  # executable where it is readable

    def mark_done(self, step: int) -> None:
        write_json(self.directory / "done", {"step": step, "finished": time.strftime("%Y-%m-%d %H:%M:%S")})

    def _lock(self) -> int:
        # A POSIX record lock: unlike flock it is not inherited by loader workers, which may outlive a killed run.
        path = self.directory / ".lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                LOG.warning("%s: no locks on this file system (%s): make sure that no second run is started here",
                            path, error.strerror)
                return descriptor
            holder = os.pread(descriptor, 1000, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise UserError(f"{self.directory}: another run is going on in this directory ({holder}): "
                            "wait for it, stop it, or give another run.exp") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        return descriptor


def refuse_other_run(config: PretrainConfig, identity: dict[str, Any], before: dict[str, Any],
                     identity_before: dict[str, Any]) -> None:
    """Raise `OtherRunError` if options that shape the result differ from `before` (unless allowed), or the data do."""
    directory, changed = config.run.exp, changes(before, plain(config))
    if changed and not config.run.allow_config_change:
        raise OtherRunError(f"{directory} holds a run with other options ({'; '.join(changed)}): give another "
                            "run.exp, or run.allow_config_change=true to go on with the new ones "
                            "(run.init_from in a new run.exp starts a fresh schedule from these weights)")
    changed = [f"{name}: {identity_before[name]} -> {identity[name]}" for name in sorted(identity)
               if identity_before.get(name, identity[name]) != identity[name]]
    if changed:
        raise OtherRunError(f"{directory} holds a run on other data ({'; '.join(changed)}): restore the former data to "
                            "go on with it; to train on these, move the directory aside or give another run.exp")


def _recorded(directory: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options and data identity of the run in a directory, from its files."""
    path = directory / "data.json"
    try:
        identity = read_json(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: can't be read ({error}): what the run's data were is not known; restore it, or give "
                        "another run.exp") from None
    return plain(load_config(PretrainConfig, directory / "config.yaml")), identity
