"""Decode every listed image once: leave out the unreadable, count, take mean and deviation of each channel."""

import logging
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from m2d.common.errors import UserError
from m2d.common.files import write_json
from m2d.common.progress import progress
from m2d.data.format import as_hex, content_of
from m2d.data.images.decode import read_image
from m2d.data.images.folder import ImageList

LOG = logging.getLogger(__name__)
MAX_UNREADABLE = 0.01
"""Share of the images that may be unreadable; a single one always may."""
CHUNK = 64


class _Sums(Dataset):
    """Item i: mean and mean square of each channel in 0..1, float64 [2, 3]; digest of file and label; what is wrong."""

    def __init__(self, images: ImageList):
        self.images = images

    def __len__(self) -> int:
        return len(self.images.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, str, str]:
        path = self.images.path(index)
        try:
            pixels = read_image(path).flatten(1).double() / 255
        except UserError as error:
            return torch.zeros(2, 3, dtype=torch.float64), "0", str(error)
        file = np.fromfile(path, np.uint8)
        content = content_of(f"{self.images.paths[index].decode()} {self.images.labels[index]}", file, None)
        return torch.stack([pixels.mean(1), pixels.square().mean(1)]), as_hex(content), ""


def index_images(images: ImageList, out: str | Path, workers: int) -> None:
    """Write the readable images' list to `out`, and `stats.json`: counts, content, mean and std [3] of pixels in 0..1.

    Images have equal weights in the statistics. Raises `UserError` when more than `MAX_UNREADABLE` are unreadable.
    """
    sums, good, content = torch.zeros(2, 3, dtype=torch.float64), np.ones(len(images.paths), bool), 0
    loader = DataLoader(_Sums(images), CHUNK, num_workers=workers)
    position = 0
    for values, digests, faults in progress(loader, f"{out}: images, {CHUNK} at a time"):
        sums += values.sum(0)
        content += sum(int(digest, 16) for digest in digests)
        for fault in filter(None, faults):
            LOG.warning("left out: %s", fault)
        good[position:position + len(faults)] = [not fault for fault in faults]
        position += len(faults)
        bad = position - int(good[:position].sum())
        if bad > max(1, MAX_UNREADABLE * len(images.paths)):
            raise UserError(f"{out}: {bad} of the first {position} images of {images.root} can't be read, "
                            "as named above: fetch them again")
    readable = images.take(np.flatnonzero(good))
    mean, square = sums / len(readable.paths)
    write_json(Path(out) / "stats.json", {
        "images": len(readable.paths), "unreadable": int((~good).sum()), "classes": len(images.classes),
        "content": as_hex(content),
        "mean": mean.tolist(), "std": (square - mean.square()).sqrt().tolist()})
    readable.write(out)
    LOG.info("%s: %d images of %d classes, %d left out", out, len(readable.paths), len(images.classes), (~good).sum())
