"""Images: views for pre-training, labelled views for fine-tuning."""

import importlib.util
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from m2d.common.errors import UserError
from m2d.data.images.dataset import ImageDataset
from m2d.data.images.decode import View, centre_crop, crop_and_flip, crop_flip_augment
from m2d.data.images.folder import ImageList, read_list
from m2d.data.images.mixing import Mixing, one_hot
from m2d.data.sampler import GlobalSampler
from m2d.nn.classifier import Classifier
from m2d.training.data_modules import DATA_MODULES, Batch, DataModule, Picture, read_stats

if TYPE_CHECKING:
    from m2d.training.config import PretrainConfig, Settings

LOG = logging.getLogger(__name__)
SAME = 0.01
"""Statistics of pixels in 0..1 that differ by less count as equal."""


@DATA_MODULES.register("images")
class ImageData(DataModule):
    """Lists that `m2d.bin.index_images` wrote. `statistics` are mean and deviation `[3]` of pixels in 0..1."""

    def __init__(self, config: "PretrainConfig", device: torch.device):
        super().__init__(config, device)
        options = config.data.image
        stats = {"mean": options.mean, "std": options.std}
        self.statistics = {name: given or _statistic(options.train, name) for name, given in stats.items()}
        self._open()
        self.train_size, self.valid_size = len(self.train), len(self.valid or ())

    def _open(self) -> None:
        options, size = self.config.data.image, self.config.model.input_size[0]
        self.train = self._dataset(read_list(options.train), crop_and_flip(size, options.crop_scale, options.flip))
        self.valid = self._dataset(read_list(options.valid), centre_crop(size)) if options.valid else None

    def _dataset(self, images: ImageList, view: View) -> ImageDataset:
        model = self.config.model
        return ImageDataset(images, view, model.input_size[0], self.config.run.seed, model.encoder.grid.n_patches)

    @classmethod
    def check(cls, config: "Settings") -> None:
        options, model = config.data.image, config.model
        missing = [name for name in ("torchvision", "timm") if importlib.util.find_spec(name) is None]
        if missing:
            raise ValueError(f"data.kind={config.data.kind} needs {missing[0]}: pip install 'm2d[images]'")
        if not options.train:
            raise ValueError("option 'data.image.train' has no default: give it as data.image.train=FOLDER")
        if model.in_channels != 3 or model.input_size[0] != model.input_size[1]:
            raise ValueError(f"images are square, of 3 channels: not model.input_size={model.input_size} and "
                            f"model.in_channels={model.in_channels}")
        if options.crop_scale[0] > options.crop_scale[1]:
            raise ValueError(f"data.image.crop_scale={options.crop_scale}: two shares of the area, the smaller first")

    def identity(self) -> dict[str, Any]:
        """The digest of each list's files and labels."""
        options = self.config.data.image
        return {name: _statistic(folder, "content")
                for name, folder in (("train", options.train), ("valid", options.valid)) if folder}

    def inputs(self, batch: Batch) -> dict[str, Tensor]:
        """`x` `[B, 3, H, W]` float32, normalised; `mask_noise` `[B, L]`."""
        return {"x": self.normalised(batch["image"]), "mask_noise": batch["mask_noise"]}

    def normalised(self, image: Tensor) -> Tensor:
        """Pixels uint8 `[B, 3, H, W]` -> float32, with mean 0 and deviation 1 in each channel of the training set."""
        mean, std = (image.new_tensor(self.statistics[name], dtype=torch.float32)[:, None, None]
                     for name in ("mean", "std"))
        return (image.float() / 255 - mean) / std

    def picture(self, x: Tensor) -> Picture:
        mean, std = (np.array(self.statistics[name]) for name in ("mean", "std"))
        return Picture((x.permute(1, 2, 0).cpu().numpy() * std + mean).clip(0, 1), "upper", "pixels", "pixels", 1)

    def warn_of_statistics(self, seen: dict[str, Any], origin: str) -> None:
        own = self.statistics
        if not all(np.allclose(seen[name], own[name], rtol=0, atol=SAME) for name in own):
            LOG.warning("%s learnt from images normalised by mean %s and deviation %s, this run normalises by %s and "
                        "%s: data.image.mean and data.image.std can be set to the former", origin, *seen.values(),
                        *own.values())


@DATA_MODULES.register("labelled_images")
class LabelledImages(ImageData):
    """Labelled images, for fine-tuning: RandAugment on each image, erasing and mixing on the batch."""

    def _open(self) -> None:
        options, size = self.config.data.image, self.config.model.input_size[0]
        images = read_list(options.train)
        images = images.take(images.few(options.per_class, self.config.run.seed))
        crop = size, options.crop_scale, options.flip
        self.train = self._dataset(images, crop_flip_augment(*crop, options.rand_augment, self.statistics["mean"])
                                   if options.rand_augment else crop_and_flip(*crop))
        self.valid = self._dataset(read_list(options.valid), centre_crop(size)) if options.valid else None
        self.mixing = Mixing(len(images.classes), options.erase, options.mixup, options.cutmix, options.label_smoothing,
                             self.device)

    def build_objective(self) -> nn.Module:
        return Classifier(self.config.model, self.mixing.classes)

    def load(self, sampler: GlobalSampler) -> Iterator[Batch]:
        """As the base class; `draw` is the key of a batch's mixing. Raises `UserError` for batches of odd size."""
        if self.mixing.mix is not None and sampler.local_batch % 2:
            raise UserError(f"Mixup and CutMix pair the images of a batch: a device's batch of {sampler.local_batch} "
                            "is odd (optim.batch_size, optim.micro_batch)")
        for batch in super().load(sampler):
            yield {**batch, "draw": (self.config.run.seed, int(batch["epoch"][0]), int(batch["index"][0]))}

    def inputs(self, batch: Batch) -> dict[str, Tensor]:
        """`x` `[B, 3, H, W]` float32, normalised and in training mixed; `targets` `[B, classes]`."""
        x = self.normalised(batch["image"])
        x, targets = self.mixing(x, batch["label"], batch["draw"]) if "draw" in batch \
            else (x, one_hot(batch["label"], self.mixing.classes))
        return {"x": x, "targets": targets}


def _statistic(folder: str, name: str) -> Any:
    return read_stats(folder, name, "run m2d.bin.index_images, or give data.image.mean and data.image.std")
