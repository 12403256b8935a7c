"""README and docs: every command and Python block runs, links hold, generated pages follow from their source."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
from generate import help_of

from m2d.common.cli import parse
from m2d.training.plan import PlanOptions, show_plan

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs/pages"
TEXTS = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
RECIPES = sorted(ROOT.glob("egs/*/README.md"))
BLOCK = re.compile(r"(?:<!-- not run: (?P<reason>[^\n]+) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)```", re.DOTALL)
BLOCKS = [pytest.param(found["kind"], found["text"], id=f"{path.stem}{number}") for path in TEXTS
          for number, found in enumerate(BLOCK.finditer(path.read_text(encoding="utf-8")))
          if found["kind"] in ("bash", "python") and not found["reason"] and "quickstart.sh" not in found["text"]]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with what the pages take for granted: the mini recipe's model (untrained), sounds, labels."""
    import numpy as np
    import soundfile
    import torch

    from m2d import save_pretrained
    from m2d.audio.logmel import LogMelConfig
    from m2d.nn.encoder import Encoder
    from m2d.pretrained.features import M2DFeatures
    from m2d.training.plan import load_settings

    folder = tmp_path_factory.mktemp("work")
    (folder / "egs").mkdir()
    (folder / "egs/own_sounds").symlink_to(ROOT / "egs/own_sounds")
    torch.manual_seed(0)
    encoder = load_settings(str(ROOT / "egs/librispeech_m2ds/conf/pretrain_mini_m2ds.yaml"), []).model.encoder
    save_pretrained(M2DFeatures(Encoder(encoder), LogMelConfig(), -7.0, 4.0),
                    folder / "egs/librispeech_m2ds/exp/m2ds_mini/model")
    noise = np.random.default_rng(0)
    for name in ("sounds/a.wav", *(f"labelled/{kind}/{i}.wav" for kind in ("dog", "cat") for i in range(12))):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, noise.normal(0, 0.1, 16000).astype("float32"), 16000)
    return folder


@pytest.mark.parametrize(("kind", "text"), BLOCKS)
def test_the_block_runs(kind, text, place):
    words = [sys.executable, "-c", text] if kind == "python" else ["bash", "-euo", "pipefail", "-c", text]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(words, cwd=place, capture_output=True, text=True, timeout=500,
                          env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    printed = [line[2:] for line in text.splitlines() if line.startswith("# torch.Size")]
    assert kind == "bash" or done.stdout.splitlines()[-len(printed):] == printed or not printed


def code_lines(page):
    """Recipe and line, without comment, of each line of code."""
    for block in re.findall(r"^```\w*\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        named = re.search(r"egs/(\w+)", block)
        recipe = named[1] if named else page.parent.name if page in RECIPES else "librispeech_m2ds"
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            yield ROOT / "egs" / recipe, line.partition("  #")[0]


@pytest.mark.parametrize("page", [*TEXTS, *RECIPES], ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_have_options_that_exist_and_all_that_are_required(page):
    for recipe, line in code_lines(page):
        if command := re.match(r"(?:python3? -m m2d(?:\.bin\.| )|m2d )(\w+) ?(.*)", line):
            known = dict(re.findall(r"^  ([\w.]+)=(\S*)", text := help_of(command[1]), re.MULTILINE))
            given = set(re.findall(r"(?:^|\s)[\"']?([\w.]+)\+?=", command[2]))
            positional = set(re.search(r"^usage: (.*)$", text, re.MULTILINE)[1].lower().replace("[", " ").split())
            required = {name for name, value in known.items() if value == "required"} - positional
            assert given <= known.keys(), line
            assert "--config" in line or "FILE" in line or required <= given, (line, required)
        for options in re.findall(r"(?:^|[\s/])run\.sh(.*)", line):
            script = (recipe / "run.sh").read_text(encoding="utf-8")
            for name in re.findall(r"--(\w+)", re.sub(r'"[^"]*"', "", options)):
                assert name == "help" or f"\n{name}=" in script, line
            assert all((recipe / name).is_file() for name in re.findall(r"conf/\w[\w.]*\.yaml", options)), line


@pytest.mark.parametrize("recipe", ["librispeech_m2ds", "audioset_m2d"])
def test_costs_of_a_setting_are_what_plan_prints(recipe, monkeypatch, capsys):
    text = (ROOT / "egs" / recipe / "README.md").read_text(encoding="utf-8")
    words, printed = re.search(r"```\n\$ m2d plan ([^\n]+)\n(.*?)```", text, re.DOTALL).groups()
    monkeypatch.chdir(ROOT / "egs" / recipe)
    show_plan(parse(PlanOptions, "", words.split()))
    assert capsys.readouterr().out == printed


def test_generated_pages_follow_from_their_source():
    done = subprocess.run([sys.executable, ROOT / "docs/generate.py", "--check"], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, f"run docs/generate.py: {done.stdout}{done.stderr[-2000:]}"


def test_the_site_builds_without_a_broken_link(tmp_path):
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("site"))
    for name in ("m2d", "README.md", "egs"):
        (tmp_path / name).symlink_to(ROOT / name)
    done = subprocess.run(["make", "-C", tmp_path / "docs"], capture_output=True, text=True,
                          env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"})
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    site = tmp_path / "docs/site/reference"
    assert "load_pretrained" in (site / "api/index.html").read_text()
    assert "optim.warmup_epochs" in (site / "options/index.html").read_text()


@pytest.mark.parametrize("path", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("egs/*/*.md"))],
                         ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_files_hold(path):
    links = re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8"))
    broken = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert not broken


def test_places_and_messages_that_pages_name_are_in_the_source():
    where = (DOCS / "where.md").read_text(encoding="utf-8")
    for row in re.findall(r"^\| (?!.*NAME).*\.py`.*\|$", where, re.MULTILINE):
        file, *quoted = re.findall(r"`(m2d/[\w/]+\.py|def \w+|self\.[^`]+|[A-Z]\w+\.\w+)`", row)
        text = "".join((ROOT / name).read_text(encoding="utf-8") for name in (file, *quoted) if name.endswith(".py"))
        for code in quoted:
            names = [code] if code.startswith(("def ", "self.")) else [f"class {(parts := code.split('.'))[0]}",
                                                                       f"def {parts[1]}"]
            assert code.endswith(".py") or all(name in text for name in names), (row, code)
    for name in re.findall(r"`([\w/]+(?:\.py|\.sh|/))`", where):
        if "NAME" not in name:
            assert (ROOT / name).exists() or (ROOT / "m2d" / name).exists(), name
    folders = ("m2d", "utils", "egs", "tools")
    source = "".join(path.read_text(encoding="utf-8") for folder in folders for suffix in ("py", "sh")
                     for path in (ROOT / folder).rglob(f"*.{suffix}") if "tools/env" not in str(path))
    source = re.sub(r'"\s*\n\s*f?"', "", source)  # messages go on over lines
    table = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    for line in table.splitlines():
        if line.startswith("| `"):
            for message in re.findall(r"`([^`]+)`", line.split("|")[1]):
                for part in message.split("..."):
                    assert part in source, part


def test_the_readme_is_short_and_every_page_is_in_the_navigation():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 150
    navigation = (ROOT / "docs/mkdocs.yml").read_text(encoding="utf-8")
    assert all(str(path.relative_to(DOCS)) in navigation for path in DOCS.rglob("*.md"))
