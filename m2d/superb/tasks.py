"""The five SUPERB tasks: where each finds its data, what must be there, and the settings s3prl reads."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import omegaconf
from omegaconf import OmegaConf

from m2d.common.config import nearest, option
from m2d.common.errors import UserError
from m2d.superb import checks


@dataclasses.dataclass
class Corpora:
    """Where the corpora of the tasks lie; only those of the chosen tasks are looked at."""

    librispeech: str = option("", "PR: folder with train-clean-100, dev-clean, test-clean")
    lexicon: list[str] = option(factory=list, help="PR: files of 'WORD PH PH' (ARPAbet with stress, such as CMUdict)")
    speech_commands: str = option("", "KS: Speech Commands v0.01")
    speech_commands_test: str = option("", "KS: its test set, with _silence_ and _unknown_")
    fluent: str = option("", "IC: fluent_speech_commands_dataset")
    voxceleb1: str = option("", "SID: folder with dev/wav and test/wav")
    voxceleb1_split: str = option("", "SID: iden_split.txt, lines '1|2|3 id10001/VIDEO/00001.wav'")
    iemocap: str = option("", "ER: IEMOCAP_full_release")
    iemocap_tables: str = option("", "ER: SUPERB's fold tables, s3prl/downstream/emotion/meta_data of s3prl's "
                                     "repository; without them, tables are made here and the dev parts are others")


@dataclasses.dataclass(frozen=True)
class Task:
    """One task: its s3prl module, what it measures, and how its data is put into s3prl's settings.

    Attributes:
        prepare: checks the corpora, writes the tables s3prl needs into a folder, fills in the settings; gives the
            files and folders that the task reads.
        folds: numbers of the test folds, or a single None.
    """

    name: str
    module: str
    title: str
    measure: str
    prepare: Callable[[Corpora, Path, dict[str, Any]], list[str]]
    folds: tuple[int | None, ...] = (None,)


def _pr(corpora: Corpora, tables: Path, config: dict[str, Any]) -> list[str]:
    corpus = config["downstream_expert"]["corpus"]
    splits = corpus["train"] + corpus["dev"] + corpus["test"]
    root = checks.librispeech(corpora.librispeech, splits)
    lexicon = checks.lexicon(corpora.lexicon)
    corpus.update(path=root, lexicon=lexicon)
    config["downstream_expert"]["text"]["vocab_file"] = checks.phone_list(tables / "phones.txt")
    return [*(f"{root}/{split}" for split in splits), *lexicon]


def _ks(corpora: Corpora, tables: Path, config: dict[str, Any]) -> list[str]:
    data = config["downstream_expert"]["datarc"]
    train = checks.speech_commands(corpora.speech_commands, data["batch_size"])
    test = checks.speech_commands_test(corpora.speech_commands_test)
    data.update(speech_commands_root=train, speech_commands_test_root=test)
    return [train, test]


def _ic(corpora: Corpora, tables: Path, config: dict[str, Any]) -> list[str]:
    root = checks.fluent(corpora.fluent)
    config["downstream_expert"]["datarc"]["file_path"] = root
    return [f"{root}/data", f"{root}/wavs"]


def _sid(corpora: Corpora, tables: Path, config: dict[str, Any]) -> list[str]:
    root, split = checks.voxceleb1(corpora.voxceleb1, corpora.voxceleb1_split)
    config["downstream_expert"]["datarc"].update(file_path=root, meta_data=split)
    return [f"{root}/dev/wav", f"{root}/test/wav", split]


def _er(corpora: Corpora, tables: Path, config: dict[str, Any]) -> list[str]:
    root, folds, config["note"] = checks.iemocap(corpora.iemocap, corpora.iemocap_tables, tables / "iemocap")
    config["downstream_expert"]["datarc"].update(root=root, meta_data=folds)
    return [*(f"{root}/Session{number}/sentences/wav" for number in checks.SESSIONS), folds]


TASKS = {task.name: task for task in (
    Task("pr", "ctc", "PR", "PER", _pr),
    Task("ks", "speech_commands", "KS", "Acc", _ks),
    Task("ic", "fluent_commands", "IC", "Acc", _ic),
    Task("sid", "voxceleb1", "SID", "Acc", _sid),
    Task("er", "emotion", "ER", "Acc", _er, folds=(1, 2, 3, 4, 5)),
)}


def choose(names: list[str]) -> list[Task]:
    """The tasks of these names, in the order of the tables.

    Raises `UserError` for an unknown name or none at all.
    """
    for name in names:
        if name not in TASKS:
            raise UserError(f"task '{name}': choose from {', '.join(TASKS)}{nearest(name, list(TASKS))}")
    if not names:
        raise UserError(f"no task given: choose from {', '.join(TASKS)}")
    return [task for name, task in TASKS.items() if name in names]


def read_settings(folder: Path, overlays: list[str], task: str) -> dict[str, Any]:
    """The task's settings `folder/TASK.yaml` with each overlay's section of that task laid over it.

    Besides what s3prl reads they may hold `statistics: {mean, std}`.

    Raises `UserError` for missing or broken files, and for an overlay with a section that is no task or a key
    that the settings do not have.
    """
    settings = _load(folder / f"{task}.yaml")
    OmegaConf.set_struct(settings, True)
    for path in overlays:
        sections = _load(Path(path))
        for name in sections:
            if name not in TASKS:
                raise UserError(f"{path}: section '{name}' is none of {', '.join(TASKS)}")
        if task in sections:
            try:
                settings = OmegaConf.merge(settings, sections[task])
            except omegaconf.errors.OmegaConfBaseException as error:
                raise UserError(f"{path}: section {task}: {str(error).splitlines()[0]}") from error
    return OmegaConf.to_container(settings, resolve=True)


def _load(path: Path) -> omegaconf.DictConfig:
    if not path.is_file():
        raise UserError(f"{path}: no such file of task settings")
    try:
        loaded = OmegaConf.load(path)
    except Exception as error:  # the YAML library raises several unrelated types
        raise UserError(f"{path}: not valid YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(loaded, omegaconf.DictConfig):
        raise UserError(f"{path}: expected 'key: value' lines at the top level")
    return loaded


def data_key(config: dict[str, Any]) -> str:
    """A short name for the data a task's settings point at: statistics are kept under it."""
    expert = config["downstream_expert"]
    data = {key: value for key, value in (expert.get("datarc") or expert["corpus"]).items()
            if key not in ("num_workers", "test_fold")}
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:12]
