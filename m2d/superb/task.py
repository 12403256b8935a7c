"""What a SUPERB task is: where it finds its data, what it measures, and the settings that s3prl reads.

A task is a module of `m2d.superb.tasks` with `@TASKS.register(NAME)`, and `conf/superb/NAME.yaml`.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf

from m2d.common.config import option, read_yaml, refused
from m2d.common.errors import UserError, errors_at
from m2d.common.registry import Registry

TITLES = ("PR", "ASR", "KS", "QbE", "SID", "ASV", "SD", "IC", "SF", "ER")
"""The order of SUPERB's own table."""


@dataclasses.dataclass
class Corpora:
    """Where the corpora of the tasks lie; only those of the chosen tasks are checked."""

    librispeech: str = option("", "PR, ASR: folder with train-clean-100, dev-clean, test-clean")
    lexicon: list[str] = option(factory=list, help="PR: files of 'WORD PH PH' (ARPAbet with stress, such as CMUdict)")
    speech_commands: str = option("", "KS: Speech Commands v0.01")
    speech_commands_test: str = option("", "KS: its test set, with _silence_ and _unknown_")
    quesst14: str = option("", "QbE: quesst14Database")
    voxceleb1: str = option("", "SID, ASV: folder with dev/wav and test/wav")
    voxceleb1_pairs: str = option("", "ASV: veri_test.txt, lines '0|1 id10270/VIDEO/00001.wav id10273/VIDEO/00002.wav'")
    voxceleb1_split: str = option("", "SID: iden_split.txt, lines '1|2|3 id10001/VIDEO/00001.wav'")
    libri2mix: str = option("", "SD: folder of Kaldi data directories train, dev and test of Libri2Mix")
    fluent: str = option("", "IC: fluent_speech_commands_dataset")
    snips: str = option("", "SF: SNIPS, the preprocessed Audio SNIPS")
    iemocap: str = option("", "ER: IEMOCAP_full_release")
    iemocap_tables: str = option("", "ER: SUPERB's fold tables, s3prl/downstream/emotion/meta_data of s3prl's "
                                     "repository; without them, tables are made here and the dev parts are others")


class Measure(NamedTuple):
    """One column of the table.

    `pattern` finds the number in what s3prl prints at its evaluation (None: `Task.score` gives it), `scale` makes it
    per cent.
    """

    column: str
    name: str
    pattern: str | None
    scale: float = 100.0
    lower_is_better: bool = False


@dataclasses.dataclass(frozen=True)
class Task:
    """One task.

    Attributes:
        module: its name under `s3prl.downstream`.
        measures: the first is the one that counts.
        prepare: checks the corpora, writes the tables that s3prl needs into a folder, fills in the settings; gives the
            files and folders that the task reads. It may set `note`, a sentence for the results.
        folds: numbers of the test folds, or a single None.
        split, best: what s3prl calls the test part, and the checkpoint that was best on the dev part.
        dev_is_error: whether the dev score that chooses this checkpoint is better when lower.
        score: computes the measures from what s3prl left in the experiment's folder and the task's settings, per cent.
        recordings: all recordings that prepared settings name, by the part they are in; each is a list of the places
            where s3prl looks for it. None: they are found by searching folders.
        published: the corpus in `m2d.data.corpora.published` that the parts belong to.
        by_layer: nothing is trained; each layer is evaluated and the best on the dev part counts.
        every_state: there is no dev part; each kept state is tested and the best counts.
        statistics_split: the part whose log-mel statistics normalise the input.
        cut_at_random: some training audio is a random part of a recording, and is never heard again.
    """

    title: str
    module: str
    measures: tuple[Measure, ...]
    prepare: Callable[[Corpora, Path, dict[str, Any]], list[str]]
    folds: tuple[int | None, ...] = (None,)
    split: str = "test"
    best: str = "dev-best.ckpt"
    dev_is_error: bool = False
    score: Callable[[Path, dict[str, Any], str], dict[str, float]] | None = None
    recordings: Callable[[dict[str, Any]], Iterator[tuple[str, list[Path]]]] | None = None
    published: str = ""
    by_layer: bool = False
    every_state: bool = False
    statistics_split: str = "train"
    cut_at_random: bool = False

    def prepared(self, corpora: Corpora, tables: Path, config: dict[str, Any]) -> list[str]:
        """What `prepare` gives. Raises `UserError` for a corpus that is not as s3prl expects it."""
        with errors_at(f"SUPERB {self.title}"):
            return self.prepare(corpora, tables, config)


TASKS: Registry[Task] = Registry("SUPERB task", "m2d.superb.tasks")


def ordered(names: list[str]) -> list[str]:
    """The names without repetition, in the order of SUPERB's table. Raises `UserError` for an unknown one or none."""
    if not names:
        raise UserError(f"no task given: choose from {', '.join(ordered(list(TASKS)))}")
    titles = [TASKS.get(name).title for name in names]
    ranks = {name: TITLES.index(title) if title in TITLES else len(TITLES)
             for name, title in zip(names, titles, strict=True)}
    return sorted(ranks, key=lambda name: (ranks[name], name))


def folder(path: str, name: str, content: str) -> Path:
    """The absolute folder. Raises ValueError that names the option `corpora.NAME` and what should be in it."""
    return _given(path, name, f"the folder with {content}", "folder", Path(path).is_dir())


def file(path: str, name: str, content: str) -> Path:
    """The absolute file. Raises ValueError that names the option `corpora.NAME` and what it should be."""
    return _given(path, name, content, "file", Path(path).is_file())


def _given(path: str, name: str, what: str, kind: str, is_there: bool) -> Path:
    if not path:
        raise ValueError(f"option 'corpora.{name}' is not set: give {what}")
    if not is_there:
        raise ValueError(f"corpora.{name}={path}: no such {kind}; it should be {what}")
    return Path(path).resolve()


def read_settings(conf: Path, overlays: list[str], task: str) -> dict[str, Any]:
    """The task's settings `conf/TASK.yaml` with each overlay's section of that task laid over it.

    Besides what s3prl reads they may hold `statistics: {mean, std}`.

    Raises `UserError` for missing or broken files, and for an overlay with a section that is no task or a key
    that the settings do not have.
    """
    settings = read_yaml(conf / f"{task}.yaml")
    OmegaConf.set_struct(settings, True)
    for path in overlays:
        sections = read_yaml(path)
        for name in sections:
            if name not in list(TASKS):
                raise UserError(f"{path}: section '{name}' is none of {', '.join(ordered(list(TASKS)))}")
        if task in sections:
            with refused(f"{path}: section {task}"):
                settings = OmegaConf.merge(settings, sections[task])
    with refused(f"settings of {task}"):
        return OmegaConf.to_container(settings, resolve=True)


def data_settings(config: dict[str, Any]) -> dict[str, Any]:
    """The section of a task's settings that describes its data: s3prl's modules call it by three names."""
    expert = config["downstream_expert"]
    return expert.get("loaderrc") or expert.get("datarc") or expert["corpus"]


def data_key(config: dict[str, Any]) -> str:
    """A short name for the data that a task's settings point at: statistics are kept under it."""
    data = {key: value for key, value in data_settings(config).items() if key not in ("num_workers", "test_fold")}
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:12]
