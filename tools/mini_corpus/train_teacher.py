"""The mini corpus's own teacher."""

from dataclasses import dataclass

from m2d.common import cli
from m2d.common.config import option
from m2d.data.datadir import DataDir
from mini_corpus.teacher_training import TrainOptions, train_mini_teacher


@dataclass
class Options:
    data: str = option(help="data directory of speech")
    valid: str = option(help="data directory of other speakers, to measure on")
    out: str = option(help="folder of the model, loaded like any other of transformers")
    train: TrainOptions = option(factory=TrainOptions)


def main(options: Options) -> None:
    """Read the data directories, train, write."""
    train_mini_teacher(DataDir.read(options.data), DataDir.read(options.valid), options.out, options.train)


if __name__ == "__main__":
    cli.run(Options, main, "Train the mini corpus's teacher: a small HuBERT, by masked prediction of clustered units.")
