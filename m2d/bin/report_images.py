"""Gather linear probes and fine-tunings of image models into RESULTS.md."""

from m2d.common import cli
from m2d.evaluation.images_report import ReportOptions, write_report

if __name__ == "__main__":
    cli.run(ReportOptions, write_report, __doc__)
