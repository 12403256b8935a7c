"""Corrections to single task modules of s3prl 0.4.18, made at run time; its own files stay as they are."""

from __future__ import annotations

import sys
from pathlib import Path


def before_downstream(task: str, cache: Path) -> None:
    """Correct the one task module of s3prl (`ctc`, `voxceleb1`, ...) that is about to be used.

    Args:
        task: name of the module under `s3prl.downstream`.
        cache: a folder of this experiment for s3prl's own list files.
    """
    if task == "ctc":
        from m2d.superb import libriphone

        # the wheel lacks downstream/ctc/corpus; Python looks here before it searches for a file
        sys.modules["s3prl.downstream.ctc.corpus.libriphone"] = libriphone
        from s3prl.downstream.ctc import expert
        from s3prl.downstream.ctc.data import load_dataset

        # the loader pops num_workers from the shared settings, so every later loader would start 12 workers
        expert.load_dataset = lambda split, tokenizer, corpus: load_dataset(split, tokenizer, dict(corpus))
    elif task == "voxceleb1":
        from s3prl.downstream.voxceleb1 import dataset

        # s3prl keeps its file lists inside site-packages by split alone: a second corpus would get the first one's
        dataset.CACHE_PATH = f"{cache}/"
