"""SUPERB: train and test its tasks on the features of one frozen model, by s3prl."""

from m2d.common.cli import run
from m2d.superb.config import SuperbConfig
from m2d.superb.results import write_results
from m2d.superb.runner import run_all


def main(config: SuperbConfig) -> None:
    runs = run_all(config)
    if config.job is None:
        write_results(config, runs)


if __name__ == "__main__":
    run(SuperbConfig, main, __doc__)
