"""Fine-tune one model on one prepared task, and keep the fine-tuned model."""

from m2d.common import cli
from m2d.evaluation.runs import FinetuneConfig, finetune_task

if __name__ == "__main__":
    cli.run(FinetuneConfig, finetune_task, __doc__)
