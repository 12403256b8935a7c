#!/usr/bin/env python3
"""Print the known word that is nearest to a given one, or nothing: nearest.py WORD KNOWN..."""

import difflib
import sys

if __name__ == "__main__":
    print(*difflib.get_close_matches(sys.argv[1], sys.argv[2:], n=1, cutoff=0.5))
