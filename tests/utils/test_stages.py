"""utils/stages.sh: which corpora a SUPERB run takes, what it is then called, and which tasks are run again."""

import pytest

TASKS = ("pr", "ks", "ic", "sid", "er")
SCRIPT = """#!/usr/bin/env bash
set -euo pipefail
stage=5 stop_stage=5
. UTILS/log.sh
. UTILS/stages.sh
cmd=launch gpu_job=() side_by_side=() ngpu=0 nj=1 seeds=${seeds-} superb_overlays=''
make_mini_corpus() { echo "mini corpus made"; }
launch() { printf '<%s>' "$@"; echo; }
bound() { mkdir -p exp; : >exp/SUPERB.md; }
superb 5 logmel exp/logmel "${label-log-mel}" "$@"
"""


@pytest.fixture
def superb(shell):
    name = shell.script("superb.sh", SCRIPT)
    (shell.cwd / "conf/superb").mkdir(parents=True)
    for task in (*TASKS, "mini", "m2ds"):
        (shell.cwd / f"conf/superb/{task}.yaml").write_text("lr: 1\n")
    vox = shell.cwd / "my vox"
    vox.mkdir()
    (vox / "iden_split.txt").write_text("1 id10001/a/1.wav\n")
    shell.env.update(MINI_CORPUS="/mini, corpus")
    for variable in ("SUPERB_LIBRISPEECH", "LEXICON", "SPEECH_COMMANDS", "FLUENT_SPEECH_COMMANDS", "IEMOCAP",
                     "VOXCELEB1", "VOXCELEB1_SPLIT"):
        shell.env.pop(variable, None)
    return lambda tasks, **environment: shell.run(name, *tasks.split(), **environment)


def test_mini_is_decided_per_task(superb, shell):
    """With VoxCeleb1 alone, and its split list where it is published, SID is real and the other tasks are not."""
    done = superb("pr sid", VOXCELEB1="my vox")
    assert done.returncode == 0, done.stderr
    real, mini = [line for line in done.stdout.splitlines() if line.startswith("<")]
    assert "<JOB=1:1>" in real and "<tasks+=sid>" in real and "<tasks+=pr>" not in real
    assert "<exp=exp/logmel>" in real and "<corpus=SUPERB>" in real and "mini" not in real
    assert "<corpora.voxceleb1=my vox><corpora.voxceleb1_split=my vox/iden_split.txt>" in real
    assert "<tasks+=pr>" in mini and "<tasks+=sid>" not in mini and "my vox" not in mini
    assert "<exp=exp/logmel_mini>" in mini and "<corpus=mini corpus>" in mini and "conf/superb/mini.yaml" in mini
    assert "<corpora.lexicon=[]><corpora.lexicon+=/mini, corpus/LibriSpeech/lexicon.txt>" in mini


def test_corpora_of_other_tasks_decide_nothing(superb):
    done = superb("sid", VOXCELEB1="my vox")
    assert done.returncode == 0 and "mini" not in done.stdout and "corpora.librispeech" not in done.stdout


def test_half_of_a_tasks_corpora_is_not_mixed_with_the_mini_corpus(superb):
    done = superb("ks", SPEECH_COMMANDS="/real")
    assert "/real" not in done.stdout and "<corpora.speech_commands=/mini, corpus/speech_commands_v0.01>" in done.stdout
    assert "superb task ks: db.sh does not name SPEECH_COMMANDS_TEST: its other corpora are not used" in done.stderr


def test_several_lexicons_are_a_list(superb):
    done = superb("pr", LEXICON="/a.txt /b.txt", SUPERB_LIBRISPEECH="/l")
    assert "<corpora.lexicon=[]><corpora.lexicon+=/a.txt><corpora.lexicon+=/b.txt>" in done.stdout


def test_an_unknown_task_is_named(superb):
    done = superb("pr kws")
    assert done.returncode == 1
    assert "unknown task 'kws' (known superb tasks: pr ks ic sid er asr asv sf sd qbe)" in done.stderr
    assert "<" not in done.stdout


def test_only_a_task_whose_corpus_changed_is_run_again(superb, shell):
    (shell.cwd / "iemocap").mkdir()
    real = {"VOXCELEB1": "my vox", "IEMOCAP": "iemocap"}
    assert "<JOB=1:2>" in superb("sid er", **real).stdout
    for task in ("sid", "er"):
        (shell.cwd / f"exp/logmel/{task}").mkdir()
    assert "<" not in superb("sid er", **real).stdout
    (shell.cwd / "my vox/iden_split.txt").write_text("1 id10001/another/1.wav\n")
    done = superb("sid er", **real)
    assert "<tasks+=sid>" in done.stdout and "<tasks+=er>" not in done.stdout
    assert [path.name for path in shell.cwd.glob("exp/old/*/logmel/*")] == ["sid"]
    assert "<seeds=[0,1]>" in superb("sid er", **real, seeds="0 1").stdout
    assert [path.name for path in shell.cwd.glob("exp/old/*/logmel/*")] == ["sid"]  # more seeds make nothing wrong


def test_changes_of_settings_name_an_experiment(shell):
    name = shell.script("names.sh", '#!/usr/bin/env bash\n. UTILS/log.sh\n. UTILS/stages.sh\nset_name "$1"\n')
    for changes, expected in (("run.seed=1 model.input_size=[80,208]", "run.seed=1_model.input_size=_80_208_"),
                              ("run.init_from=/exp/m2d/model optim.epochs=2", "run.init_from=m2d_model_optim.epochs=2"),
                              ("run.init_from=../other/w.pth", "run.init_from=other_w.pth")):
        assert shell.run(name, changes).stdout.strip() == expected
