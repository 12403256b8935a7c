"""Where a teacher comes from: a local folder, or a model of the Hugging Face hub by its id."""

from __future__ import annotations

import re
from pathlib import Path

from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from huggingface_hub.utils import get_session

from m2d.common.errors import UserError

CONFIG = "config.json"
PREPROCESSOR = "preprocessor_config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
CONNECT_S = 5.0
"""Seconds given to the hub to answer at all; its own client would go on trying for one to two minutes."""


def locate(model: str) -> Path:
    """The folder that holds a teacher's `config.json`, `preprocessor_config.json` and weights.

    `model` is a local folder or a hub id such as `facebook/hubert-base-ls960`. What the hub's cache
    holds is taken from there without asking the network.

    Raises `UserError` for a folder that is missing or incomplete, an unknown id, and a hub that can't be reached.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        for names in ((CONFIG,), (PREPROCESSOR,), WEIGHTS):
            if not any((folder / name).is_file() for name in names):
                raise UserError(f"{folder}: not a whole model folder, {' or '.join(names)} is missing")
        return folder
    if not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", model):
        raise UserError(f"{model}: no such folder, and not the id of a model on the hub either. {_local_copy(model)}")
    return _from_hub(model)


def _from_hub(model: str) -> Path:
    try:
        return _fetch(model, local_files_only=True)
    except LocalEntryNotFoundError:
        pass
    try:
        get_session().head(constants.ENDPOINT, timeout=CONNECT_S)
    except Exception as error:  # requests or httpx, by the client's version
        raise UserError(f"{model}: no such folder here, and the Hugging Face hub ({constants.ENDPOINT}) can't be "
                        f"reached ({type(error).__name__}). {_local_copy(model)}") from error
    try:
        return _fetch(model, local_files_only=False)
    except Exception as error:  # unknown id, gated model, broken connection: each its own type by version
        raise UserError(f"{model}: no such folder here, and the Hugging Face hub did not give it "
                        f"({str(error).strip().partition(chr(10))[0]}). {_local_copy(model)}") from error


def _fetch(model: str, local_files_only: bool) -> Path:
    for name in (CONFIG, PREPROCESSOR):
        path = Path(hf_hub_download(model, name, local_files_only=local_files_only))
    for name in WEIGHTS[:-1]:
        try:
            return Path(hf_hub_download(model, name, local_files_only=local_files_only)).parent
        except EntryNotFoundError:  # the older checkpoints have the last kind of file only
            pass
    hf_hub_download(model, WEIGHTS[-1], local_files_only=local_files_only)
    return path.parent


def _local_copy(model: str) -> str:
    return (f"On a machine with access run 'hf download {model} --local-dir FOLDER', copy FOLDER here "
            "and name it instead: model=FOLDER (run.sh: --teacher FOLDER)")
