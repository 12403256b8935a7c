"""egs/librispeech_m2ds end to end by its own run.sh, on tiny settings, and what it says when something is wrong."""

import json
import shutil
from pathlib import Path

import pytest

TINY = ("model.width=16 model.depth=2 model.heads=2 model.predictor_width=16 model.predictor_depth=1 "
        "model.predictor_heads=2 optim.batch_size=8 optim.epochs=2 optim.warmup_epochs=1 "
        "run.log_steps=1")
SUPERB = """
pr: {runner: {total_steps: 4, log_step: 2, eval_step: 2, save_step: 2}}
ks: {runner: {total_steps: 4, log_step: 2, eval_step: 2, save_step: 2}}
ic: {runner: {total_steps: 4, log_step: 2, eval_step: 2, save_step: 2}}
sid: {runner: {total_steps: 4, log_step: 2, eval_step: 2, save_step: 2}}
er: {runner: {total_steps: 4, log_step: 2, eval_step: 2, save_step: 2}}
"""
pytestmark = pytest.mark.timeout(1500)


@pytest.fixture(scope="module")
def recipe(make_recipe, tiny_corpus):
    return make_recipe("librispeech_m2ds", MINI_CORPUS=str(tiny_corpus))


@pytest.fixture(scope="module")
def options(tiny_teacher, tmp_path_factory):
    overlay = tmp_path_factory.mktemp("conf") / "superb.yaml"
    overlay.write_text(SUPERB)
    return ["--config", "conf/pretrain_mini_m2ds.yaml", "--scale", "0.1",
            "--teacher", str(tiny_teacher), "--set", TINY, "--tag", "tiny",
            "--superb_overlays", str(overlay)]


@pytest.fixture(scope="module")
def finished(recipe, options):
    """The output of stages 0 to 5."""
    return recipe.run_well("--stage", "0", "--stop_stage", "5", *options)


def test_all_stages_end_with_a_table_of_all_tasks(recipe, finished):
    assert "MINI CORPUS" in finished
    table = (recipe.directory / "exp" / "SUPERB.md").read_text()
    assert all(f" {task} " in table for task in ("PR", "KS", "IC", "SID", "ER")) and "tiny" in table
    results = json.loads((recipe.directory / "exp" / "tiny_mini" / "superb_mini" / "results.json").read_text())
    assert set(results["tasks"]) == {"pr", "ks", "ic", "sid", "er"}
    exp = recipe.directory / "exp" / "tiny_mini"
    for name in ("config.yaml", "environment.json", "replay.sh", "metrics.jsonl", "model/model.safetensors",
                 "model/config.json"):
        assert (exp / name).is_file(), name
    assert list((exp / "images").glob("*.png"))


def test_a_second_run_finds_all_done(recipe, finished, options):
    checkpoints = recipe.directory / "exp" / "tiny_mini" / "checkpoints"
    before = {path: path.stat().st_mtime_ns for path in checkpoints.iterdir()}
    again = recipe.run_well("--stage", "0", "--stop_stage", "4", *options)
    assert again.count("done before, skipped") == 1 + 3 + 2 + 1 + 1
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_exported_model_is_loaded_by_one_line(recipe, finished):
    import torch

    from m2d import load_pretrained

    model = load_pretrained(recipe.directory / "exp" / "tiny_mini" / "model")
    output = model([torch.randn(16000), torch.randn(40000)])
    assert output.clip.shape == (2, 16) and output.lengths.tolist() == [26, 63]


def test_one_stage_and_one_task_alone(recipe, finished, options):
    output = recipe.run_well("--stage", "5", "--stop_stage", "5", "--tasks", "ks", "--upstream", "logmel", *options)
    assert "stage 3" not in output
    results = json.loads((recipe.directory / "exp" / "superb_logmel_mini" / "results.json").read_text())
    assert set(results["tasks"]) == {"ks"}


@pytest.mark.parametrize("what", ["speech", "all"])
def test_nothing_is_stored_but_what_the_statistics_are_of(recipe, finished, options, what):
    """Log-mels and teacher on the fly: no features of the speech, and of the noise neither for `all`; near losses."""
    before = {path for path in recipe.directory.glob("dump/mini/*")}
    output = recipe.run_well("--stop_stage", "4", *options, "--tag", f"fly_{what}", "--on_the_fly", what)
    assert "are made during pre-training" in output
    new = {path.name for path in recipe.directory.glob("dump/mini/*")} - {path.name for path in before}
    assert "train_part" in new | {path.name for path in before} and ("noise_part" in new) == (what == "all")
    one, other = (json.loads((recipe.directory / "exp" / name / "metrics.jsonl").read_text().splitlines()[0])
                  for name in ("tiny_mini", f"fly_{what}_mini"))
    assert other["loss"] == pytest.approx(one["loss"], rel=1e-2)  # statistics of a part
    again = recipe.run_well("--stop_stage", "4", *options, "--tag", f"fly_{what}", "--on_the_fly", what)
    assert ": done in" not in again
    done = recipe.run("--on_the_fly", "yes", *options)
    assert done.returncode != 0 and "--on_the_fly yes: speech, or all" in done.stdout


def test_a_real_librispeech_and_own_noise(recipe, finished, options, tiny_corpus):
    output = recipe.run_well("--stage", "0", "--stop_stage", "4", *options, "--tag", "real",
                             "--parts", "train-clean-100", LIBRISPEECH=str(tiny_corpus / "LibriSpeech"),
                             NOISE=str(tiny_corpus / "AudioSet"))
    assert "MINI CORPUS" not in output
    assert (recipe.directory / "exp" / "real" / "model" / "model.safetensors").is_file()


@pytest.mark.parametrize("words, environment, expected", [
    (["--stge", "3"], {}, ["unknown option --stge", "--stage"]),
    (["stage=3"], {}, ["'stage=3'", "begin with --"]),
    (["--stage", "5", "--tasks", "pr kws", "--upstream", "logmel"], {}, ["unknown task 'kws'", "ks"]),
    (["--set", "model.input_size=[80,"], {}, ["model.input_size=[80,", "not a valid value"]),
    (["--config", "conf/none.yaml"], {}, ["conf/none.yaml", "no such settings"]),
    (["--set", "optim.epoch=3"], {}, ["unknown option 'optim.epoch'", "optim.epochs"]),
    (["--stage", "0"], {"LIBRISPEECH": "/no/such/corpus"}, ["LIBRISPEECH", "/no/such/corpus", "no such file"]),
    (["--stage", "3", "--tag", "new"], {"MINI_CORPUS": "/nowhere", "SPEECH": "."}, ["earlier stage"]),
    (["--dry_run", "maybe"], {}, ["true or false"]),
])
def test_a_wrong_word_is_told_in_a_line(recipe, words, environment, expected):
    done = recipe.run(*words, **environment)
    assert done.returncode != 0 and "Traceback" not in done.stdout
    assert all(text in done.stdout for text in expected), done.stdout


def test_dry_run_tells_the_cost_and_does_nothing(recipe, rates):
    before = set(recipe.directory.iterdir())
    output = recipe.run_well("--dry_run", "true", "--config", "conf/pretrain_m2ds_t6.08s_80x2.yaml",
                             "--rates", rates)
    assert "148.8 GFLOP" in output and "265 GB float16" in output and "time: log-mels, 2 jobs" in output
    assert set(recipe.directory.iterdir()) == before


def test_an_absent_teacher_is_named(recipe, finished, options):
    done = recipe.run("--stage", "2", "--stop_stage", "2", *options, "--teacher", "nobody/no-such-hubert",
                      HF_HUB_OFFLINE="1")
    assert done.returncode != 0 and "nobody/no-such-hubert" in done.stdout and "local" in done.stdout


def test_too_many_corrupt_recordings_stop_the_features(make_recipe, tiny_corpus, finished, options, tmp_path):
    broken = tmp_path / "LibriSpeech"
    shutil.copytree(tiny_corpus / "LibriSpeech", broken)
    victims = sorted(Path(broken, "train-clean-100").rglob("*.flac"))[:3]
    for victim in victims:
        victim.write_bytes(b"not a recording")
    recipe = make_recipe("librispeech_m2ds")
    done = recipe.run("--stage", "0", "--stop_stage", "1", *options, "--parts", "train-clean-100",
                      LIBRISPEECH=str(broken), NOISE=str(tiny_corpus / "AudioSet"))
    assert done.returncode != 0 and "Traceback" not in done.stdout, done.stdout
    assert any(victim.stem in done.stdout for victim in victims), done.stdout
