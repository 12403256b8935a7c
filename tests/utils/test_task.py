"""utils/task.py: what becomes of signals, and the status file (the launchers' tests see the rest)."""

import signal
import sys

import pytest

READY = "open('ready', 'w').close()\n"
SAVES = f"""
import signal, sys, time
def stop(*_):
    print("saved", flush=True)
    sys.exit(75)
signal.signal(signal.SIGUSR1, stop)
{READY}
time.sleep(100)
"""
UNAWARE = f"import time\n{READY}\ntime.sleep(100)"


@pytest.fixture
def scontrol(shell):
    """A scontrol that notes how it was called, and refuses."""
    folder = shell.cwd / "bin"
    folder.mkdir()
    shell.script("bin/scontrol", '#!/bin/sh\necho "$@" >asked\nexit 1\n')
    shell.env["PATH"] = f"{folder}:{shell.env['PATH']}"
    return lambda: shell.read("asked") if (shell.cwd / "asked").exists() else ""


@pytest.mark.parametrize("work, number, code, asked", [
    (SAVES, signal.SIGUSR1, 75, "requeue 7\n"),
    (UNAWARE, signal.SIGUSR1, 138, "requeue 7\n"),  # nothing had begun that would be lost
    (SAVES, signal.SIGTERM, 143, ""),
])
def test_a_warned_job_requeues_itself(shell, scontrol, wait_for, work, number, code, asked):
    task = shell.start("task.py", "-", "status", "a.log", sys.executable, "-c", work, SLURM_JOB_ID="7")
    wait_for(lambda: (shell.cwd / "ready").exists())
    if number == signal.SIGTERM:
        shell.signal_group(task, number)
    else:
        task.send_signal(number)
    assert task.wait(timeout=20) == code
    assert scontrol() == asked and shell.read("status") == f"{code}\n"
    assert ("\nsaved\n" in shell.read("a.log")) == (code == 75)


def test_without_slurm_nothing_is_requeued(shell, scontrol, wait_for):
    task = shell.start("task.py", "-", "status", "a.log", sys.executable, "-c", SAVES)
    wait_for(lambda: (shell.cwd / "ready").exists())
    task.send_signal(signal.SIGUSR1)
    assert task.wait(timeout=20) == 75 and scontrol() == ""


def test_an_old_status_does_not_outlive_a_new_start(shell, wait_for):
    (shell.cwd / "status").write_text("0\n")
    task = shell.start("task.py", "3", "status", "JOB.log", "bash", "-c", "touch ready; sleep 100")
    wait_for(lambda: (shell.cwd / "ready").exists())
    assert not (shell.cwd / "status").exists()
    shell.signal_group(task, signal.SIGKILL)
    task.wait(timeout=20)
    assert not (shell.cwd / "status").exists() and "# status" not in shell.read("3.log")
