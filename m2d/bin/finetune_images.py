"""Fine-tune one image model on labels, all or a few of each class; resumes after an interruption."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from m2d.common import cli
from m2d.common.config import option
from m2d.evaluation.images_report import write_scores
from m2d.training.config import PretrainConfig, Settings
from m2d.training.monitor import read_metrics
from m2d.training.trainer import pretrain


@dataclass
class Options(Settings):
    """Options of `m2d.bin.finetune_images`: those of `m2d.bin.pretrain`; `run.init_from` is the model."""

    label: str = option("", "name of the model in tables")
    label_counts: list[int] = option(factory=lambda: [0], help="training images of each class, one run each; 0: all")


def main(options: Options) -> int:
    """One run below `run.exp` for each count, then finetune/result.json: top-1 accuracy after the last epoch."""
    folder = Path(options.run.exp) / "finetune"
    scores = {}
    for count in options.label_counts:
        image = dataclasses.replace(options.data.image, per_class=count)
        exp = folder / f"labels{count or '_all'}"
        status = pretrain(PretrainConfig(dataclasses.replace(options.data, image=image), options.model, options.optim,
                                         dataclasses.replace(options.run, exp=str(exp))))
        if status:
            return status
        accuracy = [line["valid_top1"] for line in read_metrics(exp / "metrics.jsonl") if "valid_top1" in line]
        scores[str(count)] = [100 * accuracy[-1]]
    write_scores(folder, options.label, options.run.seed, scores, options)
    return 0


if __name__ == "__main__":
    cli.run(Options, main, __doc__)
