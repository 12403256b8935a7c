"""Check that a model works as an s3prl upstream."""

from m2d.common.cli import run
from m2d.superb.check import CheckConfig, check

if __name__ == "__main__":
    run(CheckConfig, check, __doc__)
