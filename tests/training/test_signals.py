"""Being asked to stop while threads compute."""

import os
import signal
import subprocess
import sys

from m2d.training.signals import STOPPING, StopFlag

PRODUCTS = """
import os, signal, threading, time
import torch
from torch.nn.functional import linear
from m2d.training.signals import StopFlag

torch.manual_seed(0)
torch.set_num_threads(2)
x, weight, bias = torch.randn(512, 192), torch.randn(576, 192), torch.randn(576)
with StopFlag() as stop:
    exact = linear(x, weight, bias)
    with torch.autocast("cpu", torch.bfloat16):
        half = linear(x, weight, bias)
    print("ready", flush=True)
    end = time.monotonic() + 2
    while time.monotonic() < end:
        assert linear(x, weight, bias).equal(exact), "a wrong product"
        with torch.autocast("cpu", torch.bfloat16):
            assert linear(x, weight, bias).equal(half), "a wrong product in bf16"
    assert stop.requested
    print("over", flush=True)
    input()
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


def test_products_under_a_shower_of_signals():
    """Float32 and bf16: oneDNN's private product once corrupted the heap under handlers (oneDNN issue 4845)."""
    process = subprocess.Popen([sys.executable, "-c", PRODUCTS], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    os.set_blocking(process.stdout.fileno(), False)
    while process.poll() is None and not process.stdout.readline():
        for number in (signal.SIGUSR1, signal.SIGTERM):
            process.send_signal(number)
    _, errors = process.communicate("\n")
    assert process.returncode == 0, errors


def test_a_second_interrupt_ends_the_process():
    assert subprocess.run([sys.executable, "-c", IMPATIENT], timeout=60).returncode == -signal.SIGINT


def test_each_signal_raises_the_flag_and_the_handlers_are_as_before_after_it():
    handlers = [signal.getsignal(number) for number in STOPPING]
    with StopFlag() as stop:
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
            stop.requested = False
            os.kill(os.getpid(), number)
            assert stop.requested
    assert [signal.getsignal(number) for number in STOPPING] == handlers
