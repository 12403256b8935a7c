"""utils/remaining.py: how long the rest of a recipe may take, from a recorded run."""

import os
import re
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../utils"))
import remaining

RECORD = """\
2026-11-25 10:00:00 (run.sh:78) stage 0: data (mini)
2026-11-25 10:00:20 (run.sh:81) stage 0: data (mini): done in 20 s, wrote data/mini (293 kB)
  log: exp/teacher.log
2026-11-25 10:05:20 (run.sh:96) stage 2: teacher: done in 300 s, wrote exp/teacher (5.11 MB); the rest: about 9m
2026-11-25 10:15:20 (run.sh:118) stage 3: pre-training exp/x: done in 600 s, wrote exp/x (33.9 MB)
2026-11-25 10:25:20 (stages.sh:128) stage 5: SUPERB pr of exp/x: done in 600 s, wrote exp/x/pr (849 kB)
2026-11-25 10:25:21 (stages.sh:128) stage 5: SUPERB ks of exp/x: done in 600 s, wrote exp/x/ks (849 kB)
"""


@pytest.fixture
def say(tmp_path, monkeypatch, capsys):
    """What the script prints for these words."""
    (tmp_path / "run.txt").write_text(RECORD)
    monkeypatch.setattr(remaining, "TRANSCRIPTS", tmp_path)

    def said(*words):
        remaining.main(*map(str, words))
        return capsys.readouterr().out.strip()

    return said


def test_the_whole_run_when_it_begins(say):
    assert "took 25m21s" in say("begin", 5, "stage 0: data (mini)")
    assert "took 15m00s" in say("begin", 3, "stage 2: teacher")


def test_the_rest_at_the_pace_of_this_machine(say):
    assert say("end", 5, "stage 0: data (mini)", 20) == "; the rest: about 25m01s"
    assert say("end", 5, "stage 0: data (mini)", 10, "stage 2: teacher", 150) == "; the rest: about 10m00s"
    assert say("end", 3, "stage 2: teacher", 300) == "; the rest: about 10m00s"


def test_tasks_side_by_side_do_not_count_twice(say):
    assert say("end", 5, "stage 5: SUPERB pr of exp/x", 600) == ""


def test_what_is_not_recorded_is_said_to_be_unknown(say):
    assert "is not known" in say("begin", 5, "stage 0: data (librispeech)")
    assert say("end", 5, "stage 0: data (librispeech)", 3000) == ""


def test_a_recipe_says_it_once_as_it_begins(shell):
    name = shell.script("run.sh", """#!/usr/bin/env bash
set -euo pipefail
stage=0
stop_stage=1
. UTILS/log.sh
for n in 0 1; do if begin_stage $n exp/$n.done "work $n"; then end_stage exp/$n.done; fi; done
""")
    done = shell.run(name)
    assert done.returncode == 0 and len(re.findall("is not known", done.stderr)) == 1, done.stderr
