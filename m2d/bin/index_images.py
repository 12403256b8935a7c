"""Decode every listed image once: leave broken ones out, count, take mean and deviation per channel."""

from dataclasses import dataclass

from m2d.common import cli
from m2d.common.config import option
from m2d.data.images.folder import read_list
from m2d.data.images.index import index_images


@dataclass
class Options:
    data: str = option(help="folder of one part as m2d.bin.prepare_images writes it")
    out: str = option(help="folder to write")
    workers: int = option(4, "processes that decode; 0 decodes in the main process")


def main(options: Options) -> None:
    index_images(read_list(options.data), options.out, options.workers)


if __name__ == "__main__":
    cli.run(Options, main, __doc__)
