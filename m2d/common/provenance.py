"""What produced a result: the command, the machine, the versions of packages, the state of the source."""

import os
import platform
import shlex
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("m2d", "torch", "torchaudio", "numpy", "omegaconf", "tensorboard")


def environment() -> dict[str, Any]:
    """Versions, machine, device, and the state of the source, for environment.json."""
    import torch  # not needed for the versions alone

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "command": command(os.path.basename(sys.orig_argv[0])), "host": socket.gethostname(),
        "python": platform.python_version(), "platform": platform.platform(), "cpus": os.cpu_count(), "gpus": gpus,
        "cuda": torch.version.cuda,
        "ranks": int(os.environ.get("WORLD_SIZE", "1")), "slurm_job": os.environ.get("SLURM_JOB_ID"),
        "versions": versions(PACKAGES), "source": source(),
    }


def versions(packages: tuple[str, ...]) -> dict[str, str | None]:
    """Installed version of each package, None for one that is not installed."""
    def version(package: str) -> str | None:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            return None
    return {package: version(package) for package in packages}


def source() -> dict[str, Any]:
    """`git`: commit of this package's source; `changed`: whether it was modified. None for both without git."""
    def git(*words: str) -> str | None:
        try:
            found = subprocess.run(["git", "-C", str(Path(__file__).resolve().parent), *words], capture_output=True,
                                   text=True, check=False)
        except OSError:  # git is not installed
            return None
        return found.stdout.strip() if found.returncode == 0 else None

    commit = git("rev-parse", "HEAD")
    return {"git": commit, "changed": None if commit is None else bool(git("status", "--porcelain", "-uno"))}


def command(interpreter: str | None = None) -> str:
    """This process's command line, with torchrun, quoted; `interpreter` stands for its own, a path of this machine."""
    words = [interpreter or sys.orig_argv[0], *sys.orig_argv[1:]]
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
