"""Linear evaluation of one model on prepared tasks."""

from m2d.common import cli
from m2d.evaluation.runs import LinearConfig, linear_tasks

if __name__ == "__main__":
    cli.run(LinearConfig, linear_tasks, __doc__)
