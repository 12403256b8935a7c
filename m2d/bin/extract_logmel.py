"""Log-mel features (stage 1) of one job's part of a data directory; resumes after an interruption."""

import torch

from m2d.common import cli
from m2d.data.datadir import DataDir
from m2d.data.extract import JobOptions, extract_logmel


def main(options: JobOptions) -> None:
    """Extract one job's part on one thread: jobs are what runs in parallel."""
    torch.set_num_threads(1)
    extract_logmel(DataDir.read(options.data), options)


if __name__ == "__main__":
    cli.run(JobOptions, main, __doc__)
