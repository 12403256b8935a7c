"""utils/torchrun.py on this machine: how many processes, and what an interruption is."""

import os
import signal
import sys

TRAINING = """
import os, signal, sys, time
rank = os.environ.get("RANK", "alone")
stopped = []
signal.signal(signal.SIGUSR1, lambda *_: stopped.append(True))
print(f"rank {rank} of {os.environ.get('WORLD_SIZE', 1)}, {sys.argv[1:]}", flush=True)
open(f"ready.{rank}", "w").close()
if "fail" in sys.argv and rank == "1":
    sys.exit(3)
while "wait" in sys.argv and not stopped:
    time.sleep(0.1)
if stopped:
    time.sleep(float(rank))  # the ranks need not end together
    print(f"saved {rank}", flush=True)
    sys.exit(75)
"""


def test_one_process_is_run_as_it_is(shell):
    (shell.cwd / "train.py").write_text(TRAINING)
    assert shell.run(sys.executable, shell.utils / "torchrun.py", "train.py", "a", "b c").stdout == \
        "rank alone of 1, ['a', 'b c']\n"


def test_one_process_per_gpu(shell):
    (shell.cwd / "train.py").write_text(TRAINING)
    done = shell.run("run.sh", "--gpu", 2, "a.log", sys.executable, shell.utils / "torchrun.py", "-m", "train", "x",
                     CUDA_VISIBLE_DEVICES="0,1", PYTHONPATH=".")
    assert done.returncode == 0, done.stderr
    assert sorted(line for line in shell.read("a.log").splitlines() if line.startswith("rank")) == \
        ["rank 0 of 2, ['x']", "rank 1 of 2, ['x']"]


def test_a_failed_rank_is_a_failure(shell):
    (shell.cwd / "train.py").write_text(TRAINING)
    done = shell.run(sys.executable, shell.utils / "torchrun.py", "train.py", "fail", LAUNCH_GPUS="2")
    assert done.returncode == 3 and "exitcode  : 3" in done.stderr


def test_a_warning_reaches_all_ranks_and_all_of_them_end_in_order(shell, wait_for):
    (shell.cwd / "train.py").write_text(TRAINING)
    agent = shell.start(sys.executable, shell.utils / "torchrun.py", "train.py", "wait", LAUNCH_GPUS="2")
    wait_for(lambda: all((shell.cwd / f"ready.{rank}").exists() for rank in (0, 1)), 60)
    agent.send_signal(signal.SIGUSR1)
    out, _ = agent.communicate(timeout=60)
    assert agent.returncode == os.EX_TEMPFAIL
    assert "saved 0" in out and "saved 1" in out
