"""One index and the statistics of what the jobs of a feature stage wrote."""

import logging
from dataclasses import dataclass

from m2d.common import cli
from m2d.common.config import option
from m2d.data.merge import is_merged, merge_index


@dataclass
class Options:
    dir: str = option(help="folder of packed features")
    max_bad_share: float = option(0.01, "share of failed utterances above which it is an error")


def main(options: Options) -> None:
    if is_merged(options.dir):
        logging.info("%s: already done", options.dir)
        return
    stats = merge_index(options.dir, options.max_bad_share)
    logging.info("%s: %d frames, mean %.4f, std %.4f", options.dir, stats["frames"], stats["mean"], stats["std"])


if __name__ == "__main__":
    cli.run(Options, main, "Merge the jobs of a feature folder: index, meta.json, stats.json.")
