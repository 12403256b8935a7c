"""Turn an official download, or labelled recordings of one's own, into a prepared task: `table.csv`, `task.json`."""

import logging
from dataclasses import dataclass
from pathlib import Path

from m2d.common import cli
from m2d.common.config import nearest, option
from m2d.common.errors import UserError
from m2d.common.files import write_text
from m2d.common.stamp import is_made, mark_made, stamp_of
from m2d.evaluation.own import own_task, training_audio
from m2d.evaluation.prepare import prepare
from m2d.evaluation.tables import FORM
from m2d.evaluation.tasks import TASKS


@dataclass
class Options:
    task: str = option(help=f"table (your own recordings), or one of {', '.join(TASKS)}")
    out: str = option(help="folder of the prepared task")
    root: str | None = option(None, "the data set's folder; task=table: folder of the audio (default: the table's), "
                                    "or without a table one with a folder per class")
    lists: str | None = option(None, "folder (vc1: or file) of the official lists, where they are not in root")
    table: str | None = option(None, f"task=table: {FORM}; else a split table in place of the official split")
    name: str | None = option(None, "task=table: name of the task in paths and tables (default: that of the table)")
    seconds: float | None = option(None, "task=table: clips are cut or padded to this (default: 95th percentile)",
                                    within="(0, inf)")
    seed: int = option(0, "of the split where none is given")
    audio_out: str | None = option(None, "task=table: data directory of the clips that are not tested, to pre-train on")


def main(options: Options) -> None:
    """Read, check, write, unless the same options and files have been prepared before."""
    folder = options.table and str(Path(options.table).parent)
    stamp = stamp_of(options, filter(None, (options.root or folder, options.lists, options.table)))
    made = [folder for folder in (options.out, options.audio_out) if folder]
    if is_made(stamp, *made):
        logging.info("%s: already done", options.out)
        return
    if options.task == "table":
        if options.lists is not None:
            raise UserError("lists does not apply to task=table")
        task, report = own_task(options.root, options.table, options.name, options.seconds, options.seed)
        task.write(options.out)
        write_text(Path(options.out) / "report.md", report)
        if options.audio_out:
            training_audio(task).write(options.audio_out)
        print(report)
    else:
        if options.task not in TASKS:
            raise UserError(f"unknown task '{options.task}'{nearest(options.task, [*TASKS, 'table'])}: give task=table "
                            f"for recordings of your own, or one of {', '.join(TASKS)}")
        given = (options.name, options.seconds, options.audio_out)
        if options.root is None or any(value is not None for value in given):
            raise UserError(f"task={options.task}: give root; name, seconds and audio_out apply to task=table only")
        prepare(TASKS.get(options.task), options.root, options.lists, options.table, options.seed).write(options.out)
    mark_made(stamp, *made)


if __name__ == "__main__":
    cli.run(Options, main, __doc__)
