"""A folder of experiments as one HTML page: scores, settings, curves, pictures, cost; no network needed."""

import dataclasses
from pathlib import Path

from omegaconf import MISSING

from m2d.common.cli import run
from m2d.common.config import option
from m2d.common.files import write_text
from m2d.report.page import report
from m2d.training.config import plain
from m2d.training.plan import load_settings


@dataclasses.dataclass
class ReportConfig:
    exp: str = option(MISSING, "a folder of experiments (exp), or one experiment")
    out: str = option("", "the page to write (default: report.html in that folder)")
    paper: str = option("", "YAML file of the published setting to compare with")


def main(config: ReportConfig) -> None:
    paper = plain(load_settings(config.paper, [])) if config.paper else None
    out = Path(config.out or Path(config.exp) / "report.html")
    write_text(out, report(Path(config.exp), paper))
    print(f"{out.resolve()} ({out.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    run(ReportConfig, main, __doc__ or "", positional=("exp",))
