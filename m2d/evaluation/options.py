"""Options that all evaluations of a model share."""

from dataclasses import dataclass

from omegaconf import MISSING

from m2d.common.config import option
from m2d.pretrained.names import FORMS


@dataclass
class EvaluationOptions:
    """The model, where its results go, and what computes them."""

    model: str = option(MISSING, FORMS)
    out: str = option(MISSING, "experiment directory; results go below it")
    label: str | None = option(None, "name of the model in tables (default: model)")
    device: str = option("auto", "auto (CUDA where there is one), cuda, cpu")
    workers: int = option(4, "processes that read and decode; 0: the main process does")
