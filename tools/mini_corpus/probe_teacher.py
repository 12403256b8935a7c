"""Probe of a teacher for phones."""

from dataclasses import dataclass

from m2d.common import cli
from m2d.common.config import option
from m2d.data.datadir import DataDir
from mini_corpus.probe import probe_teacher


@dataclass
class Options:
    model: str = option(help="folder or hub id of the teacher")
    train: str = option(help="data directory to fit the classifiers on")
    test: str = option(help="data directory to score them on, of other speakers")
    alignments: str = option(help="phone times of both: a CTM file, or a folder of such")
    out: str = option(help="folder for probe.json and probe.png")
    layers: list[int] = option(help="transformer layers to probe", factory=lambda: [3, 6, 9, 12])
    clips: int = option(200, "utterances to fit and to score on, at most")
    seed: int = option(0, "which utterances, and the random weights of the baseline")


def main(options: Options) -> None:
    """Fit and test one classifier a layer."""
    probe_teacher(options.model, options.layers, DataDir.read(options.train), DataDir.read(options.test),
                  options.alignments, options.out, options.clips, options.seed)


if __name__ == "__main__":
    cli.run(Options, main, "Linear probe of phones: layers of a teacher, the same with random weights, log-mels.")
