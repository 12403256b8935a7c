"""Images as the loop sees them: views and masks, labels and mixing, runs that are resumed, what is refused."""

import os
import signal
import time

import numpy as np
import pytest
import torch
from PIL import Image

from m2d.common.config import load_config
from m2d.common.errors import UserError
from m2d.data.images.folder import find_images
from m2d.data.images.index import index_images
from m2d.data.sampler import GlobalSampler
from m2d.nn.classifier import Classifier
from m2d.training.checkpoint import checkpoints
from m2d.training.config import PretrainConfig
from m2d.training.data_modules import DATA_MODULES

SIZE = ["model.input_size=[16,16]", "model.patch_size=[4,4]", "model.in_channels=3", "model.size=custom",
        "model.width=32", "model.depth=2", "model.heads=2", "model.predictor_width=16", "model.predictor_depth=1",
        "model.predictor_heads=2", "model.mask_ratio=0.75"]
TUNING = ["data.kind=labelled_images", "data.image.mixup=0.8", "data.image.cutmix=1.0", "data.image.erase=0.25",
          "data.image.label_smoothing=0.1", "data.image.rand_augment=rand-m9-mstd0.5-inc1", "model.drop_path=0.1",
          "optim.layer_decay=0.65"]


@pytest.fixture(scope="session")
def lists(tmp_path_factory):
    """Folder of the indexed lists train (3 classes x 8) and val of small noisy images."""
    top = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for part, count in (("train", 8), ("val", 2)):
        for label in range(3):
            folder = top / "imagenet" / part / f"n0000000{label}"
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = random.normal(60 + 60 * label, 30, (20, 24, 3)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.JPEG")
    for part, images in find_images(top / "imagenet").items():
        index_images(images, top / part, workers=0)
    return top


@pytest.fixture
def image_options(lists, tmp_path):
    return [f"data.image.train={lists}/train", f"data.image.valid={lists}/val", "data.kind=images", "data.workers=0",
            *SIZE, "optim.batch_size=4", "optim.epochs=3", "optim.warmup_epochs=1", "optim.base_lr=0.01",
            "run.keep_epochs=0", f"run.exp={tmp_path}/exp", "run.device=cpu"]


@pytest.fixture
def data(image_options):
    """Maker of the data module with changed options."""
    def make(*changes):
        config = load_config(PretrainConfig, None, [*image_options, *changes])
        return DATA_MODULES.get(config.data.kind)(config, torch.device("cpu"))
    return make


def batches(module, batch=4):
    return module.load(GlobalSampler(module.train_size, batch, 1))


def test_views_are_normalised_and_masked(data):
    module = data()
    assert (module.train_size, module.valid_size) == (24, 6)
    batch = module.load_valid(np.arange(6))
    inputs = module.inputs(batch)
    assert inputs["x"].shape == (6, 3, 16, 16) and inputs["mask_noise"].shape == (6, 16)
    assert inputs["x"].mean().abs() < 0.3 and inputs["x"].std() == pytest.approx(1, abs=0.3)
    again = module.inputs(module.load_valid(np.arange(6)))
    assert all(torch.equal(inputs[name], again[name]) for name in inputs)
    picture = module.picture(inputs["x"][0])
    assert picture.values == pytest.approx(batch["image"][0].permute(1, 2, 0).numpy() / 255, abs=1e-6)


def test_few_labels_and_none_of_the_mixing_in_validation(data):
    module = data(*TUNING, "data.image.per_class=4")
    assert module.train_size == 12
    valid = module.inputs(module.load_valid(np.array([0, 5])))
    assert valid["targets"].tolist() == [[1, 0, 0], [0, 0, 1]]
    first, again = ([module.inputs(batch) for batch in batches(module)] for _ in range(2))
    for one, other in zip(first, again, strict=True):  # drawn by seed, epoch and index alone
        assert torch.equal(one["x"], other["x"]) and torch.equal(one["targets"], other["targets"])
        assert one["targets"].sum(1) == pytest.approx(torch.ones(4))
        assert one["targets"].min() == pytest.approx(0.1 / 3, abs=1e-6)  # smoothed
    assert any((one["targets"].max(1).values < 0.8).any() for one in first)  # mixed
    assert isinstance(module.build_objective(), Classifier) and module.build_objective().head.out_features == 3


def test_a_batch_that_can_not_be_paired_is_refused(data):
    with pytest.raises(UserError, match="a device's batch of 3 is odd"):
        next(iter(batches(data(*TUNING), batch=3)))


@pytest.mark.parametrize(("changes", "message"), [
    (["model.in_channels=1"], "images are square, of 3 channels"), (["model.input_size=[16,32]"], "images are square"),
    (["data.image.train=null"], "'data.image.train' has no default"),
    (["data.image.crop_scale=[0.5]"], "give 2 values"), (["data.image.std=[1]"], "give 3 values"),
    (["data.image.train=/none"], "no statistics can be read there")])
def test_options_that_do_not_fit(data, changes, message):
    with pytest.raises(UserError, match=message):
        data(*changes)


def test_statistics_that_weights_did_not_see_are_told(data, caplog):
    module = data()
    module.warn_of_statistics(dict(module.statistics), "model")
    assert not caplog.records
    module.warn_of_statistics({"mean": [0.5] * 3, "std": [0.1] * 3}, "model")
    assert "model learnt from images normalised by mean [0.5, 0.5, 0.5]" in caplog.text


@pytest.mark.parametrize("kind", ["pretraining", "tuning"])
def test_resume_after_a_kill_is_exact(kind, image_options, start, finish, tmp_path):
    """Killed after some checkpoint of 120 steps, with two loader processes: the end is that of a run in one piece."""
    options = [*image_options, *(TUNING if kind == "tuning" else []), "optim.epochs=20", "run.checkpoint_minutes=0",
               "run.valid_epochs=20", "data.workers=2"]
    expected = finish([*options, f"run.exp={tmp_path}/plain"])
    options = [*options, f"run.exp={tmp_path}/killed"]
    run, end = start(options), time.monotonic() + 120
    while not checkpoints(tmp_path / "killed/checkpoints") and time.monotonic() < end:
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    resumed = finish(options)
    assert "resumed after step" in run.said()
    assert all(torch.equal(expected["model"][name], resumed["model"][name]) for name in expected["model"])
