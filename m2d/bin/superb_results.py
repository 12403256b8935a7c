"""One table, and a figure, of several models' SUPERB results beside published rows."""

from m2d.common.cli import run
from m2d.superb.results import TableConfig, write_table

if __name__ == "__main__":
    run(TableConfig, write_table, __doc__)
