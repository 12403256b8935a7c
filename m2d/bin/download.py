"""Download corpora: fetch, check, unpack. What may not be downloaded by a program is named with its page."""

from dataclasses import dataclass

from m2d.common import cli
from m2d.common.config import option
from m2d.data.downloads.catalogue import CATALOGUE, chosen, download, read_catalogue


@dataclass
class Options:
    names: list[str] = option(factory=list, help="corpora, for example [mini_librispeech,esc50]; none: list them all")
    out: str = option("downloads", "folder that they are unpacked into")
    keep_archives: bool = option(False, "keep the archives after unpacking")
    catalogue: str | None = option(None, "a catalogue of your own, such as one with the addresses of a mirror (the "
                                         "form: m2d/data/downloads/catalogue.yaml)")


def main(options: Options) -> None:
    catalogue = read_catalogue(options.catalogue or CATALOGUE)
    if options.names:
        download(chosen(catalogue, options.names), options.out, options.keep_archives)
        return
    for corpus in catalogue.values():
        parts = [catalogue[name] for name in corpus.includes] or [corpus]
        size = f"{sum(part.gb[0] for part in parts):5.1f} GB" if parts[0].files else "on request"
        print(f"{corpus.name:30} {size:>11}  {corpus.about}")


if __name__ == "__main__":
    cli.run(Options, main, __doc__)
