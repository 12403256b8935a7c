"""utils/log.sh and mark.py: which stages run, which are done before, what becomes of outputs of other inputs."""

import json
import os
import re
import signal
import time

import pytest

RECIPE = """#!/usr/bin/env bash
set -euo pipefail
stage=0
stop_stage=2
tasks=pr
seeds=0
nj=2
fail=false
. UTILS/log.sh
. UTILS/parse_options.sh
if begin_stage 0 data/.done "data" --corpus SPEECH=speech; then
  mkdir -p data/train; echo 0
  for file in speech/*; do echo "$(basename "$file") $PWD/$file"; done >data/train/wav.scp
  end_stage data/.done --data data/train
fi
if begin_stage 1 dump/x.done "features" --needs data/.done --data data/train --out dump/x --interim nj="$nj"; then
  mkdir -p dump/x; echo 1; touch "dump/x/part.$nj"
  if $fail; then false; fi
  anew dump/x.done --out dump/x bash ./make_store.sh
  end_stage dump/x.done --store dump/x
fi
if begin_stage 2 exp/x/.done "tasks" --after dump/x.done --yaml conf.yaml tasks="$tasks" --more seeds="$seeds" \\
  --keep exp/x; then
  mkdir -p exp/x; echo 2; echo "$seeds" >>exp/x/result
  end_stage exp/x/.done
fi
"""


MAKE_STORE = """
[ ! -e dump/x/of_other_settings ] || exit 65
mkdir -p dump/x
content=$(md5sum speech/* | cut -d " " -f 1 | md5sum | cut -d " " -f 1)
echo "{\\"content\\": \\"$content\\", \\"width\\": 1, \\"dtype\\": \\"float16\\", \\"frames\\": 0," \\
  "\\"utterances\\": 0, \\"info\\": {}, \\"shards\\": {}}" >dump/x/meta.json
"""


@pytest.fixture
def recipe(shell):
    name = shell.script("run.sh", RECIPE)
    shell.script("make_store.sh", MAKE_STORE)
    (shell.cwd / "speech").mkdir()
    for file in ("a.wav", "b.wav"):
        (shell.cwd / "speech" / file).write_text(file)
    (shell.cwd / "conf.yaml").write_text("lr: 1\nsteps: 5\n")

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


def rewrite(path):
    """The same bytes at another time."""
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize("change, redone, kept", [
    (lambda cwd: (cwd / "speech/a.wav").write_text("other"), "012", False),  # one audio file
    (lambda cwd: (cwd / "speech/c.wav").write_text("new"), "012", False),
    (lambda cwd: (cwd / "speech/b.wav").unlink(), "012", False),
    (lambda cwd: rewrite(cwd / "speech/a.wav"), "01", True),  # the features turn out the same: what follows is kept
    (lambda cwd: (cwd / "conf.yaml").write_text("steps: 6\nlr: 1\n"), "2", False),
    (lambda cwd: (cwd / "conf.yaml").write_text("# a comment\nsteps: 5\n\nlr: 1\n"), "", True),
    (lambda cwd: None, "", True),
])
def test_what_follows_from_a_change_is_done_anew_and_nothing_else(recipe, shell, change, redone, kept):
    recipe()
    change(shell.cwd)
    ran, done = recipe()
    assert ran == redone, done.stderr
    assert len(list(shell.cwd.glob("exp/old/*/x/result"))) == (not kept)  # what took hours is moved aside, with a name
    assert ("moved to exp/old/" in done.stderr) == (not kept)
    assert recipe()[0] == ""


def test_another_option_runs_only_its_stage_and_is_named(recipe):
    recipe()
    ran, done = recipe("--tasks", "ks")
    assert ran == "2" and "changed: tasks: 'pr' -> 'ks'" in done.stderr


def test_more_of_the_same_is_done_in_place(recipe, shell):
    recipe()
    assert recipe("--seeds", "0 1")[0] == "2"
    assert shell.read("exp/x/result") == "0\n0 1\n" and not (shell.cwd / "exp/old").exists()


def test_number_of_jobs_counts_only_for_what_is_unfinished(recipe, shell):
    recipe("--fail", "true")
    ran, done = recipe("--nj", 3)
    assert ran == "12" and "dump/x is of other inputs: removed" in done.stderr
    assert [path.name for path in (shell.cwd / "dump/x").glob("part.*")] == ["part.3"]
    assert recipe("--nj", 5)[0] == ""


def test_an_interrupted_stage_goes_on(recipe, shell):
    recipe("--fail", "true")
    (shell.cwd / "dump/x/done_so_far").touch()
    (shell.cwd / "dump/x/.half.7.tmp").touch()  # as a killed process leaves it
    assert recipe()[0] == "12"
    assert (shell.cwd / "dump/x/done_so_far").exists() and not (shell.cwd / "dump/x/.half.7.tmp").exists()


def test_a_folder_of_other_settings_is_made_anew_by_the_same_call(recipe, shell):
    recipe("--fail", "true")
    (shell.cwd / "dump/x/of_other_settings").touch()  # the command knows what the marks do not: it ends with EX_DATAERR
    ran, done = recipe()
    assert ran == "12" and done.returncode == 0 and "dump/x is of other inputs: removed" in done.stderr
    assert not (shell.cwd / "dump/x/of_other_settings").exists()
    assert recipe()[0] == ""


def test_a_damaged_store_is_mended_in_place_and_a_replaced_one_made_anew(recipe, shell):
    recipe()
    meta = shell.read("dump/x/meta.json")
    for text, stays in (("{}", True), (re.sub(r'("content": )"\w+"', r'\1"other"', meta), False)):
        (shell.cwd / "dump/x/meta.json").write_text(text)
        (shell.cwd / "dump/x/witness").touch()
        ran, done = recipe()
        assert ran == "1" and "dump/x is not as the stage left it" in done.stderr
        assert shell.read("dump/x/meta.json") == meta and (shell.cwd / "dump/x/witness").exists() == stays
    assert recipe()[0] == ""


def test_outputs_of_unknown_origin_are_not_taken(recipe, shell):
    (shell.cwd / "exp/x").mkdir(parents=True)
    (shell.cwd / "exp/x/result").write_text("of somebody\n")
    recipe()
    assert shell.read("exp/x/result") == "0\n" and len(list(shell.cwd.glob("exp/old/*/x/result"))) == 1


def test_a_stage_alone_names_what_it_needs(recipe):
    ran, done = recipe("--stage", 1)
    assert ran == "" and done.returncode == 1 and done.stderr.count("\n") == 1
    assert "it needs an earlier stage that is not done (data/.done is missing)" in done.stderr


def test_a_missing_settings_file_is_named(recipe, shell):
    (shell.cwd / "conf.yaml").unlink()
    ran, done = recipe()
    assert ran == "01" and "error: stage 2: tasks: conf.yaml: No such file or directory" in done.stderr


def test_stage_that_is_no_number(recipe):
    ran, done = recipe("--stage", "one")
    assert (ran, done.returncode) == ("", 1) and "not 'one'" in done.stderr


def test_marks_are_lines_of_key_and_value(recipe, shell):
    recipe()
    mark = json.loads(shell.read("exp/x/.done"))
    assert mark["inputs"].keys() == {"after dump/x.done", "yaml conf.yaml", "tasks"} and mark["more"] == {"seeds": "0"}


SLOW = """#!/usr/bin/env bash
set -euo pipefail
stage=0
stop_stage=0
. UTILS/log.sh
if begin_stage 0 data/.done "slow"; then
  echo begun >>begun
  UTILS/bound.py $$ sleep "$1"
  end_stage data/.done
fi
"""


def test_a_second_run_waits_for_the_first_and_finds_it_done(shell, wait_for):
    name = shell.script("run.sh", SLOW)
    first = shell.start(name, "2")
    wait_for(lambda: (shell.cwd / "begun").exists())
    second = shell.run(name, "0")
    assert second.returncode == 0 and first.wait(timeout=20) == 0
    assert "another run.sh works on data/.done: waiting for its end" in second.stderr
    assert "done before, skipped" in second.stderr and shell.read("begun") == "begun\n"


@pytest.mark.parametrize("whole_group", [False, True])
def test_after_sigkill_the_next_call_just_goes_on(shell, wait_for, whole_group):
    name = shell.script("run.sh", SLOW)
    first = shell.start(name, "1024.5")
    wait_for(lambda: (shell.cwd / "begun").exists())
    if whole_group:
        shell.signal_group(first, signal.SIGKILL)
    else:
        first.kill()
    start = time.monotonic()
    second = shell.run(name, "0")
    assert second.returncode == 0, second.stderr
    assert shell.read("begun") == "begun\nbegun\n" and time.monotonic() - start < 20


def test_locks_that_cannot_be_made_are_one_line(recipe, shell):
    (shell.cwd / "exp").write_text("in the way of the folder")
    _, done = recipe("--stop_stage", "0")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "exp" in done.stderr, done.stderr


def test_lines_carry_time_file_and_line(shell):
    name = shell.script("say.sh", "#!/usr/bin/env bash\n. UTILS/log.sh\nlog hello there\ndie too bad\necho no\n")
    done = shell.run(name)
    stamp = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    assert re.fullmatch(rf"{stamp} \(say.sh:3\) hello there\n{stamp} \(say.sh:4\) error: too bad\n", done.stderr)
    assert (done.returncode, done.stdout) == (1, "")


def test_a_stage_does_not_wait_for_what_the_launcher_of_the_last_one_left(shell):
    name = shell.script("launched.sh", """#!/usr/bin/env bash
set -euo pipefail
stage=0
stop_stage=1
. UTILS/log.sh
if begin_stage 0 exp/a.done "one"; then
  UTILS/run.sh exp/a.log true
  end_stage exp/a.done
fi
if begin_stage 1 exp/b.done "two" --needs exp/a.done; then end_stage exp/b.done; fi
""")
    done = shell.run(name)
    assert done.returncode == 0 and "waiting for its end" not in done.stderr, done.stderr


def test_a_stage_that_is_done_again_says_how_long_it_took_before_and_what_it_wrote(recipe, shell):
    _, done = recipe()
    assert "features: done in " in done.stderr and ", wrote dump/x (" in done.stderr
    mark = shell.cwd / "exp/x/.done"
    mark.write_text(json.dumps({**json.loads(mark.read_text()), "seconds": 190}))
    _, done = recipe("--seeds", 1)
    assert "    the last time it took 3m10s\n" in done.stderr
