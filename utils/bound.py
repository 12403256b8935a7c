#!/usr/bin/env python3
"""Run a command that ends with its parent, for whatever reason the parent ends.

usage: bound.py PARENT COMMAND...    PARENT is the caller's process number
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout, with or without an environment

from m2d.common.lifetime import end_with_parent

if __name__ == "__main__":
    parent, *command = sys.argv[1:]
    end_with_parent(int(parent))
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")
