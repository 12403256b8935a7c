"""The HTML page of experiments: what it holds, that it is well formed, and that a browser draws it."""

import json
import os
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from m2d.common.errors import UserError
from m2d.common.figures import new_figure, save_figure
from m2d.report.charts import bars, line_chart, ticks
from m2d.report.page import report

VOID = {"meta", "img"}


class Checker(HTMLParser):
    """Asserts that tags nest; collects addresses and the columns of each row."""

    def __init__(self):
        super().__init__()
        self.open, self.addresses, self.anchors, self.ids = [], [], set(), set()

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.addresses += [given[name] for name in ("src", "href") if name in given]
        self.ids |= {given["id"]} if "id" in given else set()
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def exp(tmp_path_factory):
    """Two runs, one with SUPERB results, one with markup in its name; a table and a figure of all."""
    root = tmp_path_factory.mktemp("work") / "exp"
    for number, name in enumerate(("m2ds_mini", "a<b>&c")):
        folder = root / name
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(
            f"data: {{kind: audio, speech: x}}\noptim: {{epochs: {20 + number}, eps: 1.0e-08}}\n")
        (folder / "environment.json").write_text(json.dumps({
            "host": "h", "platform": "p", "gpus": [], "cpus": 2, "ranks": 1, "python": "3.11",
            "command": "python -m <x>",
            "versions": {"torch": "2.8.0", "tensorboard": None}, "source": {"git": "abc", "changed": True}}))
        (folder / "data.json").write_text('{"speech": "100 utterances"}')
        lines = [{"step": i, "epoch": i / 10, "loss": 1 / i, "m2d": 0.5 / i, "off": 0.5 / i, "target_std": 0.6,
                  "latent_std": 0.5, "grad_norm": 1.0, "lr": 1e-4} for i in range(1, 900)]
        lines.append({"step": 900, "epoch": 90, "valid_loss": 0.3})
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"half')
        (folder / "run.log").write_text("# x\n# status 0 2026-11-25 13:00:00 after 83 s\n")
        figure = new_figure(figsize=(4, 3))
        figure.subplots().plot([1, 2])
        save_figure(figure, folder / "images" / "masked_input.png")
    (root / "m2ds_mini" / "superb_mini").mkdir()
    (root / "m2ds_mini" / "superb_mini" / "results.json").write_text(json.dumps(
        {"tasks": {"ks": {"seconds": 12.0, "layer_weights": [0.2, 0.3, 0.5]}}}))
    (root / "SUPERB.md").write_text(
        "# SUPERB on mini\n\n**These numbers compare with each other only.**\n\n| model | KS ACC |\n| --- | --- |\n"
        "| m2ds_mini | 90.1 ± 0.3 |\n| *published: x* | 96.0 |\n")
    return root


def test_the_page_has_all_sections_and_no_address_outside_itself(exp):
    page = report(exp, {"optim": {"epochs": 1000, "eps": 1e-8}, "data": {"kind": "audio"}})
    checker = Checker()
    checker.feed(page)
    assert not checker.open and len(page) < 5_000_000
    assert all(address.startswith(("#", "data:image/png;base64,")) for address in checker.addresses)
    assert {address[1:] for address in checker.addresses if address[0] == "#"} == checker.ids
    for text in ("Scores", "90.1 ± 0.3", '<tr class="paper"><td>published: x</td>', "compare with each other only",
                 "<td>optim.epochs</td><td>1000</td>", '<td class="differs">20</td>', "2 options are the same",
                 "a&lt;b&gt;&amp;c", "Share of each layer", "1m23s", "100 utterances", "(changed)", "valid_loss"):
        assert text in page, text
    assert "<b>&c" not in page and "data.speech" not in page


def test_pictures_past_the_limit_are_named_only(exp, monkeypatch):
    monkeypatch.setattr("m2d.report.page.MOST_BYTES", 1)
    page = report(exp, None)
    assert "Left out for the size of the page: a&lt;b&gt;&amp;c/images/masked_input" in page
    assert "data:image" not in page


def test_one_experiment_and_none(exp, tmp_path):
    assert "Experiments: m2ds_mini." in report(exp / "m2ds_mini", None)
    with pytest.raises(UserError, match="no experiment"):
        report(tmp_path, None)


@pytest.mark.parametrize(("name", "text"),
                         [("environment.json", "{"), ("metrics.jsonl", "x\n"), ("config.yaml", "a: [")])
def test_a_damaged_file_is_named(exp, tmp_path, name, text):
    shutil.copytree(exp / "m2ds_mini", tmp_path / "exp")
    (tmp_path / "exp" / name).write_text(text)
    with pytest.raises(UserError, match=f"{name}: not valid"):
        report(tmp_path / "exp", None)


def test_curves_are_thinned_and_ticks_are_round():
    chart = line_chart({"loss": [(float(x), 1.0 / (x + 1)) for x in range(100_000)]}, "epoch", "loss")
    assert 100 < chart.count(",") < 1000 and ">epoch<" in chart
    assert ticks(0.0, 1.0) == [0.0, 0.25, 0.5, 0.75, 1.0] and ticks(1.0, 1.0) == [1.0]
    assert line_chart({"loss": []}, "x", "y") == "" and 'height="60.0"' in bars([0.1, 0.2], 0, "x")


def test_the_command_writes_the_page_and_the_terminal_shows_the_table(exp):
    paper = Path(__file__).parents[2] / "egs/librispeech_m2ds/conf/pretrain_m2ds_t6.08s_80x2.yaml"
    for words in (["report", exp, f"paper={paper}"],
                  ["show_results", exp / "SUPERB.md", f"report={exp}/report.html", "next+=Then: do this"]):
        done = subprocess.run([sys.executable, "-m", "m2d", *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert "m2ds_mini     90.1 ± 0.3" in done.stdout and "    do this" in done.stdout and "\033" not in done.stdout
    assert (exp / "report.html").is_file()


def test_a_browser_draws_it_wide_and_narrow(exp, tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        (pytest.fail if os.environ.get("M2D_TEST_BROWSER") == "required" else pytest.skip)("no Chromium on PATH")
    page = tmp_path / "report.html"
    check = "<script>document.title=document.documentElement.scrollWidth<=innerWidth?'fits':'cut'</script></body>"
    page.write_text(report(exp, None).replace("</body>", check))
    for width in (1200, 500):  # Chromium's narrowest window
        drawn = subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},900", "--dump-dom",
             f"--user-data-dir={tmp_path}/profile", page.as_uri()], capture_output=True, text=True, timeout=120)
        assert "<title>fits</title>" in drawn.stdout, (width, drawn.stdout[:300], drawn.stderr[-500:])
        assert drawn.stdout.count("<polyline") > 4
