#!/usr/bin/env python3
"""Run a training command once per GPU of the job, on this machine or on all nodes of a Slurm job.

usage: python3 utils/torchrun.py -m MODULE [ARGUMENT...]

The launchers say how many (LAUNCH_GPUS for each node, LAUNCH_NODES): `slurm.sh --nodes 2 --gpu 4 LOG python3
utils/torchrun.py ...` makes 8 processes. Without a GPU there is one process on each node. A single process is run as it
is; several are torchrun's (one agent per node, started by srun, c10d rendezvous on the job's first node).

torchrun lacks two things. USR1, the warning of the job's end, has to reach the ranks: each rank leaves a file with its
process number in a folder of the agent's, which passes the signal on. And exit code EX_TEMPFAIL (interrupted in order,
see task.py) must not look like a failure, at which torchrun would end the other ranks: the rank leaves a mark there
and exits with 0, and the agent returns that code.
"""

import contextlib
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from bound import end_with_parent

INTERRUPTED, WARNED, RANK = "interrupted", "warned", "rank."  # files in the agent's folder


def run_agent(options: list[str], command: list[str]) -> int:
    """torchrun's agent in this process; its exit code."""
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def pass_on(*_: object) -> None:
            (folder / WARNED).touch()  # for ranks that have not started yet
            for rank in folder.glob(f"{RANK}*"):
                with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                    os.kill(int(rank.name.removeprefix(RANK)), signal.SIGUSR1)

        signal.signal(signal.SIGUSR1, pass_on)
        try:
            run(parse_args([*options, __file__, "--rank", str(os.getpid()), name, *command]))
        except ChildFailedError as error:
            print(error, file=sys.stderr)
            code = error.get_first_failure()[1].exitcode
            return code if code > 0 else 128 - code
        except SignalException as error:
            return 128 + error.sigval
        return os.EX_TEMPFAIL if (folder / INTERRUPTED).exists() else 0


def run_rank(agent: int, folder: Path, command: list[str]) -> None:
    """The training command in this process; an interruption leaves a mark in `folder` and exits with 0."""
    end_with_parent(agent)
    registration = folder / f"{RANK}{os.getpid()}"

    def leave(*_: object) -> None:  # a warning before the command has its own handler: nothing is lost yet
        (folder / INTERRUPTED).touch()
        registration.unlink(missing_ok=True)
        os._exit(0)

    signal.signal(signal.SIGUSR1, leave)
    registration.touch()
    if (folder / WARNED).exists():
        leave()
    try:
        if command[0] == "-m":
            sys.argv = command[1:]
            runpy.run_module(command[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = command
            runpy.run_path(command[0], run_name="__main__")
    except SystemExit as stop:
        if stop.code != os.EX_TEMPFAIL:
            raise
        (folder / INTERRUPTED).touch()
    finally:
        registration.unlink()


def rendezvous() -> list[str]:
    """torchrun's options for meeting on the first node of the Slurm job."""
    job, restart = os.environ["SLURM_JOB_ID"], os.environ.get("SLURM_RESTART_COUNT", "0")
    hosts = subprocess.check_output(["scontrol", "show", "hostnames", os.environ["SLURM_JOB_NODELIST"]], text=True)
    port = 20000 + int(job) % 10000  # jobs that share a node differ
    return ["--rdzv-backend=c10d", f"--rdzv-endpoint={hosts.split()[0]}:{port}", f"--rdzv-id={job}.{restart}"]


def main(command: list[str]) -> int:
    """Start as many processes as the launcher says; the exit code."""
    nodes = int(os.environ.get("LAUNCH_NODES", "1"))
    processes = max(1, int(os.environ.get("LAUNCH_GPUS", "1")))
    if nodes > 1 and "SLURM_STEP_ID" not in os.environ:
        threads = os.environ.get("SLURM_CPUS_PER_TASK", "1")
        # one bad exit must not kill the others, which may be writing the same checkpoint; they have two minutes
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
        run_rank(int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
    else:
        sys.exit(main(sys.argv[1:]))
