"""Corrections to single task modules of s3prl 0.4.18, made at run time; its own files stay as they are."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

from m2d.common.files import sha256


def before_downstream(task: str, config: dict[str, Any], exp: Path) -> None:
    """Correct the one task module of s3prl (`ctc`, `voxceleb1`, ...) that is about to be used.

    Args:
        task: name of the module under `s3prl.downstream`.
        config: the task's settings as s3prl reads them.
        exp: the experiment's folder, for the lists of files that s3prl keeps.
    """
    if task == "ctc":
        if importlib.util.find_spec("s3prl.downstream.ctc.corpus") is None:
            from m2d.superb import libriphone, snips

            # the wheel lacks these modules; Python looks here before it searches for a file
            sys.modules["s3prl.downstream.ctc.corpus.libriphone"] = libriphone
            sys.modules["s3prl.downstream.ctc.corpus.snips"] = snips
        from s3prl.downstream.ctc import expert
        from s3prl.downstream.ctc.data import load_dataset

        # the loader pops num_workers from the shared settings, so every later loader would start 12 workers
        expert.load_dataset = lambda split, tokenizer, corpus: load_dataset(split, tokenizer, dict(corpus))
    elif task == "voxceleb1":
        from s3prl.downstream.voxceleb1 import dataset

        # s3prl keeps its file lists inside site-packages by split alone: a second corpus would get the first one's
        data = config["downstream_expert"]["datarc"]
        corpus = f"{data['file_path']} {sha256(data['meta_data'])}"
        dataset.CACHE_PATH = f"{exp}/s3prl_lists/{hashlib.sha256(corpus.encode()).hexdigest()[:12]}/"
