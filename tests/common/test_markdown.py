"""Markdown tables."""

from m2d.common.markdown import table


def test_a_bar_in_a_cell_stays_in_its_cell():
    assert table(["a", "b"], [["x|y", "1"]]) == "| a | b |\n| --- | --- |\n| x\\|y | 1 |"
