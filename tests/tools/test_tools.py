"""tools/: the lock, and the look at an environment that the user names."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tools(tmp_path):
    """A copy of tools/ in a checkout of its own, and what `make` with these words says there."""
    checkout = tmp_path / "a checkout"
    shutil.copytree(ROOT / "tools", checkout / "tools", ignore=shutil.ignore_patterns("env", "uv", "activate.sh"))
    shutil.copytree(ROOT / "m2d", checkout / "m2d")
    shutil.copy(ROOT / "setup.cfg", checkout)

    def make(*words):
        return subprocess.run(["make", "-s", "-C", checkout / "tools", *words], capture_output=True, text=True)

    make.checkout = checkout
    return make


def activated(checkout, command):
    line = f". tools/activate.sh && {command}"
    return subprocess.run(["bash", "-c", line], cwd=checkout, capture_output=True, text=True)


def test_lock_names_exact_versions_and_no_addresses():
    lines = (ROOT / "tools/requirements.txt").read_text().splitlines()
    packages = [line for line in lines if not line.startswith("#")]
    assert all(re.match(r"[a-z0-9-]+==[\w.]+( ; |$)", line) for line in packages)
    assert not any("/" in line.partition("#")[0] or "--" in line for line in packages)
    assert {"torch==2.8.0", "torchaudio==2.8.0", "s3prl==0.4.18"} <= set(packages)


def test_a_named_environment_is_used_and_remembered(tools):
    assert tools(f"ENV={sys.prefix}").returncode == 0
    found = activated(tools.checkout, "python3 -c 'import sys, m2d; print(sys.prefix, m2d.__file__)'")
    assert found.stdout == f"{sys.prefix} {tools.checkout}/m2d/__init__.py\n"
    again = tools()
    assert (again.returncode, again.stderr) == (0, "")
    (tools.checkout / "tools/requirements.txt").touch()
    assert f"looking at {sys.prefix}/bin/python3" in tools().stderr


def test_what_an_environment_lacks_is_named(tools, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    done = tools(f"ENV={tmp_path}/bare")
    assert done.returncode != 0 and "missing: packaging" in done.stdout
    assert not (tools.checkout / "tools/activate.sh").exists()


@pytest.mark.parametrize("word, message", [
    ("ENV=/nowhere", "ENV=/nowhere: no bin/python3 in there"),
    ("PYTHON=/bin/false", "PYTHON=/bin/false is not a Python of 3.10 to 3.13"),
])
def test_wrong_names(tools, word, message):
    done = tools(word)
    assert done.returncode != 0 and message in done.stderr


def test_a_moved_checkout_is_noticed(tools, tmp_path):
    tools(f"ENV={sys.prefix}")
    tools.checkout.rename(tmp_path / "moved")
    done = activated(tmp_path / "moved", "echo not reached")
    assert done.returncode == 1 and done.stdout == "" and "has been moved" in done.stderr
