"""Pre-train M2D, M2D-S or MSM-MAE on packed log-mels; resume when `run.exp` holds a run."""

from m2d.common import cli
from m2d.training.config import PretrainConfig
from m2d.training.trainer import pretrain

if __name__ == "__main__":
    cli.run(PretrainConfig, pretrain, __doc__)
