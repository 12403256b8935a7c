"""Compare the losses and signs of collapse of several pre-training runs: a Markdown table and a figure."""

from m2d.common.cli import run
from m2d.training.comparison import ComparisonOptions, compare_runs

if __name__ == "__main__":
    run(ComparisonOptions, compare_runs, __doc__)
