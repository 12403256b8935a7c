"""What a model file is: layout, front end, size, statistics, heads, and what it can do."""

from dataclasses import dataclass

from omegaconf import MISSING

from m2d.common import cli
from m2d.common.options import option
from m2d.pretrained.info import describe


@dataclass
class Options:
    model: str = option(MISSING, "model directory, published checkpoint, or OWNER/NAME on the Hugging Face hub")
    heads: int | None = option(None, "attention heads, for a published checkpoint of unknown size")
    sample_rate: int | None = option(None, "16000 or 32000 Hz, for a published checkpoint")


def main(options: Options) -> None:
    """Read and print."""
    print(describe(options.model, options.heads, options.sample_rate))


if __name__ == "__main__":
    cli.run(Options, main, __doc__, positional=("model",))
