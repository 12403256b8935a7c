"""Figures as files."""

import sys

import pytest

from m2d.common.errors import UserError
from m2d.common.figures import new_figure, save_figure


@pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("new/a.pdf", b"%PDF"), ("a", b"\x89PNG")])
def test_the_format_goes_by_the_name(tmp_path, name, start):
    save_figure(new_figure(), tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(start)


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"a\.pgn: a figure can't be written as \.pgn: give one of .*png"):
        save_figure(new_figure(), tmp_path / "a.pgn")
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UserError, match=r"pip install 'm2d\[train\]'"):
        new_figure()
