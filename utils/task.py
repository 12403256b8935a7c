#!/usr/bin/env python3
"""One task of a launcher: the command with its log, which begins with the command and ends with the status.

usage: task.py [--warn-group] INDEX STATUS_FILE LOG COMMAND...

Unless INDEX is "-", it takes the place of JOB where JOB stands between dots in the log's file name, and of the words
"JOB" and "job=JOB" of COMMAND: names that contain JOB stay as they are. The exit code is written to STATUS_FILE, unless
that is "-", so that the result of a Slurm job does not depend on Slurm's accounting.

USR1 is the warning that the job will be ended soon. It is passed on to the command (with --warn-group to the whole
process group, for a command that is itself a launcher). Code os.EX_TEMPFAIL, or death by that signal before a handler
stood, then means "stopped in order, goes on when started again": under Slurm the job requeues itself and the task
counts as unfinished.
TERM comes from a launcher that ends all processes of the task: the command may end in its own time.
When the launcher is killed, so is the task, and with the task the command.
The command's TMPDIR is a folder of this task's, which is removed at the end; after a kill, by the next start.

Only the standard library is used: this runs before any environment is known to be whole.
"""

import hashlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bound import end_with_parent


class Task:
    """The command while it runs, and the signals that came meanwhile."""

    def __init__(self, warn_group: bool):
        self.warn_group = warn_group
        self.process: subprocess.Popen | None = None
        self.warned = self.terminated = False
        signal.signal(signal.SIGUSR1, self._warn)
        signal.signal(signal.SIGTERM, self._terminate)

    def _warn(self, *_: object) -> None:
        self.warned = True
        if self.warn_group:
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            os.killpg(0, signal.SIGUSR1)
        elif self.process is not None:
            self.process.send_signal(signal.SIGUSR1)

    def _terminate(self, *_: object) -> None:
        self.terminated = True

    def run(self, command: list[str]) -> int:
        """The exit code of the command as a shell counts it: 128 + N for a death by signal N."""
        try:
            # open descriptors are inherited: the locks of the stage (see log.sh) are held until the command has ended
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, close_fds=False,
                                            preexec_fn=partial(end_with_parent, os.getpid()))
        except OSError as error:
            print(f"{command[0]}: {error.strerror}", flush=True)
            return 127 if isinstance(error, FileNotFoundError) else 126
        if self.warned:
            self.process.send_signal(signal.SIGUSR1)
        code = self.process.wait()
        return 128 - code if code < 0 else code

    def interrupted(self, code: int) -> bool:
        """Whether the command was stopped by the warning, and not by somebody who wants it ended."""
        return self.warned and not self.terminated and code in (os.EX_TEMPFAIL, 128 + signal.SIGUSR1)


def requeue() -> None:
    """Ask Slurm to start this job again, and wait for the end that this brings; returns when Slurm refuses."""
    asked = subprocess.run(["scontrol", "requeue", os.environ["SLURM_JOB_ID"]], stdin=subprocess.DEVNULL)
    if asked.returncode == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        time.sleep(300)
        sys.exit(os.EX_TEMPFAIL)


def log_of(log: str, index: str) -> str:
    """The log of one task: INDEX for JOB between the dots of the file's name, as in `dir/x.JOB.log`."""
    folder, name = os.path.split(log)
    return os.path.join(folder, ".".join(index if part == "JOB" else part for part in name.split(".")))


@contextmanager
def scratch(log: str) -> Iterator[None]:
    """Set TMPDIR to a folder whose name follows from the log's path, unless none can be made."""
    name = hashlib.sha256(os.fsencode(os.path.abspath(log))).hexdigest()[:12]
    try:
        folder = os.path.join(tempfile.gettempdir(), f"m2d-{os.getuid()}-{name}")
        shutil.rmtree(folder, ignore_errors=True)
        os.mkdir(folder, 0o700)
    except OSError:  # read-only everywhere, or the name is another user's
        yield
        return
    # what torch has compiled is kept for the next start
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", os.path.join(tempfile.gettempdir(), f"m2d-{os.getuid()}-inductor"))
    os.environ["TMPDIR"] = folder
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def now() -> str:
    """The time as it stands in logs."""
    return time.strftime("%Y-%m-%d %H:%M:%S")


def main(words: list[str]) -> int:
    """Run the task; its exit code."""
    if "LAUNCH_PARENT" in os.environ:
        end_with_parent(int(os.environ.pop("LAUNCH_PARENT")))
    warn_group = words[0] == "--warn-group"
    index, status_file, log, *command = words[warn_group:]
    if index != "-":
        log = log_of(log, index)
        command = [{"JOB": index, "job=JOB": f"job={index}"}.get(word, word) for word in command]
    if status_file != "-":
        Path(status_file).unlink(missing_ok=True)
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)

    task = Task(warn_group)
    where = socket.gethostname()
    if "SLURM_JOB_ID" in os.environ:
        where += f", Slurm job {os.environ['SLURM_JOB_ID']}, restart {os.environ.get('SLURM_RESTART_COUNT', '0')}"
    print(f"# {shlex.join(command)}\n# started {now()} on {where}\n#", flush=True)
    start = time.monotonic()
    with scratch(log):
        code = task.run(command)
    ended = f"{now()} after {time.monotonic() - start:.0f} s"
    if task.interrupted(code) and "SLURM_JOB_ID" in os.environ:
        print(f"# interrupted {ended}, the job is requeued", flush=True)
        requeue()
    print(f"# status {code} {ended}", flush=True)
    if status_file != "-":
        Path(f"{status_file}.tmp").write_text(f"{code}\n")
        os.replace(f"{status_file}.tmp", status_file)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
