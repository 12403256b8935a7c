"""utils/log.sh: which stages run, and which are done before."""

import re

import pytest

RECIPE = """#!/usr/bin/env bash
set -euo pipefail
stage=0
stop_stage=2
tasks=pr
fail=false
. UTILS/log.sh
. UTILS/parse_options.sh
if begin_stage 0 data/.done "data"; then echo 0; end_stage; fi
if begin_stage 1 dump/.done "features" --after data/.done; then
  echo 1
  if $fail; then false; fi
  end_stage
fi
if begin_stage 2 exp/.done "tasks" --after dump/.done tasks="$tasks"; then echo 2; end_stage; fi
"""


@pytest.fixture
def recipe(shell):
    name = shell.script("run.sh", RECIPE)

    def stages(*words):
        done = shell.run(name, *words)
        return "".join(done.stdout.split()), done

    return stages


def test_finished_stages_are_skipped(recipe):
    assert recipe()[0] == "012"
    ran, done = recipe()
    assert ran == "" and done.stderr.count("done before, skipped") == 3


def test_range_of_stages(recipe):
    assert recipe("--stop_stage", 0)[0] == "0"
    assert recipe("--stage", 1, "--stop_stage", 1)[0] == "1"


def test_failed_stage_is_not_done(recipe):
    ran, done = recipe("--fail", "true")
    assert ran == "01" and done.returncode == 1
    assert recipe()[0] == "12"


def test_other_options_run_only_their_stage_again(recipe):
    recipe()
    ran, done = recipe("--tasks", "ks")
    assert ran == "2" and "< tasks=pr" in done.stderr and "> tasks=ks" in done.stderr


def test_a_stage_run_again_makes_the_later_ones_stale(recipe, shell):
    recipe()
    (shell.cwd / "dump/.done").unlink()
    assert recipe("--stop_stage", 1)[0] == "1"
    assert recipe()[0] == "2"


def test_a_stage_alone_names_what_it_needs(recipe):
    ran, done = recipe("--stage", 1)
    assert ran == "" and done.returncode == 1
    assert "stage 1 needs an earlier stage that is not done (data/.done is missing)" in done.stderr


def test_stage_that_is_no_number(recipe):
    ran, done = recipe("--stage", "one")
    assert (ran, done.returncode) == ("", 1) and "not 'one'" in done.stderr


def test_lines_carry_time_file_and_line(shell):
    name = shell.script("say.sh", "#!/usr/bin/env bash\n. UTILS/log.sh\nlog hello there\ndie too bad\necho no\n")
    done = shell.run(name)
    stamp = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    assert re.fullmatch(rf"{stamp} \(say.sh:3\) hello there\n{stamp} \(say.sh:4\) error: too bad\n", done.stderr)
    assert (done.returncode, done.stdout) == (1, "")
