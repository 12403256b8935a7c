"""egs/imagenet_m2d end to end by its own run.sh on tiny settings; its settings are the published ones."""

import json
import re
from pathlib import Path

import pytest

from m2d.bin import finetune_images
from m2d.common.config import load_config
from m2d.nn.summary import summarise
from m2d.training.plan import load_settings

CONF = Path(__file__).parents[2] / "egs" / "imagenet_m2d" / "conf"
MODELS = ("mae", "m2d", "m2d_all_patches")
TINY = ("model.width=16 model.depth=1 model.heads=2 model.predictor_width=16 model.predictor_heads=2 optim.epochs=1 "
        "optim.warmup_epochs=0 optim.batch_size=512")
pytestmark = pytest.mark.timeout(1500)


@pytest.fixture(scope="module")
def recipe(make_recipe):
    recipe = make_recipe("imagenet_m2d")
    tuning = (CONF / "finetune_mini.yaml").read_text()
    for old, new in (("width: 64", "width: 16"), ("depth: 2", "depth: 1"), ("heads: 4", "heads: 2"),
                     ("epochs: 20\n  warmup_epochs: 2", "epochs: 2\n  warmup_epochs: 1"),
                     ("valid_epochs: 20", "valid_epochs: 2")):
        assert old in tuning
        tuning = tuning.replace(old, new)
    (recipe.directory / "conf" / "tuning.yaml").write_text(tuning)
    (recipe.directory / "conf" / "probing.yaml").write_text("linear: {lr: 1e-2, epochs: 3, seeds: [0]}\nworkers: 0\n")
    return recipe


OPTIONS = ["--set", TINY, "--tag", "tiny", "--tuning", "conf/tuning.yaml", "--probing", "conf/probing.yaml",
           "--seeds", "0", "--label_counts", "10"]


@pytest.fixture(scope="module")
def finished(recipe):
    """The output of stages 0 to 4."""
    return recipe.run_well("--stage", "0", "--stop_stage", "4", *OPTIONS)


def test_all_stages_end_with_the_table(recipe, finished):
    assert "1,797 HANDWRITTEN DIGITS" in finished
    exp = recipe.directory / "exp"
    for name in [*(f"{model}_tiny_seed0_mini" for model in MODELS), "random_seed0_mini"]:
        for kind in ("linear", "finetune"):
            assert set(json.loads((exp / name / kind / "result.json").read_text())["scores"]) == {"10"}, (name, kind)
    table = (exp / "RESULTS.md").read_text()
    assert all(f"| {label} | 0 |" in table for label in [*(f"{model}_tiny" for model in MODELS), "random weights"])
    assert "*M2D, ViT-Base, ImageNet-1K*" in table and "digits stood in" in table


def test_a_second_run_finds_all_done_whatever_does_not_change_results(recipe, finished):
    config = recipe.directory / "conf/pretrain_mini_m2d.yaml"
    config.write_text(config.read_text().replace("workers: 0", "workers: 1  # a comment"))
    again = recipe.run_well("--stage", "0", "--stop_stage", "4", *OPTIONS)
    assert again.count("done before, skipped") == 1 + 1 + 3 + 3 + 4 * 2


def test_what_depends_on_a_change_is_done_anew_and_nothing_else(recipe, finished):
    def redone(*options):
        output = recipe.run_well("--stage", "0", *options, *OPTIONS)
        return re.findall(r"stage \d: (.*): done in", output)

    config = recipe.directory / "conf/pretrain_mini_m2d.yaml"
    config.write_text(config.read_text().replace("base_lr: 4e-3", "base_lr: 5e-3"))
    exp = "exp/m2d_tiny_seed0_mini"
    assert redone() == [f"pre-training {exp}", f"export to {exp}/model", f"linear probe of {exp}/model",
                        f"fine-tuning of {exp}/model"]
    only = ["--stop_stage", "2", "--configs", "conf/pretrain_mini_m2d.yaml"]
    lists = ["lists of images (mini)", "index"]
    image, other = sorted((recipe.directory / "downloads/mini_images/train/n00000003").iterdir())[:2]
    image.touch()
    assert redone(*only) == lists
    image.write_bytes(other.read_bytes())
    assert redone(*only) == [*lists, f"pre-training {exp}"]


def test_an_exported_model_is_loaded_by_one_line(recipe, finished):
    import torch

    from m2d import load_pretrained

    model = load_pretrained(recipe.directory / "exp/mae_tiny_seed0_mini/model")
    assert model(torch.zeros(1, 3, 32, 32)).image.shape == (1, 16)


@pytest.mark.parametrize("words, environment, expected", [
    (["--stge", "3"], {}, ["unknown option --stge", "--stage"]),
    (["--configs", "conf/none.yaml"], {}, ["conf/none.yaml", "no such settings"]),
    (["--stage", "0"], {"IMAGENET": "/no/such"}, ["IMAGENET=/no/such", "no such file"]),
    (["--stage", "0"], {"IMAGENET": "conf"}, ["train: no such folder"]),
])
def test_a_wrong_word_is_told_in_a_line(recipe, words, environment, expected):
    done = recipe.run(*words, **environment)
    assert done.returncode != 0 and "Traceback" not in done.stdout
    assert all(text in done.stdout.splitlines()[-1] for text in expected), done.stdout


@pytest.mark.parametrize("name", MODELS)
def test_settings_are_those_of_appendix_a(name):
    path = CONF / f"pretrain_{name}.yaml"
    config = load_settings(str(path), [])
    assert path.read_text().startswith("# M2D paper (ICASSP 2023), appendix A, table 6")
    assert (config.model.objective, config.model.mask_ratio, config.model.n_visible) == (name, 0.75, 49)
    assert config.model.encoder.grid == (14, 14) and config.model.predictor == (512, 8, 16)
    optim = config.optim
    assert (optim.batch_size, optim.epochs, optim.warmup_epochs, optim.base_lr) == (2048, 300, 40, 1.5e-4)
    assert (optim.ema_start, optim.ema_end) == (0.99995, 0.99999)
    summary = summarise(config.model)  # ViT-Base of MAE: 85.6 M parameters in the encoder, 111.7 M with the decoder
    assert summary.encoder_parameters == pytest.approx(85.65e6, rel=1e-3)
    assert summary.trainable == pytest.approx(111.7e6, rel=1e-3)


def test_fine_tuning_is_mae_s():
    config = load_config(finetune_images.Options, CONF / "finetune.yaml", ["data.image.train=x", "run.exp=x"])
    image, optim = config.data.image, config.optim
    assert (image.mixup, image.cutmix, image.label_smoothing, image.rand_augment) == (
        0.8, 1.0, 0.1, "rand-m9-mstd0.5-inc1")
    assert (optim.base_lr, optim.layer_decay, optim.batch_size, optim.epochs, optim.warmup_epochs) == (
        5e-4, 0.65, 1024, 100, 5)
    assert (config.model.drop_path, optim.weight_decay, optim.betas) == (0.1, 0.05, [0.9, 0.999])
