"""Bars and lines of progress."""

import io
import logging

import pytest

from m2d.common import progress as module
from m2d.common.progress import CLEAR, Bar, progress, redraws


class Terminal(io.StringIO):
    """A stream that calls itself a terminal of 80 columns."""

    def isatty(self):
        return True

    def fileno(self):
        raise OSError("no file")


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal()


def test_the_line_never_passes_the_terminals_width(terminal):
    Bar(terminal).draw(0.5, "x" * 500)
    text = terminal.getvalue().removeprefix(CLEAR)
    for code in ("\033[32m", "\033[90m", "\033[0m"):
        text = text.replace(code, "")
    assert len(text) < 80 and " 50%  xxx" in text


def test_items_pass_through_and_the_bar_is_taken_away(terminal, monkeypatch):
    monkeypatch.setattr("sys.stderr", terminal)
    clock = iter(range(100))
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(clock)))
    assert list(progress([1, 2, 3], "clips")) == [1, 2, 3]
    assert "clips: 2/3, 1.0/s, ETA 1s" in terminal.getvalue() and terminal.getvalue().endswith(CLEAR)


def test_a_pipe_gets_lines_that_become_rarer(monkeypatch, caplog):
    monkeypatch.setattr("sys.stderr", io.StringIO())
    clock = iter(range(0, 4000, 4))
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(clock)))
    with caplog.at_level(logging.INFO):
        list(progress(range(500), "clips"))
    lines = [record.message for record in caplog.records]
    assert "clips: 2/500, 0.2/s, ETA 33m12s" in lines and len(lines) == 124
    assert lines[-1].startswith("clips: 500 done in ")


def test_no_color_and_dumb_terminals_are_plain(terminal, monkeypatch):
    assert redraws(terminal)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not redraws(terminal)
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not redraws(terminal)
