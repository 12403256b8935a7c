"""A corpus as downloaded to a Kaldi data directory."""

from m2d.common import cli
from m2d.data.corpora.prepare import PrepareConfig, prepare

if __name__ == "__main__":
    cli.run(PrepareConfig, prepare, "A corpus as downloaded (stage 0) to a Kaldi data directory.")
