"""Feature extraction as a Slurm array that loses a node in the middle: the store is that of an undisturbed run."""

import json
import sys
import time

import numpy as np
import soundfile

from m2d.data.datadir import DataDir
from m2d.data.extract import JobOptions, extract_logmel
from m2d.data.merge import merge_index

UTTERANCES, JOBS = 8000, 4


def test_a_lost_node_changes_nothing(shell, slurm):
    rng = np.random.default_rng(0)
    for number in range(20):
        soundfile.write(shell.cwd / f"{number}.flac", rng.normal(size=1600) / 10, 16000)
    data = DataDir({f"u{number:04d}": str(shell.cwd / f"{number % 20}.flac") for number in range(UTTERANCES)})
    data.write(shell.cwd / "data")
    extract_logmel(data, JobOptions("data", str(shell.cwd / "undisturbed")))
    merge_index(shell.cwd / "undisturbed")

    array = shell.start("slurm.sh", f"JOB=1:{JOBS}", "log/x.JOB.log", sys.executable, "-m", "m2d.bin.extract_logmel",
                        "data=data", "out=store", "job=JOB", f"jobs={JOBS}")
    end = time.monotonic() + 120
    while len(list((shell.cwd / "store").glob(".logmel.*.tmp"))) < 2:  # tasks begin to write
        assert time.monotonic() < end and array.poll() is None
        time.sleep(0.005)
    slurm.lose("n1")
    slurm.restore()
    assert array.wait(timeout=300) == 0, array.communicate()
    merge_index(shell.cwd / "store")
    one, other = (json.loads((shell.cwd / name / "meta.json").read_text()) for name in ("undisturbed", "store"))
    assert [one[key] for key in ("utterances", "frames", "content")] == [
        other[key] for key in ("utterances", "frames", "content")]
    assert one["utterances"] == UTTERANCES and len(one["shards"]) < len(other["shards"])
