"""Being asked to stop while threads compute."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from m2d.training.signals import EXIT_INTERRUPTED, KEPT_AWAY, STOPPING, StopFlag

PRODUCTS = """
import signal, sys, time
import torch
from torch.nn.functional import linear
from m2d.training.signals import StopFlag

signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # for those that come when the block is over
torch.manual_seed(0)
torch.set_num_threads(2)
x, weight, bias = torch.randn(512, 192), torch.randn(576, 192), torch.randn(576)
with StopFlag() as stop:
    expected = linear(x, weight, bias)
    print("ready", flush=True)
    end = time.monotonic() + 2
    while time.monotonic() < end:
        assert linear(x, weight, bias).equal(expected), "a wrong product"
    assert stop.requested
"""

IMPATIENT = """
import os, signal, time
from m2d.training.signals import StopFlag

with StopFlag() as stop:
    os.kill(os.getpid(), signal.SIGINT)
    while not stop.requested:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(100)
"""


def blocked():
    """The signals that this thread does not take."""
    return signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_products_under_a_shower_of_signals():
    """A handler's frame on a thread in oneDNN's float32 product corrupts the heap (oneDNN issue 4845)."""
    process = subprocess.Popen([sys.executable, "-c", PRODUCTS], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    while process.poll() is None:
        process.send_signal(signal.SIGUSR1)
        time.sleep(1e-4)
    assert process.returncode == 0, process.stderr.read()


def test_a_second_interrupt_ends_the_process():
    assert subprocess.run([sys.executable, "-c", IMPATIENT], timeout=60).returncode == -signal.SIGINT


def test_threads_of_the_block_take_no_signals_and_all_is_as_before_after_it():
    before, handlers = blocked(), [signal.getsignal(number) for number in STOPPING]
    threads, seen = threading.active_count(), []
    with StopFlag() as stop:
        thread = threading.Thread(target=lambda: seen.append(blocked()))
        thread.start()
        thread.join()
        assert seen[0] >= KEPT_AWAY and blocked() >= KEPT_AWAY
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGTERM):
            stop.requested = False
            os.kill(os.getpid(), number)
            end = time.monotonic() + 10
            while not stop.requested:  # another thread takes it
                assert time.monotonic() < end
                time.sleep(0.001)
    assert blocked() == before and threading.active_count() == threads
    assert [signal.getsignal(number) for number in STOPPING] == handlers


def test_one_idle_thread_of_a_run_takes_its_signals(options, start, tmp_path):
    """Torch's, the loader's, TensorBoard's threads, the checkpoint's: all inherit that signals are not for them."""
    run = start([*options, "optim.epochs=10000", "data.workers=1", "run.checkpoint_minutes=0"])
    metrics, end = tmp_path / "exp/metrics.jsonl", time.monotonic() + 60
    while not (metrics.exists() and metrics.stat().st_size):
        assert time.monotonic() < end, run.said()
        time.sleep(0.01)
    takers, bits = [], sum(1 << (number - 1) for number in KEPT_AWAY)
    for status in Path(f"/proc/{run.pid}/task").glob("*/status"):
        try:
            fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
        except FileNotFoundError:  # the thread that wrote a checkpoint
            continue
        if int(fields["SigBlk"], 16) & bits != bits:
            takers.append((int(fields["Pid"]) == run.pid, int(fields["SigBlk"], 16) & bits))
    assert takers == [(False, 0)]  # not the main thread, and it takes them all
    os.kill(run.pid, signal.SIGTERM)
    assert run.wait() == EXIT_INTERRUPTED, run.said()
