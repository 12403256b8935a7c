"""Corrections to single task modules of s3prl 0.4.18, made at run time; its own files stay as they are."""

import hashlib
import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import joblib
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

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
            from m2d.superb import ctc_corpora

            # the wheel lacks these modules; Python looks here before it searches for a file
            for name in ("libriphone", "snips"):
                sys.modules[f"s3prl.downstream.ctc.corpus.{name}"] = ctc_corpora
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
    elif task == "sv_voxceleb1":
        _verification(config["downstream_expert"]["datarc"])


def _verification(data: dict[str, Any]) -> None:
    """Speaker verification: an unused import, lengths kept in site-packages, masks that go to a GPU."""
    sys.modules.setdefault("sox", types.SimpleNamespace(Transformer=None))
    from s3prl.downstream.sv_voxceleb1 import dataset, expert
    from s3prl.downstream.sv_voxceleb1.model import Model

    dev = Path(data["file_path"]) / "dev" / "wav"
    sizes = "".join(f"{wav.relative_to(dev)} {wav.stat().st_size}\n" for wav in sorted(dev.rglob("*.wav")))
    lists = Path(data["dev_meta_data"]).parent / hashlib.sha256(sizes.encode()).hexdigest()[:12]
    lists.mkdir(parents=True, exist_ok=True)
    dataset.__file__ = str(lists / "dataset.py")  # the lengths are kept beside it
    dataset.Parallel = lambda n_jobs: joblib.Parallel(torch.get_num_threads())  # n_jobs is 12, whatever the machine

    class OnItsDevice(Model):
        """s3prl's model with masks that follow the features, whatever the device."""

        def forward(self, features: Tensor, mask: Tensor) -> Tensor:
            return super().forward(features, mask.to(features.device))

        def inference(self, features: Tensor, mask: Tensor) -> Tensor:
            return super().inference(features, mask.to(features.device))

    expert.Model = OnItsDevice
    expert.pad_sequence = _padded


class _Mask(Tensor):
    """`[B, T]`: s3prl sends it to the GPU, where there may be none."""

    def cuda(self, *_: Any, **__: Any) -> Tensor:
        return self.as_subclass(Tensor)


def _padded(rows: list[Tensor], **options: Any) -> Tensor:
    padded = pad_sequence(rows, **options)
    return padded.as_subclass(_Mask) if padded.ndim == 2 else padded
