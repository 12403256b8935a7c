"""The index leaves broken images out with a line each, and knows the statistics of the others."""

import json
import logging

import numpy as np
import pytest
import torch
from PIL import Image

from m2d.common.errors import UserError
from m2d.data.images.dataset import ImageDataset
from m2d.data.images.decode import centre_crop, crop_flip_augment, read_image, seeded
from m2d.data.images.folder import find_images, read_list
from m2d.data.images.index import index_images


@pytest.fixture
def train(imagenet, tmp_path):
    """The indexed training list."""
    index_images(find_images(imagenet)["train"], tmp_path / "train", workers=0)
    return read_list(tmp_path / "train")


def test_a_broken_image_is_left_out_with_one_line(imagenet, tmp_path, caplog):
    index_images(find_images(imagenet)["train"], tmp_path / "train", workers=0)
    train = read_list(tmp_path / "train")
    assert len(train.paths) == 11 and b"train/n01440764/n01440764_1.JPEG" not in train.paths
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(lines) == 1 and "n01440764_1.JPEG: not a readable image" in lines[0]
    stats = json.loads((tmp_path / "train" / "stats.json").read_text())
    assert (stats["images"], stats["unreadable"], stats["classes"]) == (11, 1, 3)
    pixels = np.stack([np.asarray(Image.open(train.path(i)).convert("RGB")) / 255 for i in range(11)])
    assert stats["mean"] == pytest.approx(pixels.mean((0, 1, 2)), abs=0.01)  # CMYK is converted otherwise by PIL
    assert stats["std"] == pytest.approx(pixels.std((0, 1, 2)), abs=0.01)


def test_more_broken_images_stop_the_index(imagenet, tmp_path):
    for number in (2, 3):
        (imagenet / "train" / "n00000001" / f"n00000001_{number}.JPEG").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"of the first 12 images .* can't be read"):
        index_images(find_images(imagenet)["train"], tmp_path / "train", workers=0)
    assert not (tmp_path / "train" / "images.json").exists()


def test_cmyk_is_read_as_rgb(imagenet):
    path = imagenet / "train" / "n00000007" / "n00000007_2.JPEG"
    assert Image.open(path).mode == "CMYK"
    mean = read_image(path).float().mean((1, 2))
    assert mean == pytest.approx(np.asarray(Image.open(path).convert("RGB")).mean((0, 1)), abs=12)


def test_a_sample_depends_on_seed_epoch_and_index_alone(train):
    view = crop_flip_augment(24, [0.2, 1.0], 0.5, "rand-m9-mstd0.5-inc1", [0.5] * 3)
    dataset = ImageDataset(train, view, 24, seed=3)
    state = torch.get_rng_state(), np.random.get_state()[1].copy()
    batch, alone = dataset[2, np.array([7, 0, 4])], dataset[2, np.array([4])]
    assert torch.equal(batch["image"][2], alone["image"][0]) and batch["ids"][2] == alone["ids"][0]
    assert batch["label"].tolist() == [train.labels[i] for i in (7, 0, 4)]
    assert not torch.equal(dataset[3, np.array([4])]["image"], alone["image"])
    assert torch.equal(torch.get_rng_state(), state[0]) and (np.random.get_state()[1] == state[1]).all()


def test_the_view_of_evaluation_is_the_middle():
    pixels = torch.zeros(3, 64, 128, dtype=torch.uint8)
    pixels[:, :, 36:92] = 200
    view = centre_crop(56)(pixels)
    assert view.shape == (3, 56, 56) and (view == 200).all()


def test_seeds_put_the_generators_back_after_an_error():
    state = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), seeded(1):
        raise ZeroDivisionError
    assert torch.equal(torch.get_rng_state(), state)
