"""Log-mel features of a data directory, one job of several."""

from dataclasses import dataclass

import torch

from m2d.common import cli
from m2d.common.config import option
from m2d.data.datadir import DataDir
from m2d.data.extract import extract_logmel


@dataclass
class Options:
    """Command line of this entry point."""

    data: str = option(help="data directory")
    out: str = option(help="folder of the features; merge it with m2d.bin.merge_features when all jobs are done")
    job: int = option(1, "this job's number, from 1")
    jobs: int = option(1, "number of jobs")
    max_bad_share: float = option(0.01, "share of unreadable utterances above which the job fails")


def main(options: Options) -> None:
    """Extract one job's part on one thread: jobs are what runs in parallel."""
    torch.set_num_threads(1)
    extract_logmel(DataDir.read(options.data), options.out, options.job, options.jobs, options.max_bad_share)


if __name__ == "__main__":
    cli.run(Options, main, "Log-mel features (stage 1) of one job's part of a data directory; goes on where it was.")
