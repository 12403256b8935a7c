"""A miniature of ImageNet: noise of a colour of its own for each class."""

import numpy as np
import pytest
from PIL import Image

CLASSES = ("n00000001", "n00000007", "n01440764")


def write_image(path, seed, mode="RGB"):
    """A JPEG of 40 x 30 pixels whose colour is that of `seed`, with noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    pixels = np.clip(random.integers(60, 200, 3) + random.normal(0, 20, (30, 40, 3)), 0, 255).astype(np.uint8)
    Image.fromarray(pixels).convert(mode).save(path, "JPEG")


@pytest.fixture
def imagenet(tmp_path):
    """train/ with four images of each class, a CMYK one and a broken one among them; val/ flat with its label file."""
    root = tmp_path / "imagenet"
    for label, name in enumerate(CLASSES):
        for number in range(4):
            mode = "CMYK" if (label, number) == (1, 2) else "RGB"
            write_image(root / "train" / name / f"{name}_{number}.JPEG", 10 * label + number, mode)
    broken = root / "train" / CLASSES[2] / f"{CLASSES[2]}_1.JPEG"
    broken.write_bytes(broken.read_bytes()[:200])
    lines = ["ImageId,PredictionString"]
    for number, name in enumerate([CLASSES[2], CLASSES[0], CLASSES[1], CLASSES[0]], 1):
        write_image(root / "val" / f"ILSVRC2012_val_{number:08d}.JPEG", number)
        lines.append(f"ILSVRC2012_val_{number:08d},{name} 85 1 499 272 {name} 1 2 3 4 ")
    (root / "LOC_val_solution.csv").write_text("\n".join(lines) + "\n")
    return root
