"""What a release consists of: one version everywhere, files that hosts read, the container's parts."""

import re
import subprocess
import sys
from pathlib import Path

import yaml

import m2d

ROOT = Path(__file__).parents[1]


def test_one_version_in_package_citation_and_changes():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == m2d.__version__ and citation["cff-version"] == "1.2.0"
    assert [len(reference["authors"]) for reference in citation["references"]] == [5, 5]
    newest = re.search(r"^## ([\d.]+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest[1] == m2d.__version__


def test_issue_templates_have_what_their_host_asks_for():
    forms = [path for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config"]
    assert len(forms) == 2
    for path in forms:
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert {"name", "description", "body"} <= form.keys()
        assert all(part["type"] == "textarea" and part["attributes"]["label"] for part in form["body"])


def test_the_container_copies_what_is_there_and_builds_from_the_lock():
    text = (ROOT / "tools/Containerfile").read_text(encoding="utf-8")
    for names in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE):
        assert all((ROOT / name).exists() for name in names.split()), names
    assert "make -C tools" in text  # which installs tools/requirements.txt
    linter = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([linter, ROOT / "tools/Containerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
