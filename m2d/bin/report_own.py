"""One page on recordings of one's own: what they are, how well models tell them apart, what helped."""

from m2d.common import cli
from m2d.evaluation.own_report import ReportOptions, write_own_report

if __name__ == "__main__":
    cli.run(ReportOptions, write_own_report, __doc__)
