"""utils/stages.sh: which corpora a SUPERB run takes, and what it is then called."""

import pytest

SCRIPT = """#!/usr/bin/env bash
set -euo pipefail
. UTILS/log.sh
. UTILS/stages.sh
cmd=launch gpu_job=() ngpu=0 nj=1 MINI_CORPUS="/mini corpus" superb_tasks=$1 LEXICON=${LEXICON:-}
SUPERB_LIBRISPEECH=${SUPERB_LIBRISPEECH:-} SPEECH_COMMANDS='' SPEECH_COMMANDS_TEST='' FLUENT_SPEECH_COMMANDS=''
IEMOCAP='' VOXCELEB1=${VOXCELEB1:-} VOXCELEB1_SPLIT=${VOXCELEB1_SPLIT:-}
make_mini_corpus() { echo "mini corpus made"; }
launch() { printf '<%s>' "$@"; }
python3() { mkdir -p exp; : >exp/SUPERB.md; }
mkdir -p exp
run_superb logmel exp/logmel log-mel
"""


@pytest.fixture
def superb(shell):
    name = shell.script("superb.sh", SCRIPT)
    return lambda tasks, **environment: shell.run(name, tasks, **environment)


def test_corpora_of_other_tasks_decide_nothing(superb):
    done = superb("sid", VOXCELEB1="/real/vox", VOXCELEB1_SPLIT="/real/split.txt")
    assert done.returncode == 0 and "mini" not in done.stdout
    assert "<exp=exp/logmel><label=log-mel><corpus=SUPERB><tasks=[sid]>" in done.stdout
    assert "<corpora.voxceleb1=/real/vox><corpora.voxceleb1_split=/real/split.txt>" in done.stdout
    assert "corpora.librispeech" not in done.stdout


def test_the_mini_corpus_stands_in_and_marks_the_results(superb):
    done = superb("pr sid", VOXCELEB1="/real/vox", VOXCELEB1_SPLIT="/real/split.txt")
    assert done.returncode == 0 and "mini corpus made" in done.stdout
    assert "<exp=exp/logmel_mini>" in done.stdout and "<corpus=mini corpus>" in done.stdout
    assert "<overlays=[conf/superb/mini.yaml]>" in done.stdout
    assert "<corpora.lexicon=[/mini corpus/LibriSpeech/lexicon.txt]>" in done.stdout


def test_half_of_a_tasks_corpora_is_not_mixed_with_the_mini_corpus(superb):
    done = superb("sid", VOXCELEB1="/real/vox")
    assert "/real" not in done.stdout and "<corpora.voxceleb1=/mini corpus/VoxCeleb1>" in done.stdout
    assert "SUPERB sid: db.sh does not name VOXCELEB1_SPLIT: the mini corpus stands in" in done.stderr


def test_several_lexicons_are_a_list(superb):
    assert "<corpora.lexicon=[/a.txt,/b.txt]>" in superb("pr", LEXICON="/a.txt /b.txt", SUPERB_LIBRISPEECH="/l").stdout


def test_an_unknown_task_is_named(superb):
    done = superb("pr kws")
    assert done.returncode == 1 and "unknown SUPERB task 'kws' (known: pr ks ic sid er)" in done.stderr
