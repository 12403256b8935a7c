"""utils/parse_options.sh: the table is the script's head, and a wrong word is named."""

import pytest

SCRIPT = """#!/usr/bin/env bash
# Makes things.
#
# usage: tool.sh [options]
set -euo pipefail
stage=0         # first stage
tasks="pr ks"   # which tasks
force=false     # again?
max_jobs=4

. UTILS/parse_options.sh
below=1
echo "$stage|$tasks|$force|$max_jobs|$below|$*"
"""


@pytest.fixture
def tool(shell):
    name = shell.script("tool.sh", SCRIPT)
    return lambda *words: shell.run(name, *words)


@pytest.mark.parametrize("words, line", [
    ([], "0|pr ks|false|4|1|"),
    (["--stage", "3", "--tasks", "pr ic sid"], "3|pr ic sid|false|4|1|"),
    (["--stage=3", "--tasks=a=b", "--force=true"], "3|a=b|true|4|1|"),
    (["--max-jobs", "2", "--tasks="], "0||false|2|1|"),
    (["--max_jobs=2", "left", "--stage", "1"], "0|pr ks|false|2|1|left --stage 1"),
    (["--", "--stage"], "0|pr ks|false|4|1|--stage"),
    (["--tasks", "$(touch owned) `touch owned`; 'x"], "0|$(touch owned) `touch owned`; 'x|false|4|1|"),
])
def test_values(tool, shell, words, line):
    done = tool(*words)
    assert (done.returncode, done.stdout) == (0, line + "\n")
    assert not (shell.cwd / "owned").exists()


@pytest.mark.parametrize("words, message", [
    (["--stag", "3"], "unknown option --stag, did you mean --stage?"),
    (["--max-job", "3"], "unknown option --max-job, did you mean --max_jobs?"),
    (["--HOME", "x"], "unknown option --HOME (see"),
    (["--below", "2"], "unknown option --below (see"),
    (["--.*", "2"], "unknown option --.*"),
    (["--stage"], "option --stage needs a value"),
    (["--force", "yes"], "option --force takes true or false, not 'yes'"),
])
def test_wrong_words_are_named(tool, words, message):
    done = tool(*words)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(f"tool.sh: {message}") and done.stderr.count("\n") == 1


def test_help_is_the_header_and_the_table(tool):
    done = tool("--help")
    assert done.returncode == 0
    assert done.stdout.startswith("Makes things.\n\nusage: tool.sh [options]\n")
    assert "--stage 0         # first stage\n" in done.stdout and "below" not in done.stdout


def test_a_script_that_goes_to_its_own_folder_is_still_read(shell):
    (shell.cwd / "recipe").mkdir()
    name = shell.script("recipe/run.sh", SCRIPT.replace("stage=0 ", 'cd "$(dirname "$0")"\nstage=0 '))
    done = shell.run(name, "--stage", "3")
    assert done.stdout == "3|pr ks|false|4|1|\n", done.stderr
