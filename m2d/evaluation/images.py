"""Linear probe of image models: a linear layer on frozen features, trained on all or a few labelled images."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from omegaconf import MISSING
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from m2d.common.config import option
from m2d.common.device import pick_device
from m2d.common.errors import UserError
from m2d.common.progress import progress
from m2d.data.images.decode import centre_crop, read_image
from m2d.data.images.folder import ImageList, read_list
from m2d.evaluation.images_report import write_scores
from m2d.evaluation.linear import PAPER_LR, LinearOptions, divide, fit_linear
from m2d.evaluation.options import EvaluationOptions
from m2d.pretrained.files import load_pretrained
from m2d.pretrained.images import ImageFeatures
from m2d.pretrained.names import parse_model

LOG = logging.getLogger(__name__)


@dataclass
class ProbeOptions(EvaluationOptions):
    """Options of `m2d.bin.probe_images`; the result goes to `OUT/linear/result.json`. The model is one of ours."""

    train: str = option(MISSING, "list of the training images (m2d.bin.index_images)")
    valid: str = option(MISSING, "list of the validation images: the score is that of these")
    seed: int = option(0, "seed of the model's weights, for tables")
    label_counts: list[int] = option(factory=lambda: [0], help="training images of each class, one score each; 0: all")
    linear: LinearOptions = option(factory=LinearOptions)
    batch_size: int = option(64, "images per pass of the encoder")


class _Views(Dataset):
    def __init__(self, images: ImageList, size: int):
        self.images, self.view = images, centre_crop(size)

    def __len__(self) -> int:
        return len(self.images.paths)

    def __getitem__(self, index: int) -> Tensor:
        return self.view(read_image(self.images.path(index)))


def probe(options: ProbeOptions) -> None:
    """Evaluate one model. Each seed of `linear.seeds` draws the labelled images, the held-out tenth and the layer.

    Raises `UserError` for a model that does not take images, and lists of different classes.
    """
    train, valid = read_list(options.train), read_list(options.valid)
    if train.classes != valid.classes:
        raise UserError(f"{options.valid}: its classes are not those of {options.train}")
    device = str(pick_device(options.device))
    model = image_model(options.model).to(device)
    vectors = torch.cat([_features(model, images, options) for images in (train, valid)]).to(device)
    labels = np.concatenate([train.labels, valid.labels])
    targets = np.zeros((len(labels), len(train.classes)), np.uint8)  # ImageNet: 1.3 GB
    targets[np.arange(len(labels)), labels] = 1
    weights, lr = torch.from_numpy(targets).to(device), options.linear.lr or PAPER_LR
    scores: dict[str, list[float]] = {}
    for count in options.label_counts:
        accuracies = []
        for seed in options.linear.seeds:
            parts = np.full(len(labels), "", dtype="<U5")
            parts[train.few(count, seed)], parts[len(train.labels):] = "train", "test"
            split = divide(targets, parts, "test", seed)
            fit = fit_linear(vectors, weights, split, lr, options.linear, seed)
            accuracies.append(100 * float(np.mean(fit.logits.argmax(1) == labels[split.test])))
        scores[str(count)] = accuracies
        LOG.info("%s, linear, %s: %.2f %%", options.model, f"{count} a class" if count else "all labels",
                 np.mean(accuracies))
    write_scores(Path(options.out) / "linear", options.label or options.model, options.seed, scores, options)


def image_model(text: str) -> ImageFeatures:
    """The model of a name, on the CPU. Raises `UserError` for one that does not take images."""
    name = parse_model(text)
    model = load_pretrained(name.source) if name.kind in ("own", "random") else None
    if not isinstance(model, ImageFeatures):
        raise UserError(f"model '{text}' does not take images")
    if name.kind == "random":
        model.encoder.randomise(int(name.detail or 0))
    return model


@torch.inference_mode()
def _features(model: ImageFeatures, images: ImageList, options: ProbeOptions) -> Tensor:
    views = _Views(images, model.encoder.config.input_size[0])
    loader = DataLoader(views, options.batch_size, num_workers=options.workers)
    return torch.cat([model(batch).image.cpu() for batch in progress(loader, f"features of {len(views)} images")])
