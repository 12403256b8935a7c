"""What a model file is: layout, front end, size, statistics, heads, what it can do; or settings to go on from it."""

from dataclasses import dataclass

from omegaconf import MISSING

from m2d.common import cli
from m2d.common.options import option
from m2d.pretrained.info import describe, settings


@dataclass
class Options:
    model: str = option(MISSING, "model directory, published checkpoint, or OWNER/NAME on the Hugging Face hub")
    heads: int | None = option(None, "attention heads, for a published checkpoint of unknown size")
    sample_rate: int | None = option(None, "16000 or 32000 Hz, for a published checkpoint")
    show: str = option("page", "page; settings: KEY=VALUE words with which m2d pretrain goes on from the weights",
                      choices=("page", "settings"))
    seconds: float | None = option(None, "show=settings: length of the clips, where the model's input is longer")


def main(options: Options) -> None:
    print(describe(options.model, options.heads, options.sample_rate) if options.show == "page"
          else "\n".join(settings(options.model, options.heads, options.seconds)))


if __name__ == "__main__":
    cli.run(Options, main, __doc__, positional=("model",))
