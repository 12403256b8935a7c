"""`m2d`: one table of commands, the entry points of m2d.bin and no others."""

import pkgutil
import subprocess
import sys

import pytest

import m2d.bin
from m2d import __main__ as console


def test_the_table_is_all_of_m2d_bin():
    listed = [name for group in console.COMMANDS.values() for name in group]
    assert sorted(listed) == sorted(module.name for module in pkgutil.iter_modules(m2d.bin.__path__))


def call(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["m2d", *words])
    console.main()


@pytest.mark.parametrize("words", [(), ("--help",)])
def test_it_lists_its_commands(monkeypatch, capsys, words):
    call(monkeypatch, *words)
    text = capsys.readouterr().out
    assert all(name in text for group in console.COMMANDS.values() for name in group)


def test_a_wrong_name_gets_the_nearest(monkeypatch, capsys):
    with pytest.raises(SystemExit, match="2"):
        call(monkeypatch, "pretrian")
    assert capsys.readouterr().err.startswith("error: m2d has no command 'pretrian', did you mean 'pretrain'?")


@pytest.mark.parametrize("name", ["import_published", "import-published"])
def test_it_runs_the_entry_point_itself(monkeypatch, capsys, name):
    with pytest.raises(SystemExit, match="0"):
        call(monkeypatch, name, "--help")
    assert "published .pth file" in capsys.readouterr().out


def test_a_reader_that_has_seen_enough():
    """`m2d | head -1`: no traceback."""
    done = subprocess.run(f"{sys.executable} -m m2d | head -1", shell=True, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("Masked Modeling Duo") and not done.stderr
