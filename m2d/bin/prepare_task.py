"""Turn an official download into a prepared evaluation task: `table.csv` and `task.json`."""

import logging
from dataclasses import dataclass

from m2d.common import cli
from m2d.common.config import option
from m2d.common.stamp import is_made, mark_made
from m2d.evaluation.prepare import prepare
from m2d.evaluation.tasks import SPECS, spec_of


@dataclass
class Options:
    """Options of `m2d.bin.prepare_task`."""

    task: str = option(help=f"one of {', '.join(SPECS)}")
    root: str = option(help="the data set's folder")
    out: str = option(help="folder of the prepared task")
    lists: str | None = option(None, "folder (vc1: or file) of the official lists, where they are not in root")
    table: str | None = option(None, "split table file_name,label,split|fold to use in place of the official split")
    seed: int = option(0, "of the split of those tasks that have no official one")


def main(options: Options) -> None:
    """Read, check, write, unless these very options have done it before."""
    if is_made(options, options.out):
        logging.info("%s: already done", options.out)
        return
    task = prepare(spec_of(options.task), options.root, options.lists, options.table, options.seed)
    task.write(options.out)
    mark_made(options, options.out)


if __name__ == "__main__":
    cli.run(Options, main, __doc__)
