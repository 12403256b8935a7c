"""ImageNet's folder layouts, and what is said of one that is not whole."""

import re
import shutil

import numpy as np
import pytest
import scipy.io

from m2d.common.errors import UserError
from m2d.data.images.folder import find_images, read_list

CLASSES = ("n00000001", "n00000007", "n01440764")


def test_train_by_folder_and_val_by_label_file(imagenet):
    parts = find_images(imagenet)
    train, val = parts["train"], parts["val"]
    assert train.classes == val.classes == list(CLASSES)
    assert train.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4 and val.labels.tolist() == [2, 0, 1, 0]
    assert train.path(5) == imagenet / "train" / CLASSES[1] / f"{CLASSES[1]}_1.JPEG" and train.path(5).is_file()


def test_val_by_folder(imagenet):
    for number, label in enumerate([2, 0, 1, 0], 1):
        name = f"ILSVRC2012_val_{number:08d}.JPEG"
        (imagenet / "val" / CLASSES[label]).mkdir(exist_ok=True)
        shutil.move(imagenet / "val" / name, imagenet / "val" / CLASSES[label] / name)
    assert find_images(imagenet)["val"].labels.tolist() == [0, 0, 1, 2]


def test_val_by_the_devkit(imagenet):
    (imagenet / "LOC_val_solution.csv").unlink()
    data = imagenet / "ILSVRC2012_devkit_t12" / "data"
    data.mkdir(parents=True)
    synsets = np.array([(3, CLASSES[0]), (1, CLASSES[1]), (2, CLASSES[2])],
                       dtype=[("ILSVRC2012_ID", float), ("WNID", object)])
    scipy.io.savemat(data / "meta.mat", {"synsets": synsets})
    (data / "ILSVRC2012_validation_ground_truth.txt").write_text("2\n3\n1\n3\n")
    assert find_images(imagenet)["val"].labels.tolist() == [2, 0, 1, 0]
    (data / "meta.mat").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"meta\.mat: the devkit's class numbers can't be read"):
        find_images(imagenet)


@pytest.mark.parametrize(("spoil", "message"), [
    (lambda root: shutil.rmtree(root / "val"), "val: no such folder"),
    (lambda root: (root / "LOC_val_solution.csv").unlink(), "neither class folders nor a label file"),
    (lambda root: (root / "LOC_val_solution.csv").write_text("ILSVRC2012_val_00000001,n00000001 1 2 3 4\n"),
     "val/ILSVRC2012_val_00000002.JPEG: the label file does not name it (3 of 4 like it)"),
    (lambda root: (root / "LOC_val_solution.csv").write_text("ILSVRC2012_val_00000001,n00000009 1 2 3 4\n"),
     "class 'n00000009' has no folder"),
    (lambda root: (root / "train" / "n00000009").mkdir(), "train/n00000009: no images in there"),
])
def test_what_is_missing_is_named(imagenet, spoil, message):
    spoil(imagenet)
    with pytest.raises(UserError, match=re.escape(message)):
        find_images(imagenet)


def test_lists_are_written_and_read_back(imagenet, tmp_path):
    train = find_images(imagenet)["train"]
    train.write(tmp_path / "list")
    read = read_list(tmp_path / "list")
    assert read.root == train.root and read.classes == train.classes
    assert (read.paths == train.paths).all() and (read.labels == train.labels).all()
    (tmp_path / "list" / "images.json").unlink()
    with pytest.raises(UserError, match="no list of images can be read there"):
        read_list(tmp_path / "list")


def test_few_labels_are_the_same_for_a_seed(imagenet):
    train = find_images(imagenet)["train"]
    few = train.few(2, seed=1)
    assert np.bincount(train.take(few).labels).tolist() == [2, 2, 2]
    assert (few == train.few(2, seed=1)).all() and any((few != train.few(2, seed=seed)).any() for seed in range(2, 6))
    assert (train.few(0, seed=1) == np.arange(12)).all() and (train.few(9, seed=1) == np.arange(12)).all()
