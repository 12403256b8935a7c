"""Images as samples: views of the images of a list, decoded straight into a batch.

Which view of an image a sample gets is a pure function of (seed, epoch, index).
"""

from __future__ import annotations

import numpy as np
import torch
from torch.utils.data import Dataset

from m2d.data.dataset import Batch
from m2d.data.images.decode import View, read_image, seeded
from m2d.data.images.folder import ImageList
from m2d.data.memory import Layout, block_bytes, views


class ImageDataset(Dataset):
    """Views `[3, size, size]` of images, a batch at a time."""

    def __init__(self, images: ImageList, view: View, size: int, seed: int = 0):
        self.images, self.view, self.size, self.seed = images, view, size, seed

    def __len__(self) -> int:
        return len(self.images.paths)

    def layout(self, size: int) -> Layout:
        """The tensors of a batch of `size` samples."""
        numbers = (size,), torch.int64
        return {"index": numbers, "label": numbers, "image": ((size, 3, self.size, self.size), torch.uint8)}

    def __getitem__(self, key: tuple[int, np.ndarray]) -> Batch:
        """The batch of `(epoch, indices [B])` in memory of its own: see `fill`."""
        layout = self.layout(len(key[1]))
        return self.fill(views(np.empty(block_bytes(layout), np.uint8), layout), *key)

    def fill(self, batch: Batch, epoch: int, indices: np.ndarray) -> Batch:
        """Read the images `indices` `[B]` of an epoch into the tensors of `layout(B)`, and add `utt`, their paths.

        Returns the batch. Raises `UserError` that names the file when one can't be read.
        """
        indices = np.asarray(indices)
        batch["index"].numpy()[:] = indices
        batch["label"].numpy()[:] = self.images.labels[indices]
        for row, index in enumerate(indices.tolist()):
            pixels = read_image(self.images.path(index))
            with seeded(self.seed, epoch, index):
                batch["image"][row] = self.view(pixels)
        batch["utt"] = [path.decode() for path in self.images.paths[indices]]
        return batch
