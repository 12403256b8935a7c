"""The tasks of SUPERB, one module each: its corpus, what must be there, and its measures."""
