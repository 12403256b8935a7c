"""Networks and objectives, independent of files and audio: channels and patch grid are parameters."""

from m2d.nn.config import ModelConfig
from m2d.nn.objectives import Objective, ObjectiveOutput

__all__ = ["ModelConfig", "Objective", "ObjectiveOutput", "build_objective"]


def build_objective(config: ModelConfig) -> Objective:
    """The objective that the options name, freshly initialised."""
    return config.objective_class(config)
