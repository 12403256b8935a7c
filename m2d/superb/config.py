"""Options of `m2d.bin.superb`, and what its `model` may name."""

import dataclasses
from pathlib import Path
from typing import Any

from omegaconf import MISSING

from m2d.common.config import option
from m2d.common.errors import UserError
from m2d.pretrained.files import CONFIG, find_file
from m2d.pretrained.names import FORMS, parse_model
from m2d.superb.task import Corpora


@dataclasses.dataclass
class LearningRates:
    """Learning rate of a task, instead of its settings file's."""

    pr: float | None = option(None, "PR")
    asr: float | None = option(None, "ASR")
    ks: float | None = option(None, "KS")
    sid: float | None = option(None, "SID")
    asv: float | None = option(None, "ASV")
    sd: float | None = option(None, "SD")
    ic: float | None = option(None, "IC")
    sf: float | None = option(None, "SF")
    er: float | None = option(None, "ER")


@dataclasses.dataclass
class SuperbConfig:
    model: str = option(MISSING, f"{FORMS}; logmel:FRAMES for patches of more than 2 frames")
    exp: str = option(MISSING, "folder for this model's runs, results.json and RESULTS.md")
    tasks: list[str] = option(factory=lambda: ["pr", "ks", "ic", "sid", "er"],
                              help="which of pr asr ks qbe sid asv sd ic sf er; commands of one exp, one per task, may "
                                   "run at the same time")
    seeds: list[int] = option(factory=lambda: [0], help="each task is trained once per seed")
    conf: str = option("conf/superb", "folder with a settings file per task")
    overlays: list[str] = option(factory=list, help="files laid over the settings, such as conf/superb/mini.yaml")
    lr: LearningRates = option(factory=LearningRates)
    sweep: list[float] = option(factory=list, help="learning rates to train each task with, as SUPERB's protocol has "
                                                   "it; the one that is best on the dev part counts")
    corpora: Corpora = option(factory=Corpora)
    statistics: str = option("", "folder of the tasks' log-mel statistics, shared by models; 'statistics' beside exp "
                                 "unless given")
    cache_gib: float = option(2.0, "memory per task process for features of clips seen before; 0 computes them again")
    features_gib: float = option(0.0, "disk for the features of each task, in EXP/features: computed once for all "
                                      "learning rates, seeds and later calls; remove the folder when done",
                                 within="[0, inf)")
    device: str = option("cuda", "cuda, cuda:N or cpu")
    jobs: int = option(1, "tasks run at the same time")
    job: int | None = option(None, "run only the task of this number, from 1, of the chosen ones, and write no tables")
    threads: int = option(1, "CPU threads of each")
    corpus: str = option("SUPERB", "what the tables call the data; any other name marks the results as not comparable")
    label: str = option("", "what the tables call the model; its path unless given")


UPSTREAMS = {"own": "m2d_local", "random": "m2d_random_local", "logmel": "m2d_logmel", "hf": "m2d_hubert_local"}
"""Our upstream for each kind of model's name; of the kind s3prl, the name is the upstream."""


@dataclasses.dataclass(frozen=True)
class Model:
    """A model as s3prl gets it: hub name, checkpoint, and the seed of random weights where the name gives one."""

    upstream: str
    ckpt: str | None
    seed: int | None = None

    @property
    def ours(self) -> bool:
        """Whether it is one of our upstreams, which take settings and keep features."""
        return self.upstream in UPSTREAMS.values()

    @property
    def takes_statistics(self) -> bool:
        """Whether its input is a log-mel, normalised by the task's statistics."""
        return self.ours and self.upstream != UPSTREAMS["hf"]

    def settings(self, seed: int, cache_gib: float) -> dict[str, Any] | None:
        """What goes into the upstream's settings file for a run of this seed; None for s3prl's own upstreams."""
        if not self.ours:
            return None
        drawn = {"seed": seed if self.seed is None else self.seed} if self.upstream == UPSTREAMS["random"] else {}
        return {"cache_gib": cache_gib, **drawn}


def resolve_model(text: str) -> Model:
    """What `model=TEXT` names (see `m2d.pretrained.names`). `UserError` for no model directory or an unknown form."""
    name = parse_model(text)
    if name.kind == "s3prl":
        return Model(name.source, _absolute(name.detail) or None)
    if name.kind == "logmel":
        return Model(UPSTREAMS["logmel"], name.detail or "2")
    if name.kind == "hf":
        return Model(UPSTREAMS["hf"], _absolute(name.source))
    found = find_file(name.source).resolve()
    if found.is_dir() and not (found / CONFIG).is_file():
        raise UserError(f"{name.source}: no model directory (no {CONFIG} in it); make one with m2d export")
    return Model(UPSTREAMS[name.kind], str(found), int(name.detail) if name.detail else None)


def _absolute(path: str) -> str:
    """A path from here as one from anywhere; what is not here (a hub's id, an address) as it is."""
    return str(Path(path).resolve()) if path and Path(path).exists() else path
