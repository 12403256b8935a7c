"""Pre-train M2D, M2D-S, M2D-X or MSM-MAE; resume when `run.exp` holds a run."""

from m2d.common import cli
from m2d.evaluation.watch import open_watch
from m2d.training.config import PretrainConfig
from m2d.training.trainer import pretrain

if __name__ == "__main__":
    cli.run(PretrainConfig, lambda config: pretrain(config, open_watch), __doc__)
