"""The miniature has ImageNet's layout and a split by class."""

import mini_images
import numpy as np
from PIL import Image

from m2d.data.images.folder import find_images


def test_the_digits_lie_as_imagenet_does(tmp_path):
    options = mini_images.Options(out=str(tmp_path / "digits"))
    mini_images.main(options)
    parts = find_images(options.out)
    assert [len(parts[part].paths) for part in ("train", "val")] == [1437, 360]
    assert parts["train"].classes == [f"n{label:08d}" for label in range(10)]
    assert np.bincount(parts["val"].labels).tolist() == [36] * 10 and np.bincount(parts["train"].labels).min() > 100
    assert Image.open(parts["train"].path(0)).size == (32, 32)
    before = parts["val"].path(0).stat().st_mtime_ns
    mini_images.main(options)  # what is there is kept
    assert parts["val"].path(0).stat().st_mtime_ns == before
