"""Pre-train M2D, M2D-S, M2D-X or MSM-MAE; resume when `run.exp` holds a run."""

from m2d.common import cli
from m2d.training.config import PretrainConfig
from m2d.training.trainer import Probe, pretrain


def open_probe(task: str) -> Probe:
    """The probe of a prepared task. Imported on demand: scikit-learn takes as long as torch."""
    from m2d.evaluation.watch import open_watch
    return open_watch(task)


if __name__ == "__main__":
    cli.run(PretrainConfig, lambda config: pretrain(config, open_probe), __doc__)
