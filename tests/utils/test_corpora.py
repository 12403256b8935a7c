"""utils/corpora.yaml and corpora.py: the one table of which corpora serve which tasks."""

import re
import sys
from pathlib import Path

import pytest
import yaml

from m2d.common.config import known_keys
from m2d.evaluation.tasks import TASKS as GENERAL
from m2d.superb.task import TASKS as SUPERB
from m2d.superb.task import Corpora

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def table():
    return yaml.safe_load((ROOT / "utils/corpora.yaml").read_text())


def test_the_table_knows_all_tasks_and_options(table):
    assert set(table["superb"]) == set(SUPERB) and set(table["general"]) == set(GENERAL)
    keys = {key for task in table["superb"].values() for key in task}
    assert keys == set(known_keys(Corpora))


def test_db_scripts_set_every_variable_that_a_task_needs(table):
    text = "".join((ROOT / "egs" / name / "db.sh").read_text() for name in ("librispeech_m2ds", "audioset_m2d"))
    known = set(re.findall(r"^([A-Z0-9_]+)=", text, re.MULTILINE))
    needed = {entry["variable"] for tasks in table.values() for task in tasks.values() for entry in task.values()
              if not entry.get("optional")}
    assert needed <= known


def test_a_task_without_a_stand_in_names_what_db_sh_must_say(shell):
    done = shell.run(sys.executable, shell.utils / "corpora.py", "superb", "mini", "ks", "sf")
    assert done.returncode == 1
    assert done.stderr == "task sf: the mini corpus has nothing for it: name SNIPS in db.sh\n"
    done = shell.run(sys.executable, shell.utils / "corpora.py", "superb", "mini", "ks", "sf", SNIPS="/somewhere")
    assert done.stdout == "ks\n"


def test_a_path_of_db_sh_that_does_not_exist_is_named(shell):
    done = shell.run(sys.executable, shell.utils / "corpora.py", "superb", "check", IEMOCAP="/no/such corpus")
    assert done.returncode == 1 and done.stderr == "IEMOCAP=/no/such corpus (db.sh): no such file or folder\n"


@pytest.mark.parametrize("name", ["a,b", "[x]", "it's \"q\"", "$(touch owned)", "`touch owned`", "; touch owned", "-n",
                                  "*", "line\nbreak", "JOB", "ünïcödé"])
def test_names_reach_the_options_as_they_are(shell, name):
    (shell.cwd / name).mkdir()
    done = shell.run(sys.executable, shell.utils / "corpora.py", "superb", "options", "er", IEMOCAP=f"./{name}",
                     LC_ALL="C.UTF-8")
    assert done.stdout == f"corpora.iemocap=./{name}\0" and not (shell.cwd / "owned").exists()
