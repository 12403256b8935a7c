"""Check that the corpora of SUPERB tasks are as s3prl expects them, before the days of work that lead to SUPERB."""

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

from m2d.common.cli import run
from m2d.common.config import option
from m2d.superb.check import check_recordings
from m2d.superb.task import TASKS, Corpora, ordered, read_settings


@dataclass
class Options:
    tasks: list[str] = option(factory=list, help="tasks whose corpora are checked")
    corpora: Corpora = option(factory=Corpora)
    conf: str = option("conf/superb", "folder with a settings file per task")


def main(options: Options) -> None:
    """Let each task prepare its settings, and look for every recording; what it writes for s3prl is not kept."""
    with tempfile.TemporaryDirectory() as tables:
        for name in ordered(options.tasks):
            settings = read_settings(Path(options.conf), [], name)
            TASKS.get(name).prepared(options.corpora, Path(tables), settings)
            check_recordings(TASKS.get(name), settings)
            logging.info("SUPERB %s: its corpora are there", TASKS.get(name).title)


if __name__ == "__main__":
    run(Options, main, __doc__)
