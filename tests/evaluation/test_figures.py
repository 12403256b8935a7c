"""What the pictures show: figure 3's points, the shares of a confusion matrix."""

import numpy as np
import pytest

from m2d.evaluation import figures
from m2d.evaluation.paper import Printed


@pytest.fixture
def drawn(monkeypatch):
    """The figures in the place of their files."""
    kept = []
    monkeypatch.setattr(figures, "save_figure", lambda figure, path: kept.append(figure))
    return kept


def test_figure_3_has_a_panel_per_group_and_a_point_per_model(drawn, tmp_path):
    groups = ("env", "speech", "music", "avg")
    points = [(ratio, {group: Printed(100 * ratio + place, 0.5) for place, group in enumerate(groups)})
              for ratio in (0.5, 0.6, 0.7)]
    points.append((0.8, {**dict.fromkeys(groups), "env": Printed(90.0)}))  # music tasks and others are not there
    figures.draw_masking_ratios(tmp_path / "f.png", points)
    panels = drawn[0].axes
    assert [panel.get_title() for panel in panels] == ["Env. sound", "Speech", "Music", "Avg."]
    assert all(panel.get_xlabel() == "masking ratio" and panel.get_ylabel() == "accuracy %" for panel in panels)
    shown = [panel.lines[0].get_xydata().tolist() for panel in panels]
    assert shown[0] == [[0.5, 50.0], [0.6, 60.0], [0.7, 70.0], [0.8, 90.0]]
    assert shown[2] == [[0.5, 52.0], [0.6, 62.0], [0.7, 72.0]]
    low, high = panels[1].containers[0].lines[1]  # caps of the interval
    assert low.get_ydata()[0] == 50.5 and high.get_ydata()[0] == 51.5


@pytest.mark.parametrize("classes", [3, figures.MAX_NAMED + 1])
def test_a_confusion_matrix_is_in_shares_of_the_true_class(drawn, tmp_path, classes):
    confusion = np.eye(classes, dtype=int) * 4
    confusion[0, 1] = 12
    confusion[2] = 0  # a class without a tested clip
    names = [f"class {index}" for index in range(classes)]
    figures.draw_confusion(tmp_path / "c.png", confusion, names, "a title")
    axes = drawn[0].axes[0]
    image = axes.images[0].get_array()
    assert image[0, :3].tolist() == [0.25, 0.75, 0.0] and image[1, 1] == 1.0 and image[2].max() == 0.0
    assert axes.get_title() == "a title" and axes.get_ylabel() == "true"
    named = [label.get_text() for label in axes.get_yticklabels()] == names
    assert named == (classes <= figures.MAX_NAMED)


def test_an_embedding_separates_clusters_and_leaves_out_what_is_not_finite(drawn, tmp_path):
    noise = np.random.default_rng(0)
    targets = np.arange(120) % 12
    vectors = noise.normal(size=(120, 5)) + 100 * (targets % 2)[:, None]
    vectors[7] = np.nan
    figures.draw_embedding(tmp_path / "e.png", vectors, targets, [f"class {index}" for index in range(12)], "a title")
    axes = drawn[0].axes[0]
    _, *coloured = axes.collections
    assert len(coloured) == figures.SHOWN_CLASSES
    assert sum(len(points.get_offsets()) for points in axes.collections) == 119
    sides = [np.sign(points.get_offsets()[:, 0].mean()) for points in coloured]
    assert sides[0] == -sides[1] and axes.get_xlabel().startswith("first principal component (")
