"""Gather linear evaluations and fine-tunings into RESULTS.md."""

from dataclasses import dataclass

from omegaconf import MISSING

from m2d.common import cli
from m2d.common.config import option
from m2d.evaluation.report import write_report
from m2d.evaluation.results import KINDS


@dataclass
class Options:
    """Options of `m2d.bin.report_general`."""

    exp: str = option("exp", "folder of experiment directories")
    out: str = option("RESULTS.md", "the file to write")
    kinds: list[str] = option(factory=lambda: list(KINDS), help="which evaluations: linear, finetune")
    note: str = option(MISSING, "what the reader must know first: corpora, scale")


def main(options: Options) -> None:
    """Read, tabulate, write."""
    write_report(options.exp, options.out, options.note, options.kinds)


if __name__ == "__main__":
    cli.run(Options, main, __doc__)
