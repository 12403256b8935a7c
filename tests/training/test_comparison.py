"""Runs side by side."""

import json

import pytest

from m2d.common.config import load_config, to_yaml
from m2d.common.errors import UserError
from m2d.training.comparison import ComparisonOptions, compare_runs, title
from m2d.training.config import PretrainConfig

DATA = ["data.speech=speech", "data.teacher=teacher", "data.noise=noise"]
M2DS = [*DATA, "data.noise_ratio=0.2", "model.lambda_off=1", "model.patch_size=[80,4]"]
MAE = ["data.speech=speech", "model.objective=mae"]


def settings(*options):
    return load_config(PretrainConfig, None, [*options, "run.exp=exp"])


@pytest.fixture
def run(tmp_path):
    """Make a finished run whose 40 steps hold these values, the first half of them and the second."""
    def make(name, options, seed, **values):
        directory = tmp_path / name
        directory.mkdir()
        (directory / "config.yaml").write_text(to_yaml(settings(*options, f"run.seed={seed}")))
        lines = [{"step": step + 1, "epoch": step / 40, "skipped": 0,
                  **{key: value[step >= 20] for key, value in values.items()}} for step in range(40)]
        lines.insert(25, {"step": 25, "epoch": 0.6, "valid_loss": 9.0})
        lines.insert(26, {**lines[0], "skipped": 1, **dict.fromkeys(values)})
        (directory / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (directory / "done").touch()
        return str(directory)
    return make


@pytest.fixture
def compared(tmp_path):
    """Rows of the table of these runs, as lists of cells."""
    def compare(*exps):
        compare_runs(ComparisonOptions(list(exps), str(tmp_path / "out.md"), str(tmp_path / "images/out.png")))
        text = (tmp_path / "out.md").read_text()
        assert "(images/out.png)" in text and (tmp_path / "images/out.png").stat().st_size > 1000
        table = [line for line in text.splitlines() if line.startswith("|")]
        return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return compare


def test_seeds_of_a_setting_share_a_row(run, compared):
    terms = {"m2d": (2.0, 1.0), "off": (1.5, 0.5)}
    exps = [run("a0", M2DS, 0, **terms, target_std=(0.6, 0.8), latent_std=(0.5, 0.7)),
            run("mae", MAE, 0, mae=(1.0, 0.8), latent_std=(0.4, 0.5)),
            run("a1", M2DS, 1, **terms, target_std=(0.8, 0.04), latent_std=(0.5, 0.7))]
    head, _, m2ds, mae = compared(*exps)
    assert head[1:6] == ["M2D loss", "offline loss", "reconstruction loss", "target's deviation", "latents' deviation"]
    assert m2ds == ["M2D + denoising distillation, 80x4, noise 0.2", "2.000 / 1.000 / 1.000", "1.500 / 0.500 / 0.500",
                    "-", "0.700 / 0.040 / 0.420", "0.500 / 0.500 / 0.700", "yes", "a0 a1"]
    assert mae == ["MSM-MAE, 16x16", "-", "-", "1.000 / 0.800 / 0.800", "-", "0.400 / 0.400 / 0.500", "no", "mae"]


def test_other_settings_make_another_row(run, compared):
    values = {"m2d": (2.0, 1.0), "target_std": (0.6, 0.8), "latent_std": (0.6, 0.8)}
    plain = ["data.speech=speech"]
    runs = [run("a", plain, 0, **values), run("b", [*plain, "optim.epochs=30"], 0, **values),
            run("c", [*plain, "run.init_from=model"], 0, **values), run("d", [*plain, "data.workers=0"], 1, **values)]
    assert [row[-1] for row in compared(*runs)[2:]] == ["a d", "b", "c"]  # workers change no result


@pytest.mark.parametrize(("options", "expected"), [
    (["data.speech=speech", "model.objective=m2d_all_patches"], "M2D, target of all patches, 16x16"),
    ([*M2DS, "data.noise_ratio=0", "model.lambda_m2d=0"], "distillation, 80x4"),
    ([*M2DS, "model.lambda_m2d=0"], "denoising distillation, 80x4, noise 0.2"),
])
def test_titles(options, expected):
    assert title(settings(*options)) == expected


def test_only_finished_runs_are_compared(run, compared):
    exp = run("a", MAE, 0, mae=(1.0, 0.8), latent_std=(0.4, 0.5))
    with pytest.raises(UserError, match="nothing holds no finished run"):
        compared(f"{exp}/nothing")
