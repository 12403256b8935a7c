"""Several seeds of pre-training: one row each, and what is said of random weights and log-mel."""

import re

import numpy as np
import pytest

from m2d.evaluation.linear import LinearOptions
from m2d.evaluation.report import write_report
from m2d.evaluation.results import read_results, write_result
from m2d.evaluation.seeds import averaged, by_setting
from m2d.evaluation.task import Task
from m2d.evaluation.tasks import TASKS

NONE = np.empty(0, int), np.empty((0, 2))  # predictions


def put(exp, folder, label, means, model=None, seed=None, scores=None):
    """Linear results of a model: task -> mean, of evaluation seeds with these `scores` or one."""
    for name, mean in means.items():
        task = Task(name, TASKS.get(name).title, TASKS.get(name).group, "/x", 1.0, "made up", ["a", "b"])
        write_result(exp / folder / "linear" / name, "linear", label, model or f"exp/{folder}/model", task,
                     LinearOptions(), {"scores": scores or [mean], "mean": mean, "ci": 0.5, "clips": {"train": 2},
                                       "confusion": None, "unreadable": [], "predictions": NONE})
    if seed is not None:
        (exp / folder / "config.yaml").write_text(
            f"model: {{objective: m2d, mask_ratio: 0.7}}\nrun: {{seed: {seed}}}\n")


@pytest.fixture
def exp(tmp_path):
    """Three seeds each of a model (averages 60, 62, 61), a weak one and random weights (50, 54, 52), and log-mel."""
    exp = tmp_path / "exp"
    for seed, (gtzan, surge) in enumerate([(70.0, 50.0), (71.0, 53.0), (72.0, 50.0)]):
        put(exp, f"m2d_seed{seed}", "m2d", {"gtzan": gtzan, "surge": surge}, seed=seed)
        put(exp, f"weak_seed{seed}", "weak", {"gtzan": 56.0, "surge": 50.0 + seed}, seed=seed)
    for seed, (gtzan, surge) in enumerate([(50.0, 50.0), (54.0, 54.0), (52.0, 52.0)]):
        put(exp, f"random_seed{seed}", "random", {"gtzan": gtzan, "surge": surge}, f"random:exp/m2d/model:{seed}")
    put(exp, "logmel", "logmel", {"gtzan": 68.0, "surge": 80.0}, "logmel", scores=[67.5, 69.0])
    return exp


def report(exp):
    write_report(exp, exp / "RESULTS.md", mini=True)
    return (exp / "RESULTS.md").read_text()


def test_seeds_are_one_row_with_the_interval_over_models(exp):
    rows = {label: averaged(setting) for label, setting in by_setting(read_results(exp, "linear")).items()}
    assert set(rows) == {"m2d", "weak", "random", "logmel"}
    assert rows["m2d"]["gtzan"].mean == 71.0
    assert rows["m2d"]["gtzan"].ci == pytest.approx(4.303 / 3**0.5, abs=1e-3)  # Student's t of 2, deviation 1
    assert rows["logmel"]["gtzan"] == (68.0, 0.5)  # one model: that of its evaluation


def test_the_table_gives_each_seed_and_the_deviation_of_the_mean_over_tasks(exp):
    text = report(exp)
    assert "| m2d | 0, 1, 2 | 71.0 ± 1.0 | 51.0 ± 1.7 | 60.0, 62.0, 61.0 | 61.0 ± 1.0 |" in text
    assert "| random | 0, 1, 2 | 52.0 ± 2.0 | 52.0 ± 2.0 | 50.0, 54.0, 52.0 | 52.0 ± 2.0 |" in text
    assert "| logmel | - | 68.0 | 80.0 | 74.0 | 74.0 |" in text


def test_what_is_claimed_is_said_in_numbers(exp):
    text = report(exp)
    assert ("m2d beats random on the mean over 2 tasks by more than the spread over seeds: **yes** "
            "(61.00 against 52.00: +9.00, spread 4.00; 3 and 3 seeds).") in text
    assert ("m2d beats logmel on at least one task by more than its spread over seeds: **yes** "
            "(1 of 2: GTZAN +3.0; mean over tasks -13.00).") in text
    assert "weak beats random on the mean over 2 tasks by more than the spread over seeds: **no** (53.50" in text
    assert "weak beats logmel on at least one task by more than its spread over seeds: **no** (0 of 2; mean" in text
    assert "random beats" not in text and "logmel beats" not in text


def test_a_gain_within_the_spread_of_log_mels_own_evaluation_is_none(exp):
    put(exp, "logmel", "logmel", {"gtzan": 68.0, "surge": 80.0}, "logmel", scores=[66.0, 70.0])
    assert "m2d beats logmel on at least one task by more than its spread over seeds: **no**" in report(exp)


def test_only_tasks_that_all_models_have_are_compared(exp):
    put(exp, "m2d_seed0", "m2d", {"us8k": 1.0})
    section = report(exp).partition("### Seeds")[2]
    assert section.splitlines()[4].startswith("| Model | Seeds | GTZAN | Surge | Avg. of each seed")


def test_the_same_seed_twice_counts_once(exp, caplog):
    put(exp, "m2d_again", "m2d", {"gtzan": 0.0}, seed=2)
    text = report(exp)
    assert re.search(r"m2d_again/?.* and .*m2d_seed2.* are both 'm2d' of seed 2", caplog.text)
    assert "| m2d | 0, 1, 2 |" in text


def test_one_seed_each_says_nothing_of_seeds(tmp_path):
    put(tmp_path / "exp", "m2d", "m2d", {"gtzan": 70.0}, seed=0)
    put(tmp_path / "exp", "logmel", "logmel", {"gtzan": 60.0}, "logmel")
    assert "Seeds of pre-training" not in report(tmp_path / "exp")
