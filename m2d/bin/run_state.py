"""What run.exp holds, for the options of m2d.bin.pretrain: prints new, begun or finished.

Status 65, and a line that says what differs: a run of other options or data is there.
"""

from m2d.common import cli
from m2d.training.config import PretrainConfig
from m2d.training.experiment import run_state


def main(config: PretrainConfig) -> None:
    """Print the state."""
    print(run_state(config))


if __name__ == "__main__":
    cli.run(PretrainConfig, main, __doc__)
