"""Linear evaluation of one model on prepared tasks."""

from dataclasses import dataclass

from m2d.common import cli
from m2d.common.config import option
from m2d.evaluation.linear import LinearOptions
from m2d.evaluation.runs import linear_tasks
from m2d.pretrained.names import FORMS


@dataclass
class Options:
    """Options of `m2d.bin.linear_eval`."""

    model: str = option(help=FORMS)
    tasks: list[str] = option(help="folders of prepared tasks, [data/esc50,data/us8k,...]")
    out: str = option(help="experiment directory; results go to its linear/TASK/")
    label: str | None = option(None, "name of the model in tables (default: model)")
    linear: LinearOptions = option(factory=LinearOptions)
    device: str = option("auto", "auto (CUDA where there is one), cuda, cpu")
    workers: int = option(4, "processes that read audio; 0 reads in the main process")


def main(options: Options) -> None:
    """Features, classifiers, results."""
    linear_tasks(options.model, options.label or options.model, options.tasks, options.out, options.linear,
                 options.device, options.workers)


if __name__ == "__main__":
    cli.run(Options, main, __doc__)
