"""Numbers in RESULTS.md and in READMEs follow from their source: JSON that is kept, the papers' rows, each other."""

import importlib
import json
import re
from pathlib import Path

import pytest
import yaml

from m2d.common.markdown import tables
from m2d.evaluation import paper
from m2d.evaluation.images_report import TABLE_6
from m2d.evaluation.report import cell, group_means
from m2d.superb.results import table

ROOT = Path(__file__).parents[1]
RESULTS = {path.parent.name: path.read_text(encoding="utf-8") for path in ROOT.glob("egs/*/RESULTS.md")}
NUMBER = re.compile(r"-?[\d,]*\.?\d+(?:e-?\d+)?%?")


def numbers(text):
    """The first number of each cell that has one."""
    return [float(found[0]) for found in (re.match(r"-?[\d.]+", part.strip()) for part in text) if found]


@pytest.mark.parametrize("recipe", RESULTS)
def test_rows_of_papers_are_as_the_package_has_them(recipe):
    superb = yaml.safe_load((ROOT / "egs/librispeech_m2ds/conf/superb/paper.yaml").read_text(encoding="utf-8"))
    known = {f"published: {label}": {f"{value:.2f}" for value in row.values()} for label, row in superb.items()}
    known |= {f"{label}, ViT-Base, ImageNet-1K": {text} for label, text in TABLE_6.items()}
    for rows in (paper.LINEAR, paper.FINETUNE, paper.GROUP_MEANS):
        for label, row in rows.items():
            known.setdefault(label, set()).update(map(cell, row.values()))
    for label, row in paper.LINEAR.items():
        known[label] |= set(map(cell, group_means(row).values()))
    for label, average in paper.LINEAR_AVERAGE.items():
        known.setdefault(label, set()).add(cell(average))
    rows = [row for found in tables(RESULTS[recipe]) for row in found.rows if row[0].startswith("*")]
    assert rows
    for label, *cells in rows:
        assert set(cells) - {"-"} <= known[label.strip("*")], label


def test_averages_and_gains_follow_from_their_rows():
    found = [table for text in RESULTS.values() for table in tables(text)]
    averaged = 0
    for heading, header, rows in found:
        for row in rows:
            if header[-1] == "Avg." and header[1] == "ESC-50" and "*" not in row[0]:
                scores = numbers(row[1:-1])
                assert sum(scores) / len(scores) == pytest.approx(float(row[-1].split(" ± ")[0]), abs=0.1), row
                averaged += 1
            if heading == "Seeds of pre-training" and "," in row[-2]:
                seeds = numbers(row[-2].split(","))
                assert sum(seeds) / len(seeds) == pytest.approx(numbers(row[-1:])[0], abs=0.1), row
                averaged += 1
    assert averaged >= 8
    gains = [line for text in RESULTS.values() for line in text.splitlines() if "by more than the spread" in line]
    for line in gains:
        gain, spread = map(float, re.search(r"([+-][\d.]+), spread ([\d.]+)", line).groups())
        assert ("**yes**" in line) == (gain > spread) or gain == pytest.approx(spread, abs=0.1), line
    assert len(gains) >= 10


def test_a_table_beside_whose_text_its_source_is_kept_follows_from_it():
    for path in (ROOT / "egs").glob("*/RESULTS.json"):
        source, text = json.loads(path.read_text(encoding="utf-8")), RESULTS[path.parent.name]
        assert table(source["results"], source["published"], None) in text


def test_tables_of_trials_follow_from_the_json_that_is_kept(monkeypatch):
    folder = ROOT / "egs/own_sounds"
    monkeypatch.syspath_prepend(folder / "local")
    kept = sorted((folder / "results").glob("*.json"))
    assert kept
    for path in kept:
        rows = json.loads(path.read_text(encoding="utf-8"))
        assert importlib.import_module(path.stem).table(rows) in (folder / "README.md").read_text(encoding="utf-8")


def records(value):
    """Numbers of each object in a JSON value, with those of the objects directly in it."""
    if isinstance(value, list):
        for part in value:
            yield from records(part)
    elif isinstance(value, dict):
        inner = [number for part in value.values() if isinstance(part, dict) for number in part.values()]
        flat = [*value.values(), *inner]
        yield [number for number in flat if isinstance(number, int | float)]
        yield from records(list(value.values()))


def test_tables_of_benchmarks_follow_from_the_json_that_is_kept():
    kept = [numbers for path in (ROOT / "tools/bench/results").glob("*.json")
            for numbers in records(json.loads(path.read_text(encoding="utf-8")))]

    def fits(text, values):
        if not NUMBER.fullmatch(text):
            return True
        value, digits = float(text.rstrip("%").replace(",", "")), len(text.rstrip("%").partition(".")[2])
        room = abs(value) * 0.06 if "e" in text else 0.51 * 10**-digits
        return any(abs(found * factor - value) <= room for found in values for factor in {1, 100 if "%" in text else 1})

    rows = [row for found in tables((ROOT / "tools/bench/README.md").read_text(encoding="utf-8")) for row in found.rows]
    stale = [row for row in rows if not any(all(fits(text, values) for text in row) for values in kept)]
    assert not stale and len(rows) > 60
