import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from m2d.common.errors import UserError
from m2d.superb.collect import store
from m2d.superb.results import TableConfig, read_reference, superb_score, table, write_table

PAPER = Path(__file__).parents[2] / "egs" / "librispeech_m2ds" / "conf" / "superb" / "paper.yaml"
SCORE = str(PAPER.with_name("score.yaml"))


def scored(folder: Path, label: str, corpus: str = "mini corpus", **scores: list[float]) -> str:
    folder.mkdir(parents=True)
    tasks = {name: {"scores": {name: values}, "seeds": list(range(len(values))), "lr": 0.001, "steps": 10,
                    "seconds": 1.0, "layer_weights": [0.25, 0.75]} for name, values in scores.items()}
    (folder / "results.json").write_text(json.dumps({
        "label": label, "model": label, "corpus": corpus, "tasks": tasks,
        "command": f"python -m m2d.bin.superb {label}", "date": "2030-01-01", "commit": "abc",
        "versions": {"torch": "2.8.0"}}))
    return str(folder)


def test_rows_have_mean_and_spread_over_seeds(tmp_path):
    exp = scored(tmp_path / "a", "ours", pr=[10.0, 12.0, 14.0], er=[60.0])
    results = [json.loads((Path(exp) / "results.json").read_text())]
    lines = table(results, {"theirs": {"pr": 5.33, "ks": 96.8}}, None).splitlines()
    assert lines == ["| model | PR PER ↓ | ER Acc ↑ |", "| --- | --- | --- |", "| ours | 12.00 ± 2.00 | 60.00 |",
                     "| *published: theirs* | 5.33 | - |"]


def test_the_document_has_tables_commands_figure_and_the_papers_row(tmp_path):
    exps = [scored(tmp_path / "a", "ours", pr=[10.0, 12.0], ks=[50.0, 51.0]),
            scored(tmp_path / "b", "logmel", pr=[80.0])]
    write_table(TableConfig(score=SCORE, exps=exps, out=str(tmp_path / "RESULTS.md"), paper=str(PAPER),
                            figure=str(tmp_path / "images" / "superb.png")))
    text = (tmp_path / "RESULTS.md").read_text()
    source = json.loads((tmp_path / "RESULTS.json").read_text())
    assert table(source["results"], source["published"], None) in text
    assert "compare with each other only" in text
    assert "| *published: M2D-S T=6.08s 80x2 (Table 6)* | 5.33 | 96.80 |" in text
    assert "| logmel | 80.00 | - |" in text
    assert "python -m m2d.bin.superb ours" in text and "(images/superb.png)" in text
    assert (tmp_path / "images" / "superb.png").read_bytes().startswith(b"\x89PNG")


def test_what_the_size_of_the_test_sets_allows_is_told(tmp_path):
    exp = scored(tmp_path / "a", "ours", pr=[10.0], ks=[60.0], er=[50.0])
    results = json.loads((Path(exp) / "results.json").read_text())
    results["tasks"]["ks"]["tested"], results["tasks"]["er"]["tested"] = 2500, None
    (Path(exp) / "results.json").write_text(json.dumps(results))
    write_table(TableConfig(score=SCORE, exps=[exp], out=str(tmp_path / "RESULTS.md"), rows=[]))
    assert "at most: KS 1.0 (2,500 clips)." in (tmp_path / "RESULTS.md").read_text()


def test_results_on_different_corpora_get_tables_of_their_own(tmp_path):
    exps = [scored(tmp_path / "a", "ours", pr=[10.0]), scored(tmp_path / "b", "real", corpus="SUPERB", pr=[6.0])]
    write_table(TableConfig(score=SCORE, exps=exps, out=str(tmp_path / "RESULTS.md"), rows=[]))
    mini, real = (tmp_path / "RESULTS.md").read_text().split("# SUPERB results\n")
    assert "| ours |" in mini and "| real |" not in mini
    assert "| real |" in real and "compare with each other only" not in real


def test_pretraining_seeds_of_one_label_make_one_row(tmp_path):
    exps = [scored(tmp_path / "a", "ours", pr=[10.0]), scored(tmp_path / "b", "other", pr=[50.0]),
            scored(tmp_path / "c", "ours", pr=[14.0], ks=[70.0])]
    write_table(TableConfig(score=SCORE, exps=exps, out=str(tmp_path / "RESULTS.md"), rows=[]))
    lines = (tmp_path / "RESULTS.md").read_text().splitlines()
    assert "| ours | 12.00 ± 2.83 | 70.00 |" in lines and "| other | 50.00 | - |" in lines
    assert lines.count("python -m m2d.bin.superb ours") == 2


def test_tasks_of_an_earlier_command_stay_unless_the_model_is_another(tmp_path):
    def result(command, content="a", **tasks):
        return {"label": "ours", "model": "exp/x/model", "content": content, "corpus": "SUPERB", "tasks": tasks,
                "command": command}

    first = result("first", sid={"scores": {"sid": [80.0]}}, ks={"scores": {"ks": [90.0]}})
    assert store(tmp_path, first) == first
    both = store(tmp_path, result("second", pr={"scores": {"pr": [5.0]}}, ks={"scores": {"ks": [91.0]}}))
    assert list(both["tasks"].items()) == [("pr", {"scores": {"pr": [5.0]}}), ("ks", {"scores": {"ks": [91.0]}}),
                                           ("sid", {"scores": {"sid": [80.0]}})]
    assert both["command"] == "first\nsecond" and json.loads((tmp_path / "results.json").read_text()) == both
    trained_anew = result("second", content="b", pr={"scores": {"pr": [5.0]}})
    assert store(tmp_path, trained_anew) == trained_anew


def test_commands_that_end_at_the_same_time_lose_nothing(tmp_path):
    names = ["pr", "asr", "ks", "qbe", "sid", "sd", "ic", "sf", "er"]
    result = {"label": "ours", "model": "m", "content": "a", "corpus": "SUPERB", "command": "c"}
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(lambda name: store(tmp_path, {**result, "tasks": {name: {"scores": {}}}}), names))
    assert list(json.loads((tmp_path / "results.json").read_text())["tasks"]) == names


def test_the_score_is_linear_between_the_users_rows_over_the_tasks_it_names(tmp_path):
    scale = tmp_path / "score.yaml"
    scale.write_text("zero: {pr: 80, ks: 10, sf: 60, sf_cer: 50}\nthousand: {pr: 4, ks: 90, sf: 90, sid: 95}\n")
    reference = read_reference(scale)
    assert superb_score({"pr": 80, "ks": 10, "sid": 1}, reference) == (0.0, ["PR", "KS"])
    assert superb_score({"pr": 4, "ks": 90}, reference) == (pytest.approx(1000), ["PR", "KS"])
    assert superb_score({"pr": 42, "sf": 90}, reference) == (pytest.approx(500), ["PR"])  # SF has two columns
    assert superb_score({"sf": 90}, reference) is None
    exp = scored(tmp_path / "a", "ours", corpus="SUPERB", pr=[4.0], ks=[10.0])
    table = TableConfig(exps=[exp], out=str(tmp_path / "RESULTS.md"), paper=str(PAPER), score=str(scale), rows=[])
    write_table(table)
    assert "| ours | 4.00 | 10.00 | 500 (PR KS) |" in (tmp_path / "RESULTS.md").read_text()
    write_table(dataclasses.replace(table, score=SCORE))  # the recipe's, which the user has not filled in
    assert "| ours | 4.00 | 10.00 |\n" in (tmp_path / "RESULTS.md").read_text()


def test_the_recipes_scale_has_only_what_is_cited():
    rows = OmegaConf.load(SCORE)
    assert not rows.zero and rows.thousand == OmegaConf.load(PAPER)["WavLM Large (Table 6)"]


@pytest.mark.parametrize("text, message", [
    ("zero: {pr: 1}", "expected two rows"), ("zero: 1\nthousand: 2", "expected two rows"),
    ("zero: {prr: 1}\nthousand: {}", "unknown column 'prr', did you mean 'pr'"),
    ("zero: {pr: 3}\nthousand: {pr: 3}", "column pr: give two numbers that differ"),
    ("zero: {pr: x}\nthousand: {pr: 3}", "column pr: give two numbers"), ("[", "not valid YAML"),
])
def test_a_broken_scale_is_told_in_a_line(tmp_path, text, message):
    (tmp_path / "score.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        read_reference(tmp_path / "score.yaml")


def test_what_is_missing_is_named(tmp_path):
    exp = scored(tmp_path / "a", "ours", pr=[10.0])
    with pytest.raises(UserError, match=r"results.json: no such file: make it"):
        write_table(TableConfig(exps=[str(tmp_path / "none")], paper=str(PAPER)))
    with pytest.raises(UserError, match=r"no row 'HuBERT Bass \(Table 6\)', did you mean 'HuBERT Base"):
        write_table(TableConfig(exps=[exp], paper=str(PAPER), rows=["HuBERT Bass (Table 6)"]))


def test_published_rows_are_whole():
    rows = OmegaConf.to_container(OmegaConf.load(PAPER))
    assert len(rows) == 34
    assert all(set(row) == {"pr", "ks", "ic", "sid", "er"} and all(0 < score < 100 for score in row.values())
               for row in rows.values())
