"""Entry points on a machine that refuses something: one line that names the file, nothing half-written."""

import resource
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from m2d.common import cli
from m2d.common.files import atomic_open, write_text


@dataclass
class Nothing:
    """No options."""


@pytest.fixture
def refusal(monkeypatch, capsys):
    """What a command says that does `work` under a soft limit of this process."""
    monkeypatch.setattr("sys.argv", ["command"])

    def run(work, limit=resource.RLIMIT_FSIZE, value=None):
        soft, hard = resource.getrlimit(limit)
        resource.setrlimit(limit, (soft if value is None else value, hard))
        try:
            with pytest.raises(SystemExit) as stopped:
                cli.run(Nothing, lambda _: work(), "A command.")
        finally:
            resource.setrlimit(limit, (soft, hard))
        assert stopped.value.code == 1
        return capsys.readouterr().err.splitlines()[-1]

    return run


def save(path):
    with atomic_open(path, "wb") as stream:
        np.save(stream, np.zeros(100_000))


@pytest.mark.parametrize("work", [lambda path: write_text(path, "x" * 100_000), save])
def test_a_file_that_may_not_grow(refusal, tmp_path, work):
    said = refusal(lambda: work(tmp_path / "a"), value=20_000)
    assert said.startswith(f"error: {tmp_path}/a: ") and not list(tmp_path.iterdir())


def test_no_more_open_files(refusal, tmp_path):
    assert refusal(lambda: [open(tmp_path / f"{i}", "w") for i in range(500)],  # noqa: SIM115
                   resource.RLIMIT_NOFILE, 100).endswith(": Too many open files: raise the limit (ulimit -n)")


def test_no_more_memory(refusal):
    for work in (lambda: np.zeros(2**55), lambda: torch.zeros(2**55)):
        assert refusal(work).startswith("error: out of memory: ")


def test_a_folder_that_is_a_file(refusal, tmp_path):
    (tmp_path / "a").touch()
    assert refusal(lambda: write_text(tmp_path / "a/b", "")) == f"error: {tmp_path}/a: File exists"


def test_other_errors_keep_their_traceback(monkeypatch):
    monkeypatch.setattr("sys.argv", ["command"])
    with pytest.raises(RuntimeError, match="a bug"):
        cli.run(Nothing, lambda _: (_ for _ in ()).throw(RuntimeError("a bug")), "A command.")
