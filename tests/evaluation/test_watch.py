"""The probe of an encoder that is being trained: what it measures, and that it disturbs nothing."""

import numpy as np
import pytest
import torch
from PIL import Image

from m2d.common.errors import UserError
from m2d.data.images.folder import find_images
from m2d.data.images.index import index_images
from m2d.evaluation.own import own_task
from m2d.evaluation.watch import SoundWatch, open_watch
from m2d.nn.encoder import Encoder
from m2d.nn.encoder_config import EncoderConfig

from .conftest import put

SOUND = {"mean": -7.0, "std": 4.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A prepared task of three tones, ten clips each; the files of its test part are gone."""
    root = tmp_path_factory.mktemp("tones")
    for label in ("low", "middle", "high"):
        for take in range(10):
            put(root / "clips" / label / f"{take}.wav", label, take)
    task, _ = own_task(root / "clips", name="tones")
    task.write(root / "task")
    for clip in task.clips:
        if clip.part == "test":
            task.path(clip).unlink()
    return root / "task"


def sound_encoder():
    torch.manual_seed(0)
    return Encoder(EncoderConfig((80, 48), (80, 4), 1, 32, 1, 2)).eval()


def test_tones_are_told_apart_without_reading_test_clips(folder):
    watch = open_watch(str(folder))
    assert isinstance(watch, SoundWatch) and {clip.part for clip in watch.task.clips} == {"train", "valid"}
    encoder = sound_encoder()
    state = torch.get_rng_state()
    scores = watch(encoder, SOUND)
    assert torch.equal(torch.get_rng_state(), state)
    assert scores == watch(encoder, SOUND) and scores["knn"] == 100 and scores["linear"] == 100


def test_an_encoder_that_says_nothing_scores_low(folder):
    encoder = sound_encoder()
    with torch.no_grad():
        encoder.transformer.norm.weight.zero_()
    assert open_watch(str(folder))(encoder, SOUND)["knn"] < 50


def test_labelled_images(tmp_path):
    random = np.random.default_rng(0)
    for part in ("train", "val"):
        for label in range(2):
            (place := tmp_path / "imagenet" / part / f"n0000000{label}").mkdir(parents=True)
            for number in range(12):
                pixels = random.normal(60 + 120 * label, 10, (20, 24, 3)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(place / f"{number}.JPEG")
    index_images(find_images(tmp_path / "imagenet")["train"], tmp_path / "list", workers=0)
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig((16, 16), (4, 4), 3, 32, 1, 2)).eval()
    assert open_watch(str(tmp_path / "list"))(encoder, {"mean": [0.5] * 3, "std": [0.2] * 3})["knn"] == 100


def test_a_folder_that_is_no_task(tmp_path):
    with pytest.raises(UserError, match="no prepared task here"):
        open_watch(str(tmp_path))
