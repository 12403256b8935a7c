"""Linear probe of one image model on ImageNet or a folder laid out like it."""

from m2d.common import cli
from m2d.evaluation.images import ProbeOptions, probe

if __name__ == "__main__":
    cli.run(ProbeOptions, probe, __doc__)
