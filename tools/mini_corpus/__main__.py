"""Make the mini corpus: synthetic audio in the layouts of the real corpora."""

from dataclasses import dataclass

from m2d.common import cli
from m2d.common.config import option
from mini_corpus.corpus import make_corpus


@dataclass
class Options:
    out: str = option(help="folder of the corpus; what it holds already is not made again")
    parts: list[str] = option(factory=lambda: ["speech", "general"], help="groups (speech, general) or names of sets")
    scale: float = option(1.0, "factor on the numbers of speakers and files")
    jobs: int = option(2, "processes at a time")


def main(options: Options) -> None:
    """Make what is missing."""
    make_corpus(options.out, options.parts, options.scale, options.jobs)


if __name__ == "__main__":
    cli.run(Options, main, __doc__)
