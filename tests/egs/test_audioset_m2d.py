"""egs/audioset_m2d end to end by its own run.sh, on tiny settings, and what it says when something is wrong."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from m2d.common.config import load_config
from m2d.evaluation.runs import FinetuneConfig, LinearConfig

TINY = ("model.width=16 model.depth=2 model.heads=2 model.predictor_width=16 model.predictor_depth=1 "
        "model.predictor_heads=2 optim.batch_size=8 optim.epochs=2 optim.warmup_epochs=1 run.log_steps=1")
LINEAR = ("esc50", "us8k", "spcv2", "vc1", "voxforge", "cremad", "gtzan", "nsynth", "surge")
TUNED = ("as20k", "esc50", "spcv2", "vc1")
EGS = Path(__file__).parents[2] / "egs"
pytestmark = pytest.mark.timeout(1500)


@pytest.fixture(scope="module")
def make_audioset_recipe(make_recipe):
    """Factory of the recipe with the other one, whose db.sh it reads, beside it."""
    def make(**environment):
        recipe = make_recipe("audioset_m2d", **environment)
        (recipe.directory.parent / "librispeech_m2ds").symlink_to(EGS / "librispeech_m2ds")
        return recipe
    return make


@pytest.fixture(scope="module")
def recipe(make_audioset_recipe, tiny_corpus):
    recipe = make_audioset_recipe(MINI_CORPUS=str(tiny_corpus))
    conf = recipe.directory / "conf"
    (conf / "linear_tiny.yaml").write_text("linear: {lr: 1e-2, epochs: 3, seeds: [0, 1]}\nworkers: 0\n")
    for name in TUNED:
        (conf / f"finetune_tiny_{name}.yaml").write_text(
            "tune: {lr: 1e-3, optimizer: adamw, epochs: 2, warmup_epochs: 1, batch_size: 8}\nseeds: [0]\nworkers: 0\n")
    return recipe


OPTIONS = ["--scale", "0.1", "--set", TINY, "--tag", "tiny", "--linear_config", "conf/linear_tiny.yaml",
           "--tuning", "tiny"]


@pytest.fixture(scope="module")
def finished(recipe):
    """The output of stages 0 to 5."""
    return recipe.run_well("--stage", "0", "--stop_stage", "5", *OPTIONS)


def test_all_stages_end_with_both_tables(recipe, finished):
    assert "MINI CORPUS" in finished
    exp, models = recipe.directory / "exp", ["m2d_tiny_mini", "mae_tiny_mini"]
    for name in [*models, "random_m2d_tiny_mini", "logmel_mini"]:
        assert {path.parent.name for path in exp.glob(f"{name}/linear/*/result.json")} == set(LINEAR), name
    for name in models:
        assert {path.parent.name for path in exp.glob(f"{name}/finetune/tiny/*/result.json")} == set(TUNED), name
    table = (exp / "RESULTS.md").read_text()
    assert "**The mini corpus stood in" in table and "| random_m2d_tiny_mini |" in table
    assert "## Linear evaluation" in table and "## Fine-tuning" in table and "*M2D ratio=0.6*" in table


def test_a_second_run_finds_all_done(recipe, finished):
    again = recipe.run_well("--stage", "0", "--stop_stage", "5", *OPTIONS)
    assert again.count("done before, skipped") == 1 + 1 + 2 + 2 + 4 * len(LINEAR) + 2 * len(TUNED)


def test_another_model_by_one_command(recipe, finished):
    output = recipe.run_well("--stage", "4", "--stop_stage", "4", *OPTIONS, "--linear_tasks", "gtzan surge", "--models",
                             "random:exp/m2d_tiny_mini/model:7")
    assert "stage 2" not in output
    exp = recipe.directory / "exp/random_m2d_tiny_seed=7_mini"
    result = json.loads((exp / "linear/gtzan/result.json").read_text())
    assert result["model"].endswith("model:7") and len(result["scores"]) == 2
    assert re.search("random_m2d_tiny_mini +0, 7 ", output)  # a row with those of the other seed


def test_other_settings_of_fine_tuning_lie_beside_the_first(recipe, finished):
    """The same model once more, under another name of settings; the first results stay."""
    conf = recipe.directory / "conf"
    (conf / "finetune_other_vc1.yaml").write_text((conf / "finetune_tiny_vc1.yaml").read_text().replace("1e-3", "1e-2"))
    output = recipe.run_well("--stage", "5", "--stop_stage", "5", *OPTIONS, "--tuning", "other", "--tune_tasks", "vc1",
                             "--models", "exp/m2d_tiny_mini/model")
    assert "\nm2d_tiny_mini (tiny) " in output and "\nm2d_tiny_mini (other) " in output
    exp = recipe.directory / "exp/m2d_tiny_mini/finetune"
    assert {path.name for path in exp.iterdir()} == {"tiny", "other"} and (exp / "other/.vc1.done").is_file()


def test_seeds_of_all_settings_by_one_command(make_audioset_recipe):
    """local/seeds.sh: what it asks of run.sh, which only tells here."""
    recipe = make_audioset_recipe()
    (recipe.directory / "run.sh").write_text("#!/bin/bash\nprintf '<%s>' \"$@\"; echo\n")
    done = recipe.run("--table3", "true", "--seeds", "0 2", "--", "--nj", "4", script="local/seeds.sh")
    assert done.returncode == 0, done.stdout
    calls = [line for line in done.stdout.splitlines() if line.startswith("<")]
    configs = " ".join(f"conf/pretrain_mini_{name}.yaml" for name in ("m2d", "mae", "m2d_all_patches"))
    assert calls == [f"<--stage><0><--stop_stage><4><--configs><{configs}><--set><{seed}><--nj><4>"
                     for seed in ("", "run.seed=2")]
    assert all((recipe.directory / path).is_file() for path in configs.split())
    refused = recipe.run(script="local/seeds.sh", AUDIO=".")  # mini settings on real audio
    assert refused.returncode != 0 and "give the settings to pre-train as --configs" in refused.stdout


NAMES = """
        set -euo pipefail
        cd "$1/audioset_m2d"
        export AUDIOSET= AUDIO= AUDIOSET_SPLIT= MINI_CORPUS=/mini
        linear_tasks=esc50 tune_tasks=vc1 superb_tasks=pr set= configs= models= labels= tag= scale=1
        . ../../utils/log.sh; . ../../utils/stages.sh; . ../../utils/general_audio.sh; . local/corpora.sh
"""


@pytest.mark.parametrize("model, folder, label, after", [
    ("exp/m2d_mini/model", "m2d_mini", "m2d_mini", "m2d_mini"),
    ("exp/m2d_run.seed=1_mini/model", "m2d_run.seed=1_mini", "m2d_mini", "m2d_run.seed=1_mini"),
    ("random:exp/m2d_mini/model", "random_m2d_mini", "random_m2d_mini", "m2d_mini"),
    ("random:exp/m2d_mini/model:0", "random_m2d_mini", "random_m2d_mini", "m2d_mini"),
    ("random:exp/m2d_run.seed=1_mini/model:1", "random_m2d_seed=1_mini", "random_m2d_mini", "m2d_run.seed=1_mini"),
    ("logmel", "logmel_mini", "logmel_mini", ""),
    ("hf:facebook/wav2vec2-base", "hf_facebook_wav2vec2-base_mini", "hf_facebook_wav2vec2-base_mini", ""),
])
def test_names_of_models(model, folder, label, after):
    """Seeds of one setting have folders of their own and one name in tables."""
    script = NAMES + """
        echo "$(out_of "$2") $(label_of "$2")"
        made_by "$2" | tr '\\0' '\\n'
    """
    done = subprocess.run(["bash", "-c", script, "bash", str(EGS), model], text=True, capture_output=True)
    marks = [f"exp/{after}/.{stage}.done" for stage in ("pretrain", "model")] if after else []
    words = [f"exp/{folder} {label}", "--model", model, *(word for mark in marks for word in ("--needs", mark))]
    assert done.stdout.splitlines() == words, done.stderr


def test_models_have_the_labels_that_are_given():
    """The others that of their path."""
    script = NAMES.replace("models= labels=", "models='/data/x/model logmel' labels=ours") + """
        for model in "${own[@]}"; do label_of "$model"; done
    """
    done = subprocess.run(["bash", "-c", script, "bash", str(EGS)], text=True, capture_output=True)
    assert done.stdout.splitlines() == ["ours", "logmel_mini"], done.stderr


def test_own_audio_and_the_tasks_that_are_there(make_audioset_recipe, tiny_corpus, recipe, finished):
    """With a corpus of one's own nothing is replaced in silence: tasks without data are left out and named."""
    other = make_audioset_recipe(MINI_CORPUS="/nowhere", AUDIO=str(tiny_corpus / "AudioSet"),
                                 GTZAN=str(tiny_corpus / "GTZAN"), VOXCELEB1=str(tiny_corpus / "VoxCeleb1"))
    for path in recipe.directory.glob("conf/*tiny*"):
        (other.directory / "conf" / path.name).write_text(path.read_text())
    settings = "conf/pretrain_mini_mae.yaml"
    output = other.run_well("--stop_stage", "5", *OPTIONS, "--configs", settings)
    assert "MINI CORPUS" not in output
    assert set(re.findall(r"task (\w+) is LEFT OUT", output)) == {*LINEAR, *TUNED} - {"gtzan", "vc1"}
    exp = other.directory / "exp/mae_tiny_AudioSet"
    assert {path.name for path in (exp / "linear").iterdir() if path.is_dir()} == {"gtzan", "vc1"}


def test_audioset_as_people_have_it(make_audioset_recipe, tiny_corpus, finished):
    """Stage 0 with AUDIOSET: what is there of each official list, the lists in a folder of their own."""
    clips, lists = (make_audioset_recipe().directory / name for name in ("clips", "lists"))
    clips.symlink_to(tiny_corpus / "AudioSet")
    lists.mkdir()
    for path in clips.glob("*.csv"):
        (lists / path.name).write_text(path.read_text())
    gone = 'vanished_id, 0.000, 10.000, "/m/09x0r"\n'
    for name in ("balanced_train", "eval"):
        with (lists / f"{name}_segments.csv").open("a") as stream:
            stream.write(gone.replace("id", "1" if name == "eval" else "0"))
    recipe = make_audioset_recipe(MINI_CORPUS="/nowhere", AUDIOSET=str(clips), AUDIOSET_SPLIT=str(lists))
    output = recipe.run_well("--stop_stage", "0", "--linear_tasks", "gtzan", "--tune_tasks", "as20k")
    counts = {part: (int(there), int(listed)) for part, there, listed in
              re.findall(r"AudioSet (\w+): (\d+) of (\d+) official clips", output)}
    assert counts["balanced_train"][0] == counts["balanced_train"][1] - 1
    assert counts["unbalanced_train"][0] == counts["unbalanced_train"][1] > 0
    task = json.loads((recipe.directory / "data/audioset/tasks/as20k/task.json").read_text())
    assert task["missing"] == {"train": 1, "test": 1} and "MINI CORPUS" not in output
    assert "task gtzan is LEFT OUT: GTZAN is not set in db.sh" in output


@pytest.mark.parametrize("words, environment, expected", [
    (["--stge", "3"], {}, ["unknown option --stge", "--stage"]),
    (["stage=4"], {}, ["'stage=4'", "begin with --"]),
    (["--configs", "conf/none.yaml"], {}, ["conf/none.yaml", "no such settings"]),
    (["--linear_tasks", "esc51"], {}, ["unknown task 'esc51'", "esc50"]),
    (["--models", "logmel", "--labels", "a b"], {}, ["--labels 'a b'", "more than there are models"]),
    (["--tuning", "tabel2"], {}, ["conf/finetune_tabel2_as20k.yaml: no such settings"]),
    (["--stage", "0"], {"AUDIOSET": "/no/such"}, ["AUDIOSET=/no/such", "no such file"]),
    (["--stage", "0"], {"AUDIOSET": ".", "AUDIO": "."}, ["AUDIOSET and AUDIO", "keep one"]),
    (["--stage", "4"], {"MINI_CORPUS": "/nowhere", "AUDIO": "."}, ["none of the tasks", "name their data in db.sh"]),
])
def test_a_wrong_word_is_told_in_a_line(recipe, words, environment, expected):
    done = recipe.run(*words, **environment)
    assert done.returncode != 0 and "Traceback" not in done.stdout
    assert all(text in done.stdout.splitlines()[-1] for text in expected), done.stdout  # nothing runs after it


# M2D, table 2: learning rate, optimiser, Mixup, Random Resize Crop, Structured Patchout
TABLE_2 = {"as20k": (1.0, "sgd", 0.3, True, 0.5), "esc50": (0.5, "sgd", 0.0, True, 0.5),
           "spcv2": (0.5, "sgd", 0.3, True, 0.5), "vc1": (0.001, "adamw", 0.0, False, 0.0)}
# what the public scripts change: learning rate, epochs, frequency and time masks, frozen patch embedding
PUBLIC = {"as20k": (0.5, 200, 30, 192, False), "esc50": (0.5, 200, 15, 48, True),
          "spcv2": (0.5, 200, 30, 48, False), "vc1": (0.0005, 50, 30, 48, False)}


@pytest.mark.parametrize("name", TUNED)
def test_fine_tuning_settings_are_the_published_ones(name):
    conf = EGS / "audioset_m2d" / "conf"

    def tune(variant):
        path = conf / f"finetune_{variant}_{name}.yaml"
        assert path.read_text().startswith("# ")
        return load_config(FinetuneConfig, path, ["model=x", "task=x", "out=x", "tuning=x"]).tune

    table2, public = tune("table2"), tune("public")
    assert (table2.lr, table2.optimizer, table2.mixup, table2.rrc, table2.patchout) == TABLE_2[name]
    assert (table2.epochs, table2.warmup_epochs, table2.freq_mask, table2.time_mask) == (200, 5, 0, 0)
    assert (public.lr, public.epochs, public.freq_mask, public.time_mask, public.freeze_patch_embed) == PUBLIC[name]
    assert (public.optimizer, public.mixup, public.rrc, public.patchout) == TABLE_2[name][1:]
    assert tune("mini").epochs < table2.epochs
    load_config(LinearConfig, conf / "linear_mini.yaml", ["model=x", "tasks=[x]", "out=x"])
