"""Markdown tables."""

from m2d.common.markdown import aligned, table, tables


def test_a_bar_in_a_cell_stays_in_its_cell():
    assert table(["a", "b"], [["x|y", "1"]]) == "| a | b |\n| --- | --- |\n| x\\|y | 1 |"


def test_tables_are_read_back_under_their_headings():
    text = f"# One\n\ntext\n\n{table(['a', 'b'], [['x|y', '1'], ['*p*', '-']])}\n\n## Two\n{table(['c'], [])}\n"
    assert tables(text) == [("One", ["a", "b"], [["x|y", "1"], ["*p*", "-"]]), ("Two", ["c"], [])]


def test_a_wide_table_goes_on_below_with_its_first_column():
    rows = [["m2d", "89.7 ± 0.2", "1.0"], ["*paper*", "9", "100"]]
    assert aligned(["model", "ESC-50", "US8K"], rows, 80) == [
        "model      ESC-50  US8K", "─────  ──────────  ────", "m2d    89.7 ± 0.2   1.0", "paper           9   100"]
    narrow = aligned(["model", "ESC-50", "US8K"], rows, 20)
    assert narrow[0] == "model      ESC-50" and narrow[5] == "model  US8K" and max(map(len, narrow)) <= 20
