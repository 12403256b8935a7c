"""What produced a result, also where git or a package is missing."""

import shlex
import sys

import numpy as np

from m2d.common.provenance import command, environment, source, versions


def test_environment_names_versions_and_command(monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", ["/opt/env/bin/python", "-m", "m2d.bin.pretrain", "run.exp=a b"])
    found = environment()
    assert found["versions"]["numpy"] == np.__version__ and found["ranks"] == 1
    assert shlex.split(found["command"]) == ["python", "-m", "m2d.bin.pretrain", "run.exp=a b"]
    assert shlex.split(command())[0] == "/opt/env/bin/python"


def test_command_under_torchrun_starts_all_ranks_again(monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", ["python", "-u", "-m", "m2d.bin.pretrain", "x=1"])
    for name, value in {"WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "node1", "MASTER_PORT": "9"}.items():
        monkeypatch.setenv(name, value)
    assert command() == ("python -m torch.distributed.run --nproc-per-node 2 --nnodes 2 --rdzv-backend c10d "
                         "--rdzv-endpoint node1:9 -m m2d.bin.pretrain x=1")


def test_without_git_and_packages(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert source() == {"git": None, "changed": None}
    assert versions(("numpy", "no-such-package")) == {"numpy": np.__version__, "no-such-package": None}
