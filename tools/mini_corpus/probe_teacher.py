"""Linear probes of a teacher's layers for phones, words and speakers."""

from dataclasses import dataclass

from m2d.common import cli
from m2d.common.config import option
from m2d.data.datadir import DataDir
from mini_corpus.probe import folder_probe, phone_probe, probe_teacher


@dataclass
class Options:
    model: str = option(help="folder or hub id of the teacher")
    train: str = option(help="data directory whose phones the classifiers are fitted on")
    test: str = option(help="data directory of other speakers, to score them on")
    alignments: str = option(help="phone times of both: a CTM file, or a folder of such")
    words: str = option(help="folder of a folder of recordings for each word (Speech Commands)")
    speakers: str = option(help="folder of a folder of sessions for each speaker (VoxCeleb1)")
    out: str = option(help="folder for probe.json and probe.png")
    utterances: int = option(120, "utterances for phones, to fit and to score on, at most")
    clips: int = option(1500, "recordings of words and of speakers, at most")
    seed: int = option(0, "random weights of the baseline")


def main(options: Options) -> None:
    """Fit and test a classifier of each kind for each layer."""
    train, test = DataDir.read(options.train), DataDir.read(options.test)
    probes = {"phones": phone_probe(train, test, options.alignments, options.utterances),
              "words": folder_probe(options.words, options.clips),
              "speakers": folder_probe(options.speakers, options.clips)}
    probe_teacher(options.model, probes, options.out, options.seed)


if __name__ == "__main__":
    cli.run(Options, main, __doc__)
