"""SUPERB: train and test PR, KS, IC, SID and ER on the features of one frozen model, by s3prl."""

from m2d.common.cli import run
from m2d.superb.config import SuperbConfig
from m2d.superb.results import write_results
from m2d.superb.runner import run_all


def main(config: SuperbConfig) -> None:
    """Run what is missing, then write the results."""
    write_results(config, run_all(config))


if __name__ == "__main__":
    run(SuperbConfig, main, __doc__)
