"""The recipe in odd places: names that a shell could take for commands, and surroundings that lack something."""

import os
import subprocess

import numpy as np
import pytest
import soundfile

NAMES = ["a;touch owned", "$(touch owned)", "`touch owned`", "it's \"q\"", "a,b", "[x]{y}", "*", "-n", "JOB", "${HOME}",
         "sp  ace", "ünï", "a|b", "#no", "key=value", "!x", "%d"]
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def odd(make_recipe, tmp_path_factory):
    """The recipe with recordings of odd names as speech and noise."""
    folder = tmp_path_factory.mktemp("corpora; touch owned, $(touch owned)")
    rng = np.random.default_rng(0)
    for name in NAMES:
        for kind in ("speech", "noise"):
            (folder / kind / name).mkdir(parents=True)
            soundfile.write(folder / kind / name / f"{name}.wav", rng.normal(size=16000) / 10, 16000)
    return make_recipe("librispeech_m2ds", MINI_CORPUS="/nowhere", SPEECH=str(folder / "speech"),
                       NOISE=str(folder / "noise"))


def test_no_command_is_run_from_a_name_and_nothing_is_mixed_up(odd):
    label = "$(touch owned); [a, b] 'q' \"q\""
    odd.run_well("--stop_stage", "1", "--held_out", "3", "--label", label, "--tag", "a;b $(touch owned) [c], 'd'")
    index = (odd.directory / "dump/speech/train/logmel/index").read_text().splitlines()
    valid = (odd.directory / "dump/speech/valid/logmel/index").read_text().splitlines()
    noise = (odd.directory / "dump/speech/noise/logmel/index").read_text().splitlines()
    assert len(index) + len(valid) == len(noise) == len(NAMES) and len(valid) == 3
    assert not list(odd.directory.parents[1].rglob("owned")) and not os.path.exists("owned")


@pytest.mark.parametrize("tag", ["a/b", "../x", "-x", "old", "line\nbreak", "${x}"])
def test_a_tag_that_is_no_folder_name_is_refused(odd, tag):
    done = odd.run("--stop_stage", "0", f"--tag={tag}")
    assert done.returncode == 1 and "give a name for a folder" in done.stdout


@pytest.mark.parametrize("command", [
    "env -u HOME ./run.sh \"$@\"", "LC_ALL=POSIX LANG=POSIX ./run.sh \"$@\"", "umask 077; ./run.sh \"$@\"",
    "sh run.sh \"$@\"", "bash --posix run.sh \"$@\"", "cd /; \"$OLDPWD/run.sh\" \"$@\"", "./run.sh \"$@\" <&-",
    "ln -sfn egs ../../link; ../../link/librispeech_m2ds/run.sh \"$@\"",
])
def test_surroundings(odd, command):
    """Stage 0, done before: what is looked at is the same from everywhere."""
    command = f"set -- --stop_stage 0 --held_out 3; {command}"
    done = subprocess.run(["bash", "-c", command], cwd=odd.directory, env=odd.environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    assert done.returncode == 0 and "stage 0: data preparation (speech): done before" in done.stdout, done.stdout


@pytest.mark.parametrize("limit, words", [
    ("-v 4000000", "path.sh: a limit of 4000000 kB of address space (ulimit -v) is too little for torch"),
    ("-n 20", "path.sh: a limit of 20 open files (ulimit -n) is too little"),
])
def test_limits_that_are_too_low(odd, limit, words):
    done = subprocess.run(["bash", "-c", f"ulimit {limit}; ./run.sh --stop_stage 1 --held_out 3"], cwd=odd.directory,
                          env=odd.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    assert done.returncode == 1 and words in done.stdout and "Traceback" not in done.stdout, done.stdout


def test_libraries_that_ask_for_a_home_find_one(odd):
    command = ["env", "-u", "HOME", "bash", "-c", '. ./path.sh; python3 -c "import os; print(os.environ[\'HOME\'])"']
    done = subprocess.run(command, cwd=odd.directory, env=odd.environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("/"), done.stderr


def test_a_reader_that_goes_away(odd, rates):
    command = f"./run.sh --dry_run true --rates '{rates}' | head -n 1"
    done = subprocess.run(["bash", "-c", command], cwd=odd.directory, env=odd.environment, text=True,
                          capture_output=True, timeout=300)
    assert done.stdout.startswith("objective") and "Traceback" not in done.stderr, done.stderr


def test_a_name_that_no_table_can_hold_is_refused(odd, tmp_path):
    for name in ("line\nbreak", "other"):
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "a.wav", np.zeros(16000), 16000)
    done = odd.run("--stop_stage", "0", "--held_out", "1", SPEECH=str(tmp_path))
    assert done.returncode == 1 and "rename it" in done.stdout and "Traceback" not in done.stdout


def test_broken_recordings_are_named_counted_and_left_out_on_demand(make_recipe, tmp_path):
    rng = np.random.default_rng(0)
    for number in range(6):
        (tmp_path / f"s/{number}").mkdir(parents=True)
        soundfile.write(tmp_path / f"s/{number}/x.wav", rng.normal(size=8000) / 10, 16000)
    (tmp_path / "s/7.flac").write_bytes(b"<html>404</html>")
    recipe = make_recipe("librispeech_m2ds", SPEECH=str(tmp_path / "s"), NOISE=str(tmp_path / "s/0"))
    words = ["--stop_stage", "1", "--held_out", "1"]
    done = recipe.run(*words)
    assert done.returncode != 0 and "7.flac: not readable as audio" in done.stdout
    assert "7 utterances" in done.stdout and "max_bad_share" in done.stdout
    recipe.run_well(*words, "--max_bad", "0.5")
    sets = [recipe.directory / f"dump/s/{name}/logmel" for name in ("train", "valid")]
    assert sum(len((store / "index").read_text().splitlines()) for store in sets) == 6


def test_own_speech_without_noise_needs_no_mini_corpus(make_recipe, tmp_path):
    rng = np.random.default_rng(0)
    for number in range(4):
        (tmp_path / f"talks/{number}").mkdir(parents=True)
        soundfile.write(tmp_path / f"talks/{number}/x.wav", rng.normal(size=8000) / 10, 16000)
    recipe = make_recipe("librispeech_m2ds", MINI_CORPUS="/nowhere", SPEECH=str(tmp_path / "talks"))
    said = recipe.run_well("--stop_stage", "0", "--held_out", "1", "--config", "conf/pretrain_m2d_noise0.0.yaml",
                           "--tasks", "")
    assert "MINI CORPUS" not in said
    assert {path.name for path in (recipe.directory / "data/talks").iterdir() if path.is_dir()} == {"train", "valid"}
