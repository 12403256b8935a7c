"""The feature API in a process that has signal handlers, as web servers, notebooks and data loaders do."""

import os
import subprocess
import sys

import pytest

SECONDS = float(os.environ.get("M2D_TEST_SIGNAL_SECONDS", "3"))

HOST = """
import signal, sys, time
import torch
from m2d.audio.logmel import LogMelConfig
from m2d.nn.encoder_config import EncoderConfig
from m2d.nn.encoder import Encoder
from m2d.pretrained.features import M2DFeatures

per_second, seconds, dtype = int(sys.argv[1]), float(sys.argv[2]), getattr(torch, sys.argv[3])
torch.manual_seed(0)
torch.set_num_threads(2)
model = M2DFeatures(Encoder(EncoderConfig((80, 208), (80, 4), 1, 192, 4, 3)), LogMelConfig(), -7.1, 4.2).eval()
clip = torch.randn(1, 48000) * 0.1

def features():
    with torch.inference_mode(), torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        return model(clip).frames

expected, taken = features(), 0

def handler(number, frame):
    global taken
    taken += 1

signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 1 / per_second, 1 / per_second)
end = time.monotonic() + seconds
while time.monotonic() < end:
    assert features().equal(expected), "other features under signals"
signal.setitimer(signal.ITIMER_REAL, 0)
assert taken > seconds, taken
print(taken)
"""


@pytest.mark.parametrize("per_second", [20, 500])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_features_under_a_timer_handler(per_second, dtype):
    """A private oneDNN product once corrupted the host's heap within seconds (status 134)."""
    process = subprocess.run([sys.executable, "-c", HOST, str(per_second), str(SECONDS), dtype], capture_output=True,
                             text=True, check=False)
    assert process.returncode == 0, process.stderr
