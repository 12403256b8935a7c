"""Gather linear evaluations and fine-tunings into RESULTS.md."""

from dataclasses import dataclass

from m2d.common import cli
from m2d.common.config import option
from m2d.evaluation.report import write_report


@dataclass
class Options:
    exp: str = option("exp", "folder of experiment directories")
    out: str = option("RESULTS.md", "the file to write")
    mini: bool = option(False, "say that the mini corpus stood in for the real ones")


def main(options: Options) -> None:
    write_report(options.exp, options.out, options.mini)


if __name__ == "__main__":
    cli.run(Options, main, __doc__)
