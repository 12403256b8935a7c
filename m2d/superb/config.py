"""Options of `m2d.bin.superb`, and what its `model` may name."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from pathlib import Path
from typing import Any

from omegaconf import MISSING

from m2d.common.config import option
from m2d.common.errors import UserError
from m2d.common.files import sha256
from m2d.superb.tasks import Corpora


@dataclasses.dataclass
class LearningRates:
    """Learning rate of a task in the place of its settings file's."""

    pr: float | None = option(None, "PR")
    ks: float | None = option(None, "KS")
    ic: float | None = option(None, "IC")
    sid: float | None = option(None, "SID")
    er: float | None = option(None, "ER")


@dataclasses.dataclass
class SuperbConfig:
    """Options of the SUPERB runner."""

    model: str = option(MISSING, "model directory or published checkpoint, random:DIRECTORY, logmel[:FRAMES], "
                                 "hubert:FOLDER_OR_ID, or the name of an s3prl upstream, NAME[:CHECKPOINT]")
    exp: str = option(MISSING, "folder for this model's runs, results.json and RESULTS.md")
    tasks: list[str] = option(factory=lambda: ["pr", "ks", "ic", "sid", "er"], help="which tasks")
    seeds: list[int] = option(factory=lambda: [0], help="each task is trained once per seed")
    conf: str = option("conf/superb", "folder with a settings file per task")
    overlays: list[str] = option(factory=list, help="files laid over the settings, such as conf/superb/mini.yaml")
    lr: LearningRates = option(factory=LearningRates)
    corpora: Corpora = option(factory=Corpora)
    statistics: str = option("", "folder of the tasks' log-mel statistics, shared by models; 'statistics' beside exp "
                                 "unless given")
    cache_gib: float = option(2.0, "memory per task process for features of clips heard before; 0 computes them anew")
    device: str = option("cuda", "cuda, cuda:N or cpu")
    jobs: int = option(1, "tasks run at the same time")
    threads: int = option(1, "CPU threads of each")
    corpus: str = option("SUPERB", "what the tables call the data; any other name marks the results as not comparable")
    label: str = option("", "what the tables call the model; its path unless given")


@dataclasses.dataclass(frozen=True)
class Model:
    """A model as s3prl gets it: hub name, checkpoint, and what of our upstream settings applies to it."""

    upstream: str
    ckpt: str | None
    takes_statistics: bool
    takes_seed: bool

    @property
    def ours(self) -> bool:
        """Whether it is one of our upstreams, which take settings and keep features."""
        return self.upstream.startswith("m2d_")

    def settings(self, seed: int, cache_gib: float) -> dict[str, Any] | None:
        """What goes into the upstream's settings file for a run of this seed; None for s3prl's own upstreams."""
        if not self.ours:
            return None
        return {"cache_gib": cache_gib, **({"seed": seed} if self.takes_seed else {})}


def resolve_model(text: str) -> Model:
    """What `model=TEXT` names.

    Raises `UserError` for a folder that is no model directory and for text that can be neither folder nor name.
    """
    kind, _, rest = text.partition(":")
    if kind == "random":
        return Model("m2d_random_local", _model_directory(rest), True, True)
    if kind == "logmel":
        if rest and not re.fullmatch("[1-9][0-9]*", rest):
            raise UserError(f"model={text}: write logmel or logmel:FRAMES, the frames of a patch")
        return Model("m2d_logmel", rest or "2", True, False)
    if kind == "hubert" and rest:
        return Model("m2d_hubert_local", str(Path(rest).resolve()) if Path(rest).is_dir() else rest, False, False)
    if "/" in kind or Path(text).exists():
        return Model("m2d_local", _model_directory(text), True, False)
    if not kind.isidentifier():
        raise UserError(f"model={text}: neither a model directory nor the name of an s3prl upstream")
    return Model(kind, str(Path(rest).resolve()) if Path(rest).exists() and rest else rest or None, False, False)


def fingerprint(model: Model) -> str | None:
    """A digest of the weights and configuration the model's path holds now; None where it has no path here.

    Results are kept for a path with this content: a model trained anew is tested anew.
    """
    if model.ckpt is None or not Path(model.ckpt).exists():
        return None
    path = Path(model.ckpt)
    files = [path] if path.is_file() else sorted(
        file for file in path.iterdir() if file.suffix in (".safetensors", ".bin", ".json"))
    return hashlib.sha256("".join(sha256(file) for file in files).encode()).hexdigest()[:16]


def _model_directory(path: str) -> str:
    if not Path(path).is_file() and not (Path(path) / "config.json").is_file():
        raise UserError(f"{path or 'random:'}: no model directory (no config.json in it); make one with m2d.bin.export")
    return str(Path(path).resolve())
