"""List the images of a folder in ImageNet's layout, with their classes: out/train and out/val."""

import logging
from dataclasses import dataclass
from pathlib import Path

from m2d.common import cli
from m2d.common.config import option
from m2d.data.images.folder import find_images


@dataclass
class Options:
    root: str = option(help="folder with train/nXXXXXXXX/*.JPEG and val/")
    out: str = option(help="folder to write")


def main(options: Options) -> None:
    for part, images in find_images(options.root).items():
        images.write(Path(options.out) / part)
        logging.info("%s/%s: %d images of %d classes", options.out, part, len(images.paths), len(images.classes))


if __name__ == "__main__":
    cli.run(Options, main, __doc__)
