"""Tables of the paper on named corpora: rows by one command, the paper's beside them; what they cost before."""

import re

import pytest

TINY = ("model.size=custom model.width=16 model.depth=2 model.heads=2 model.predictor_width=16 model.predictor_depth=1 "
        "model.predictor_heads=2 optim.batch_size=8 optim.epochs=2 optim.warmup_epochs=1 run.log_steps=1")
SHORT = "ks: {runner: {total_steps: 4, log_step: 2, eval_step: 2, save_step: 2}}\n"
pytestmark = pytest.mark.timeout(1500)


@pytest.fixture(scope="module")
def recipe(make_recipe):
    return make_recipe("librispeech_m2ds", MINI_CORPUS="/nowhere")


def test_rows_on_named_corpora_beside_the_papers(recipe, make_recipe, tiny_corpus, tiny_teacher, tmp_path):
    maker = make_recipe("librispeech_m2ds", MINI_CORPUS=str(tiny_corpus))
    maker.run_well("--stop_stage", "0", "--scale", "0.1")
    (tmp_path / "short.yaml").write_text(SHORT)
    named = {name: str(tiny_corpus / folder) for name, folder in (
        ("LIBRISPEECH", "LibriSpeech"), ("NOISE", "AudioSet"), ("SPEECH_COMMANDS", "speech_commands_v0.01"),
        ("SPEECH_COMMANDS_TEST", "speech_commands_test_set_v0.01"))}
    done = recipe.run("--table", "5", "--rows", "m2d_noise0.2 m2ds_all_tasks", "--tasks", "ks", "--set", TINY, "--",
                      "--parts", "train-clean-100", "--teacher", str(tiny_teacher), "--superb_overlays",
                      f"conf/superb/mini.yaml {tmp_path}/short.yaml", script="local/ablations.sh", **named)
    assert done.returncode == 0, done.stdout[-5000:]
    table = (recipe.directory / "exp/TABLE_5.md").read_text()
    rows = re.findall(r"^\| (.+?) \|", table, re.MULTILINE)
    assert {"M2D", "M2D-S: M2D + denoising distillation"} <= set(rows), table
    assert "M2D alone T=2.08s 80x4 (Table 5a)" in table and "M2D-S T=2.08s 80x4 (Table 5e)" in table
    assert "mini" not in done.stdout.lower().replace("conf/superb/mini.yaml", "").replace(str(tiny_corpus).lower(), "")


@pytest.mark.parametrize("table, row, has_teacher", [
    ("2", "m2d_noise0.5", False), ("3", "m2d_patch16x16", False), ("4", "m2d_t6.08s", False),
    ("5", "m2ds_distill", True), ("6", "m2ds_t4.0s_80x2", True)])
def test_what_a_row_costs(recipe, rates, table, row, has_teacher):
    done = recipe.run("--table", table, "--rows", row, "--dry_run", "true", "--rates", rates, "--", "--ngpu", "8",
                      script="local/ablations.sh", SPEECH="/tmp", NOISE="/tmp")
    assert done.returncode == 0, done.stdout[-3000:]
    assert done.stdout.count("---- ") == done.stdout.count("time: pre-training") == 1
    assert ("time: frames of HuBERT Base" in done.stdout) == has_teacher
    assert not list((recipe.directory / "exp").glob(f"{row}_seed0"))
