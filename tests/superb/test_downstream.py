"""s3prl's classical command line with our upstreams."""

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from m2d.superb.task import TASKS, read_settings

CONF = Path(__file__).parents[2] / "egs" / "librispeech_m2ds" / "conf" / "superb"
STEPS = {"total_steps": 2, "gradient_accumulate_steps": 1, "log_step": 1, "eval_step": 2, "save_step": 2}


def settings(task: str, corpora, folder: Path, name: str) -> str:
    """A settings file of the task, as a user of s3prl writes it."""
    found = read_settings(CONF, [], task)
    TASKS.get(task).prepared(corpora, folder / "tables", found)
    found["runner"].update(STEPS)
    data = found["downstream_expert"].get("datarc") or found["downstream_expert"]["corpus"]
    data.update({key: 2 for key in data if "batch_size" in key}, num_workers=0)
    (folder / name).write_text(yaml.safe_dump(found))
    return name


@pytest.fixture(scope="module")
def calls(corpora, model, tmp_path_factory) -> Path:
    """Commands of one user in one folder, in one process, because importing s3prl is what takes long."""
    folder = tmp_path_factory.mktemp("user")
    other = folder / "vox"
    shutil.copytree(corpora.voxceleb1, other)
    lines = (other / "iden_split.txt").read_text().splitlines()
    (other / "iden_split.txt").write_text("\n".join(lines[:6]) + "\n")  # two of the three speakers
    second = dataclasses.replace(corpora, voxceleb1=str(other), voxceleb1_split=str(other / "iden_split.txt"))
    pr, sid = settings("pr", corpora, folder, "pr.yaml"), settings("sid", corpora, folder, "sid.yaml")
    sid_second = settings("sid", second, folder, "second.yaml")
    train = ["-m", "train", "-u", "m2d_local", "-k", model, "--device", "cpu"]
    commands = [
        [*train, "-d", "ctc", "-c", pr, "-n", "pr"],
        ["-m", "evaluate", "-e", "result/downstream/pr", "--device", "cpu"],
        [*train, "-d", "voxceleb1", "-c", sid, "-n", "sid"],
        [*train, "-d", "voxceleb1", "-c", sid_second, "-n", "sid"],
    ]
    script = ("import json, sys\nfrom m2d.superb.downstream import run_s3prl\n"
              "for command in json.loads(sys.argv[1]):\n    print('COMMAND')\n    run_s3prl(command)\n")
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script, json.dumps(commands)], cwd=folder,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (folder / "printed.txt").write_text(done.stdout)
    return folder


def test_a_folder_of_phone_recognition_is_evaluated(calls):
    evaluated = (calls / "printed.txt").read_text().split("COMMAND\n")[2]
    assert "test per: " in evaluated
    assert (calls / "result/downstream/pr/states-2.ckpt").is_file()


def test_another_corpus_under_the_same_name_has_its_own_file_list(calls):
    printed = (calls / "printed.txt").read_text().split("COMMAND\n")
    assert "there are 3 files found" in printed[3] and "there are 2 files found" in printed[4]
    assert len(list((calls / "result/downstream/sid/s3prl_lists").iterdir())) == 2
    assert not (calls / "s3prl_lists").exists()


@pytest.mark.parametrize(("words", "line"), [
    (["-m", "train", "-u", "m2d_local", "-d", "emotion", "-c", "er.yaml"], "m2d_local needs a model: -k MODEL"),
    (["-m", "train", "-u", "m2d_loca", "-d", "emotion", "-c", "er.yaml"], "'m2d_loca': not on s3prl's hub"),
    (["-m", "train", "-u", "m2d_local", "-d", "emotions", "-c", "er.yaml"], "'emotions': s3prl has no such downstream"),
    (["-m", "train", "-u", "m2d_local", "-d", "emotion"], "./downstream/emotion/config.yaml: no such file"),
    (["-m", "train", "-c", "er.yaml"], "give an upstream"),
    (["-m", "evaluate", "-e", "."], "no states-*.ckpt"),
])
def test_what_is_missing_is_one_line(tmp_path, monkeypatch, words, line, capsys):
    from m2d.superb.downstream import main

    (tmp_path / "er.yaml").write_text("{runner: {}}")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main([*words, "--device", "cpu"])
    assert line in str(ended.value) and "\n" not in str(ended.value)
