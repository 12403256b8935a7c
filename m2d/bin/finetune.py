"""Fine-tune one model on one prepared task."""

from dataclasses import dataclass

from m2d.common import cli
from m2d.common.config import option
from m2d.evaluation.finetune import TuneOptions
from m2d.evaluation.runs import finetune_task


@dataclass
class Options:
    """Options of `m2d.bin.finetune`."""

    model: str = option(help="model directory, published checkpoint, OWNER/NAME, random:DIR[:SEED]")
    task: str = option(help="folder of a prepared task")
    out: str = option(help="experiment directory; the result goes to its finetune/TUNING/TASK/")
    tuning: str = option(help="name of these settings, in paths and tables: table2, public, ...")
    label: str | None = option(None, "name of the model in tables (default: model)")
    tune: TuneOptions = option(factory=TuneOptions)
    seeds: list[int] = option(factory=lambda: [0, 1, 2], help="one run each; mean and 95% interval over them")
    device: str = option("auto", "auto (CUDA where there is one), cuda, cpu")
    workers: int = option(4, "processes that read audio; 0 reads in the main process")


def main(options: Options) -> None:
    """Log-mels, runs, result."""
    finetune_task(options.model, options.label or options.model, options.task, options.out, options.tuning,
                  options.tune, options.seeds, options.device, options.workers)


if __name__ == "__main__":
    cli.run(Options, main, __doc__)
