#!/usr/bin/env python3
"""Run a training command once per GPU of the job, on this machine or on all nodes of a Slurm job.

usage: python3 utils/torchrun.py -m MODULE [ARGUMENT...]

The launchers say how many (LAUNCH_GPUS for each node, LAUNCH_NODES): `slurm.sh --nodes 2 --gpu 4 LOG python3
utils/torchrun.py ...` makes 8 processes. Without a GPU there is one process on each node. A single process is run as it
is; several are torchrun's (one agent per node, started by srun, c10d rendezvous on the job's first node).

What torchrun lacks is added: USR1, the warning of the job's end, reaches the training processes, and code 75
("interrupted in order", see task.py) is no failure there, at which torchrun would end the other processes, but becomes
the code of the whole.
"""

import os
import runpy
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

INTERRUPTED = 75


def forward_warning(*_: object) -> None:
    """Pass USR1 on to the processes that this agent has started."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended meanwhile
            continue
        if parent == os.getpid():
            os.kill(int(stat.parent.name), signal.SIGUSR1)


def run_agent(options: list[str], command: list[str]) -> int:
    """torchrun's agent in this process; its exit code."""
    signal.signal(signal.SIGUSR1, forward_warning)
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    with tempfile.TemporaryDirectory() as folder:
        mark = Path(folder, "interrupted")
        try:
            run(parse_args([*options, __file__, "--rank", str(mark), *command]))
        except ChildFailedError as error:
            print(error, file=sys.stderr)
            return 1
        except SignalException as error:
            return 128 + error.sigval
        return INTERRUPTED if mark.exists() else 0


def run_rank(mark: Path, command: list[str]) -> None:
    """The training command in this process; an interruption leaves the mark and exits with 0."""

    def leave(*_: object) -> None:  # a warning before the command has its own handler: nothing is lost yet
        mark.touch()
        os._exit(0)

    signal.signal(signal.SIGUSR1, leave)
    try:
        if command[0] == "-m":
            sys.argv = command[1:]
            runpy.run_module(command[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = command
            runpy.run_path(command[0], run_name="__main__")
    except SystemExit as stop:
        if stop.code != INTERRUPTED:
            raise
        mark.touch()


def rendezvous() -> list[str]:
    """torchrun's options for meeting on the first node of the Slurm job."""
    job, restart = os.environ["SLURM_JOB_ID"], os.environ.get("SLURM_RESTART_COUNT", "0")
    hosts = subprocess.check_output(["scontrol", "show", "hostnames", os.environ["SLURM_JOB_NODELIST"]], text=True)
    port = 20000 + int(job) % 10000  # jobs that share a node differ
    return ["--rdzv-backend=c10d", f"--rdzv-endpoint={hosts.split()[0]}:{port}", f"--rdzv-id={job}.{restart}"]


def main(command: list[str]) -> int:
    """Start what the place asks for; its exit code."""
    nodes = int(os.environ.get("LAUNCH_NODES", "1"))
    processes = max(1, int(os.environ.get("LAUNCH_GPUS", "1")))
    if nodes > 1 and "SLURM_STEP_ID" not in os.environ:
        threads = os.environ.get("SLURM_CPUS_PER_TASK", "1")
        # no killing of the others at the first bad exit: they may be writing the same checkpoint; but an end to waiting
        srun = ["srun", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", f"--cpus-per-task={threads}",
                "--kill-on-bad-exit=0", "--wait=120"]
        os.execvp("srun", [*srun, sys.executable, __file__, *command])
    if nodes == 1 and processes == 1:
        os.execv(sys.executable, [sys.executable, *command])
    threads = max(1, int(os.environ.get("OMP_NUM_THREADS", "1")) // processes)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    where = ["--standalone"] if nodes == 1 else [f"--nnodes={nodes}", *rendezvous()]
    return run_agent([*where, f"--nproc-per-node={processes}"], command)


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit(__doc__)
    if sys.argv[1] == "--rank":
        run_rank(Path(sys.argv[2]), sys.argv[3:])
    else:
        sys.exit(main(sys.argv[1:]))
