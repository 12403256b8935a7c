import json
import shutil
import types
from pathlib import Path

import pytest

from m2d.common.errors import UserError
from m2d.superb.task import TASKS, ordered, read_settings
from m2d.superb.tasks import er, ks, sid

CONF = Path(__file__).parents[2] / "egs" / "librispeech_m2ds" / "conf" / "superb"


def prepare(task: str, corpora, tmp_path) -> dict:
    settings = read_settings(CONF, [], task)
    TASKS.get(task).prepared(corpora, tmp_path, settings)
    return settings


@pytest.mark.parametrize("task", ["pr", "asr", "qbe", "sid", "sd", "ic", "sf", "er"])
def test_corpora_in_official_layouts_pass(task, corpora, tmp_path):
    prepare(task, corpora, tmp_path)


@pytest.mark.parametrize(("task", "option", "value", "words"), [
    ("pr", "librispeech", "", "'corpora.librispeech' is not set"),
    ("pr", "librispeech", "/nowhere", "corpora.librispeech=/nowhere: no such folder"),
    ("pr", "lexicon", [], "'corpora.lexicon' is not set"),
    ("pr", "lexicon", ["/nowhere"], "/nowhere: no such lexicon"),
    ("ks", "speech_commands", "/", "no wav files under yes"),
    ("ic", "fluent", "/", "train_data.csv: no such file"),
    ("sid", "voxceleb1_split", "", "'corpora.voxceleb1_split' is not set"),
    ("sid", "voxceleb1", "/", "neither in dev/wav nor in test/wav"),
    ("er", "iemocap", "/", "Session1: no such folder"),
    ("asr", "librispeech", "/", "train-clean-100: no such folder"),
    ("sf", "snips", "/", "all.iob.snips.txt: no such file"),
    ("sd", "libri2mix", "/", "train: no such folder"),
    ("qbe", "quesst14", "/", "score-TWV-Cnxe.sh: missing"),
])
def test_a_wrong_path_gives_a_clear_line(task, option, value, words, copy_of, tmp_path):
    with pytest.raises(UserError, match=words):
        prepare(task, copy_of(**{option: value}), tmp_path)


def test_keyword_spotting_needs_more_recordings_than_a_batch(corpora):
    """With fewer, s3prl drops every batch and never ends."""
    assert ks.speech_commands(corpora.speech_commands, 16) == corpora.speech_commands
    with pytest.raises(ValueError, match="only 33 recordings"):
        ks.speech_commands(corpora.speech_commands, 32)


def test_the_training_set_of_commands_is_no_test_set(corpora):
    with pytest.raises(ValueError, match=r"_background_noise_ is none of the 12 classes"):
        ks.speech_commands_test(corpora.speech_commands)


@pytest.mark.parametrize(("line", "words"), [("4 id10001/a/00001.wav", ":1: expected"), ("", ":1: expected"),
                                             ("1 id10001/a/00001.wav", "no line of the dev part")])
def test_a_bad_split_list_is_named(corpora, tmp_path, line, words):
    (tmp_path / "split.txt").write_text(line + "\n")
    with pytest.raises(ValueError, match=words):
        sid.voxceleb1(corpora.voxceleb1, str(tmp_path / "split.txt"), tmp_path)


def test_emotion_tables_made_here_are_sorted_complete_and_named(corpora, tmp_path):
    root, tables, note = er.iemocap(corpora.iemocap, "", tmp_path)
    assert "not its dev parts" in note
    for session in range(1, 6):
        test, train = (json.loads((Path(tables) / f"Session{session}" / f"{part}_meta_data.json").read_text())
                       for part in ("test", "train"))
        assert test["labels"] == {"neu": 0, "hap": 1, "ang": 2, "sad": 3}
        # `exc` counts as happy, `fru` is dropped
        assert [entry["label"] for entry in test["meta_data"]] == ["neu", "hap", "ang", "sad", "hap"]
        paths = [entry["path"] for entry in train["meta_data"]]
        assert len(paths) == 20 and paths == sorted(paths)
        assert not any(path.startswith(f"Session{session}/") for path in paths)
        assert all((Path(root) / path).is_file() for path in paths)
        assert test["meta_data"][0]["speaker"] == f"Ses{session:02d}F"


def test_s3prls_own_emotion_tables_are_used_where_they_are(corpora, tmp_path, monkeypatch):
    """Given by path, or beside an s3prl that was installed from its repository; their order is left alone."""
    _, made, _ = er.iemocap(corpora.iemocap, "", tmp_path / "made")
    package = tmp_path / "s3prl"
    given = package / "downstream" / "emotion" / "meta_data"
    shutil.copytree(made, given)
    table = given / "Session1" / "train_meta_data.json"
    content = json.loads(table.read_text())
    content["meta_data"].reverse()
    table.write_text(json.dumps(content))
    before = table.read_bytes()
    _, tables, note = er.iemocap(corpora.iemocap, str(given), tmp_path / "unused")
    assert tables == str(given) and note == "folds and dev parts by the tables of s3prl's repository"
    monkeypatch.setattr(er.importlib.util, "find_spec",
                        lambda name: types.SimpleNamespace(submodule_search_locations=[str(package)]))
    assert er.iemocap(corpora.iemocap, "", tmp_path / "unused")[1] == str(given)
    assert table.read_bytes() == before and not (tmp_path / "unused").exists()
    content["meta_data"][0]["path"] = "Session9/none.wav"
    table.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"Session9/none.wav is not under"):
        er.iemocap(corpora.iemocap, str(given), tmp_path)
    table.write_text("[]")
    with pytest.raises(ValueError, match="not a fold table of s3prl"):
        er.iemocap(corpora.iemocap, str(given), tmp_path)


def test_tasks_are_chosen_by_name():
    assert ordered(["er", "qbe", "pr", "er"]) == ["pr", "qbe", "er"]
    with pytest.raises(UserError, match=r"unknown SUPERB task 'kss', did you mean 'ks'"):
        ordered(["kss"])
    with pytest.raises(UserError, match="no task given: choose from pr, asr, ks, qbe, sid"):
        ordered([])


# steps, accumulation, evaluation step, save step, batch, default rate, M2D-S's rate, mean, deviation
PUBLISHED = {
    "pr": (100_000, 2, 1000, 100, 16, 1e-2, 1e-3, -10.4325, 4.2414),
    "ks": (200_000, 1, 5000, 1000, 32, 1e-4, 1e-4, -11.5063, 4.3149),
    "ic": (200_000, 1, 5000, 250, 32, 1e-4, 1e-3, -13.0174, 4.4178),
    "sid": (200_000, 4, 5000, 1000, 8, 1e-4, 1e-3, -10.5713, 4.3681),
    "er": (30_000, 8, 1000, 1000, 4, 1e-4, 1e-5, -13.0374, 3.6197),
}


@pytest.mark.parametrize("task", PUBLISHED)
def test_settings_are_the_published_ones(task):
    steps, accumulation, evaluate, save, batch, lr, m2ds_lr, mean, std = PUBLISHED[task]
    plain, m2ds = read_settings(CONF, [], task), read_settings(CONF, [str(CONF / "m2ds.yaml")], task)
    runner = plain["runner"]
    assert (runner["total_steps"], runner["gradient_accumulate_steps"]) == (steps, accumulation)
    assert (runner["eval_step"], runner["save_step"]) == (evaluate, save)
    data = plain["downstream_expert"].get("datarc") or plain["downstream_expert"]["corpus"]
    assert (data.get("train_batch_size") or data["batch_size"]) == batch
    assert (plain["optimizer"]["lr"], m2ds["optimizer"]["lr"]) == (lr, m2ds_lr)
    assert plain["statistics"] is None and m2ds["statistics"] == {"mean": mean, "std": std}


@pytest.mark.parametrize("task", PUBLISHED)
def test_mini_settings_end_with_a_saved_and_evaluated_step(task):
    settings = read_settings(CONF, [str(CONF / "m2ds.yaml"), str(CONF / "mini.yaml")], task)
    runner = settings["runner"]
    assert runner["total_steps"] % runner["eval_step"] == runner["total_steps"] % runner["save_step"] == 0
    assert settings["statistics"] is None


@pytest.mark.parametrize(("text", "words"), [
    ("kss: {runner: {total_steps: 1}}", "section 'kss' is none of pr, asr, ks"),
    ("ks: {runner: {steps: 1}}", "section ks: .*steps"),
    ("ks: [", "not valid YAML"),
])
def test_a_bad_overlay_is_named(tmp_path, text, words):
    (tmp_path / "overlay.yaml").write_text(text)
    with pytest.raises(UserError, match=words):
        read_settings(CONF, [str(tmp_path / "overlay.yaml")], "ks")
