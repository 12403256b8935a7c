"""The linear protocol: who trains, who validates, when it stops, what is counted."""

import numpy as np
import pytest
import torch

from m2d.common.config import load_config
from m2d.common.errors import UserError
from m2d.evaluation.linear import PAPER_LR, LinearOptions, Split, divide, fit_linear
from m2d.evaluation.probe import evaluate, knn
from m2d.evaluation.scores import interval
from m2d.evaluation.tables import Clip
from m2d.evaluation.task import Task


def task_of(parts, labels, **fields):
    clips = [Clip(f"{index}.wav", label, part) for index, (label, part) in enumerate(zip(labels, parts, strict=True))]
    return Task("toy", "Toy", "env", "/nowhere", 1.0, "made up", sorted(set(labels)), clips=clips, **fields)


def separable(labels, width=3, seed=0):
    """Vectors [clips, width] whose first columns tell the class."""
    vectors = np.random.default_rng(seed).standard_normal((len(labels), width)).astype(np.float32)
    vectors[np.arange(len(labels)), [ord(label) - ord("a") for label in labels]] += 20
    return vectors


def test_the_defaults_are_the_papers():
    options = LinearOptions()
    assert (options.lr, PAPER_LR, options.epochs, options.patience) == (None, 3e-5, 200, 20)


def test_folds_give_a_tenth_of_each_class_to_validation():
    labels = np.array([0] * 40 + [1] * 12 + [2] * 1 + [0] * 10)
    parts = np.array(["1"] * 53 + ["2"] * 10)
    targets = np.eye(3)[labels]
    split = divide(targets, parts, "2", seed=0)
    train, valid, test = split.train, split.valid, split.test
    assert list(test) == list(range(53, 63))
    assert sorted([*train, *valid]) == list(range(53)) and not set(train) & set(valid)
    assert [int(np.sum(labels[valid] == c)) for c in range(3)] == [4, 1, 0]  # a class's only clip stays in training
    assert list(divide(targets, parts, "2", seed=0).valid) == list(valid)
    assert any(list(divide(targets, parts, "2", seed).valid) != list(valid) for seed in range(1, 4))


def test_an_official_validation_part_is_used_and_unreadable_clips_are_not():
    labels = np.zeros(6, int)
    parts = np.array(["train", "train", "", "valid", "test", ""])
    split = divide(np.eye(1)[labels], parts, "test", 0)
    assert (list(split.train), list(split.valid), list(split.test)) == ([0, 1], [3], [4])


def test_scores_are_means_over_folds_and_intervals_over_seeds():
    labels = list("abc") * 30
    task = task_of([str(1 + index // 30) for index in range(90)], labels)
    result = evaluate(separable(labels), task, LinearOptions(lr=1.0, epochs=30, seeds=[0, 1]))
    assert result["scores"] == [100.0, 100.0] and (result["mean"], result["ci"]) == (100.0, 0.0)
    assert result["confusion"].tolist() == [[60, 0, 0], [0, 60, 0], [0, 0, 60]]  # every clip once per seed
    assert result["clips"] == {"1": 30, "2": 30, "3": 30}
    assert evaluate(separable(labels), task, LinearOptions(lr=0.05, epochs=2, seeds=[0]))["ci"] is None


def test_one_fold_failing_shows_in_its_share():
    labels = list("ab") * 20
    vectors = separable(labels)
    vectors = vectors[:, [0, 1]]
    vectors[20:] = vectors[20:, ::-1]  # in the second fold the classes look like each other
    result = evaluate(vectors, task_of(["1"] * 20 + ["2"] * 20, labels), LinearOptions(lr=1.0, epochs=30, seeds=[0]))
    assert result["mean"] == 0.0 and result["valid"] == 100.0
    assert result["confusion"].tolist() == [[0, 20], [20, 0]]


def test_unreadable_rows_are_left_out_and_counted():
    labels = list("ab") * 20
    vectors = separable(labels)
    vectors[[0, 35]] = np.nan
    result = evaluate(vectors, task_of(["train"] * 20 + ["valid"] * 10 + ["test"] * 10, labels),
                      LinearOptions(lr=1.0, epochs=20, seeds=[0]))
    assert result["clips"] == {"train": 19, "valid": 10, "test": 9} and result["mean"] == 100.0


def test_training_statistics_standardise():
    """Offset and scale of a feature change nothing, and a constant one does no harm."""
    labels = list("abc") * 20
    targets = torch.eye(3)[[ord(label) - ord("a") for label in labels]]
    split = Split(np.arange(40), np.arange(40, 50), np.arange(50, 60))
    plain = torch.from_numpy(separable(labels, 8))
    plain[:, 7] = 5.0
    scaled = plain * torch.logspace(-3, 3, 8) + 100
    fits = [fit_linear(vectors.double().float(), targets, split, 0.01, LinearOptions(epochs=5), seed=1)
            for vectors in (plain, scaled)]
    assert fits[0].logits.argmax(1).tolist() == fits[1].logits.argmax(1).tolist()
    assert fits[0].score == fits[1].score > 0.5


def test_the_best_epoch_is_kept_and_patience_ends_the_run(monkeypatch):
    """With a learning rate of 0 nothing gets better after the first epoch: 1 + 20 epochs, predictions of the first."""
    steps = []
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self, closure=None: steps.append(1))
    vectors, targets = torch.randn(30, 4), torch.eye(2)[torch.arange(30) % 2]
    split = Split(np.arange(20), np.arange(20, 25), np.arange(25, 30))
    fit = fit_linear(vectors, targets, split, 3e-5, LinearOptions(batch_size=20), seed=0)
    assert fit.epoch == 0 and len(steps) == 21 == len(fit.curve)
    assert fit.logits.shape == (5, 2)


def test_a_seed_repeats_itself_and_another_differs():
    labels = list("abc") * 20
    task = task_of(["train"] * 30 + ["valid"] * 12 + ["test"] * 18, labels)
    vectors = np.random.default_rng(1).standard_normal((60, 8)).astype(np.float32)
    runs = [evaluate(vectors, task, LinearOptions(lr=1e-3, epochs=5, seeds=[seed])) for seed in (3, 3, 4)]
    assert (runs[0]["confusion"] == runs[1]["confusion"]).all()
    assert (runs[0]["confusion"] != runs[2]["confusion"]).any()


def test_what_cannot_be_evaluated_says_so():
    with pytest.raises(UserError, match=r"option 'seeds=\[\]': give 1 values or more"):
        load_config(LinearOptions, None, ["seeds=[]"])
    with pytest.raises(UserError, match=r"option 'lr=-1.0': must lie in \(0, inf\)"):
        load_config(LinearOptions, None, ["lr=-1"])
    with pytest.raises(UserError, match="no usable clips"):
        evaluate(np.full((2, 4), np.nan), task_of(["train", "test"], ["a", "b"]), LinearOptions())


def test_intervals_are_students():
    assert interval([5.0]) == (5.0, None)
    mean, half = interval([1.0, 2.0, 3.0])
    assert mean == 2.0 and half == pytest.approx(4.302653 * 1 / 3**0.5, rel=1e-6)  # t(0.975, 2) of the tables


def test_own_tasks_choose_their_learning_rate_and_the_papers_do_not():
    labels = list("abc") * 40
    parts = ["train"] * 60 + ["valid"] * 30 + ["test"] * 30
    vectors = separable(labels, 8)
    own = evaluate(vectors, task_of(parts, labels), LinearOptions(batch_size=8, seeds=[0]))
    assert own["lr"] > PAPER_LR and "the best of 3e-05" in own["notes"][0] and own["mean"] == 100.0
    papers = task_of(parts, labels)
    papers.name = "esc50"
    result = evaluate(vectors, papers, LinearOptions(epochs=1, seeds=[0]))
    assert result["lr"] == PAPER_LR and result["epochs"] == [0]
    assert "among the last of 1: raise linear.lr or linear.epochs" in result["notes"][0]
    assert len(result["curves"]) == 1 and len(result["curves"][0]) == 1
    assert result["classes"]["a"]["clips"] == 10


def test_several_labels_are_measured_by_map():
    rng = np.random.default_rng(0)
    both = rng.random((120, 2)) < 0.5
    both[~both.any(1), 0] = True
    labels = [";".join(np.array(["a", "b"])[row]) for row in both]
    task = task_of(["train"] * 60 + ["valid"] * 20 + ["test"] * 40, labels, multilabel=True)
    task.classes = ["a", "b"]
    vectors = np.where(both, 3.0, -3.0).astype(np.float32) + rng.standard_normal((120, 2)).astype(np.float32)
    result = evaluate(vectors, task, LinearOptions(seeds=[0], batch_size=8))
    assert result["mean"] > 98 and result["confusion"] is None and "accuracy" not in result["measures"]
    assert result["knn"]["mean"] > 95


def test_knn_is_a_vote_of_the_nearest():
    labels = list("abc") * 20
    vectors = torch.from_numpy(separable(labels, 6))
    split = Split(np.arange(30), np.arange(30, 40), np.arange(40, 60))
    votes = knn(vectors, np.eye(3, dtype=np.float32)[[ord(label) - ord("a") for label in labels]], split, 5)
    assert votes.shape == (20, 3) and np.allclose(votes.sum(1), 1, atol=1e-5)
    assert [int(vote) for vote in votes.argmax(1)] == [ord(label) - ord("a") for label in labels[40:]]


def test_every_layer_and_their_sum_from_one_pass_of_features():
    labels = list("abc") * 40
    noise = np.random.default_rng(5).standard_normal((120, 2, 6)).astype(np.float32)
    features = np.concatenate([noise[:, :1], separable(labels, 6)[:, None], noise[:, 1:]], axis=1)  # the middle tells
    task = task_of(["train"] * 60 + ["valid"] * 30 + ["test"] * 30, labels)
    result = evaluate(features, task, LinearOptions(lr=0.01, epochs=60, seeds=[0]))
    means = {layer["layer"]: layer["mean"] for layer in result["layers"]}
    assert means[1] == 100.0 > means[0] and means["sum"] > 90
    weights = result["layers"][-1]["weights"]
    assert weights[1] == max(weights) and abs(sum(weights) - 1) < 1e-3
    assert result["mean"] == means[2]  # the score stays the last layer's
