"""The experiment directory: what was run, with what, by which command; one run at a time; whether it is finished."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import platform
import shlex
import socket
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from m2d.common.cli import LOG_FORMAT
from m2d.common.config import load_config, to_yaml
from m2d.common.errors import UserError
from m2d.common.files import write_json, write_text
from m2d.training.checkpoint import read_checkpoint, read_newest
from m2d.training.config import PretrainConfig, changes, plain
from m2d.training.distributed import Ranks

LOG = logging.getLogger(__name__)
PACKAGES = ("m2d", "torch", "torchaudio", "numpy", "omegaconf", "tensorboard")


class Experiment:
    """The directory `run.exp`, held by rank 0 of this run alone while the block lasts.

    `finished` tells whether the run is done already, `resumed` is the state of its newest sound checkpoint or None.

    Raises `UserError` on entering if another run holds the directory, or one with other options has been there.
    """

    def __init__(self, config: PretrainConfig, ranks: Ranks):
        self.config, self.ranks = config, ranks
        self.directory = Path(config.run.exp)
        self.checkpoints = self.directory / "checkpoints"
        self.finished = False
        self.resumed: dict[str, Any] | None = None
        self._held = contextlib.ExitStack()

    def __enter__(self) -> Experiment:
        with contextlib.ExitStack() as held:
            self._held = held
            self.finished, newest = self.ranks.on_main(self._open)
            if newest is not None and self.resumed is None:
                self.resumed = read_checkpoint(newest)
            self._held = held.pop_all()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, UserError):
            LOG.error("%s", error)
        elif error is not None and not isinstance(error, SystemExit):
            LOG.error("stopped by an unexpected error", exc_info=error)
        self._held.close()

    def _open(self) -> tuple[bool, Path | None]:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._held.callback(os.close, self._lock())
        log = logging.FileHandler(self.directory / "train.log", encoding="utf-8")
        log.setFormatter(logging.Formatter(LOG_FORMAT))
        logging.getLogger().addHandler(log)
        self._held.callback(log.close)
        self._held.callback(logging.getLogger().removeHandler, log)
        if (self.directory / "done").is_file():
            self._refuse_changes(plain(load_config(PretrainConfig, self.directory / "config.yaml")))
            return True, None
        newest = read_newest(self.checkpoints)
        if newest is None:
            self._describe()
            return False, None
        path, self.resumed = newest
        self._refuse_changes(self.resumed["config"])
        self._describe()
        return False, path

    def _refuse_changes(self, before: dict[str, Any]) -> None:
        """Raise `UserError` if options that shape the result differ from `before`, unless the run allows it."""
        changed = changes(before, plain(self.config))
        if changed and not self.config.run.allow_config_change:
            raise UserError(f"{self.directory} holds a run with other options ({'; '.join(changed)}): give another "
                            "run.exp, or run.allow_config_change=true to go on with the new ones "
                            "(run.init_from in a new run.exp starts a fresh schedule from these weights)")

    def _describe(self) -> None:
        """Write config.yaml, environment.json and replay.sh."""
        write_text(self.directory / "config.yaml", to_yaml(self.config))
        write_json(self.directory / "environment.json", environment())
        replay = self.directory / "replay.sh"
        write_text(replay, f"#!/usr/bin/env bash\nset -euo pipefail\ncd {shlex.quote(os.getcwd())}\n{command()}\n")
        replay.chmod(0o755)

    def mark_done(self, step: int) -> None:
        """Say that the run is finished."""
        write_json(self.directory / "done", {"step": step, "finished": time.strftime("%Y-%m-%d %H:%M:%S")})

    def _lock(self) -> int:
        # A POSIX record lock: unlike flock it is not inherited by loader workers, which may outlive a killed run.
        path = self.directory / ".lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                LOG.warning("%s: no locks on this file system (%s): see to it that no second run is started here",
                            path, error.strerror)
                return descriptor
            holder = os.pread(descriptor, 1000, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise UserError(f"{self.directory}: another run is going on in this directory ({holder}): "
                            "wait for it, stop it, or give another run.exp") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        return descriptor


def environment() -> dict[str, Any]:
    """Versions, machine, device, and the state of the source, for environment.json."""
    def git(*words: str) -> str | None:
        source = Path(__file__).resolve().parent
        found = subprocess.run(["git", "-C", str(source), *words], capture_output=True, text=True, check=False)
        return found.stdout.strip() if found.returncode == 0 else None

    def version(package: str) -> str | None:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            return None

    try:
        source = {"git": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain", "-uno"))}
    except FileNotFoundError:
        source = {"git": None}
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "command": command(), "host": socket.gethostname(), "python": platform.python_version(),
        "platform": platform.platform(), "cpus": os.cpu_count(), "gpus": gpus, "cuda": torch.version.cuda,
        "ranks": int(os.environ.get("WORLD_SIZE", "1")), "slurm_job": os.environ.get("SLURM_JOB_ID"),
        "versions": {package: version(package) for package in PACKAGES}, "source": source,
    }


def command() -> str:
    """The command line that started this run, torchrun included, quoted for a shell."""
    words = list(sys.orig_argv)
    ranks, here = os.environ.get("WORLD_SIZE"), os.environ.get("LOCAL_WORLD_SIZE")
    if ranks is None or here is None:
        return shlex.join(words)
    nodes = int(os.environ["WORLD_SIZE"]) // int(here)
    torchrun = [words[0], "-m", "torch.distributed.run", "--nproc-per-node", here]
    if nodes > 1:
        endpoint = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        torchrun += ["--nnodes", str(nodes), "--rdzv-backend", "c10d", "--rdzv-endpoint", endpoint]
    arguments = words[words.index("-m"):] if "-m" in words else words[1:]
    return shlex.join([*torchrun, *arguments])
