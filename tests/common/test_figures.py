"""Figures as files."""

import pytest
from matplotlib.figure import Figure

from m2d.common.errors import UserError
from m2d.common.figures import save_figure


@pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("new/a.pdf", b"%PDF"), ("a", b"\x89PNG")])
def test_the_format_goes_by_the_name(tmp_path, name, start):
    save_figure(Figure(), tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(start)


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"a\.pgn: a figure can't be written as \.pgn: give one of .*png"):
        save_figure(Figure(), tmp_path / "a.pgn")
    assert not list(tmp_path.iterdir())
