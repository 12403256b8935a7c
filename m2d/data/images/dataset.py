"""Images as samples: views of the images of a list, decoded straight into a batch.

The view of an image and its mask are pure functions of (seed, epoch, index).
"""

import numpy as np
import torch

from m2d.data.dataset import MASKS, Batch, BatchDataset
from m2d.data.images.decode import View, read_image, seeded
from m2d.data.images.folder import ImageList
from m2d.data.memory import Layout
from m2d.data.randomness import uniform


class ImageDataset(BatchDataset):
    """Views `[3, size, size]` of images, a batch at a time."""

    def __init__(self, images: ImageList, view: View, size: int, seed: int = 0, n_patches: int = 0):
        self.images, self.view, self.size, self.seed, self.n_patches = images, view, size, seed, n_patches
        self.directory = images.root

    def __len__(self) -> int:
        return len(self.images.paths)

    def layout(self, size: int) -> Layout:
        numbers = (size,), torch.int64
        layout = {"index": numbers, "epoch": numbers, "label": numbers,
                  "image": ((size, 3, self.size, self.size), torch.uint8)}
        if self.n_patches:
            layout["mask_noise"] = (size, self.n_patches), torch.float32
        return layout

    def fill(self, batch: Batch, epoch: int, indices: np.ndarray) -> Batch:
        """Read the images `indices` `[B]` of an epoch into the tensors of `layout(B)`:

        - `index`, `epoch`, `label` int64 `[B]`, and added to them `ids`, the list of B paths;
        - `image` uint8 `[B, 3, size, size]`, the views;
        - `mask_noise` float32 `[B, n_patches]`, uniform in [0, 1), for the objective's mask.

        Returns the batch. Raises `UserError` that names the file when one can't be read.
        """
        indices = np.asarray(indices)
        batch["index"].numpy()[:], batch["epoch"].numpy()[:] = indices, epoch
        batch["label"].numpy()[:] = self.images.labels[indices]
        for row, index in enumerate(indices.tolist()):
            pixels = read_image(self.images.path(index))
            with seeded(self.seed, epoch, index):
                batch["image"][row] = self.view(pixels)
        if self.n_patches:
            batch["mask_noise"].numpy()[:] = uniform(self.seed + MASKS, epoch, indices, self.n_patches)
        batch["ids"] = [path.decode() for path in self.images.paths[indices]]
        return batch
