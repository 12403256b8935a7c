"""Locates a teacher: a local folder, or a model id of the Hugging Face hub."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from huggingface_hub.utils import get_session

from m2d.common.errors import UserError
from m2d.common.files import read_json

CONFIG = "config.json"
PREPROCESSOR = "preprocessor_config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
CONNECT_S = 5.0
"""Timeout in seconds of the hub's first answer; its own client would retry for one to two minutes."""


def read_config(model: str) -> dict[str, Any]:
    """`config.json` of a local folder or a hub id. `UserError` as `locate`, and for a file that is no JSON object."""
    folder = Path(model).expanduser()
    path = folder / CONFIG if folder.is_dir() else _from_hub(model, _fetch_config)
    try:
        config = read_json(path)
        return {**config}
    except FileNotFoundError:
        raise UserError(f"{folder}: not a whole model folder, {CONFIG} is missing") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{path}: not a model's configuration ({error})") from error


def locate(model: str) -> Path:
    """The folder that holds a transformers model's `config.json`, `preprocessor_config.json` and weights.

    Files in the hub's cache are used without network access.

    Raises `UserError` for a folder that is missing or incomplete, an unknown id, and a hub that can't be reached.
    """
    folder = Path(model).expanduser()
    if not folder.is_dir():
        return _from_hub(model, _fetch_all)
    for names in ((CONFIG,), (PREPROCESSOR,), WEIGHTS):
        if not any((folder / name).is_file() for name in names):
            raise UserError(f"{folder}: not a whole model folder, {' or '.join(names)} is missing")
    return folder


def _from_hub(model: str, fetch: Callable[[str, bool], Path]) -> Path:
    """Result of `fetch(model, cache only)`: from the cache, else from the network."""
    if not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", model):
        raise UserError(f"{model}: no such folder, and not the id of a model on the hub either. {_local_copy(model)}")
    try:
        return fetch(model, True)
    except LocalEntryNotFoundError:
        pass
    try:
        get_session().head(constants.ENDPOINT, timeout=CONNECT_S)
    except Exception as error:  # requests or httpx, by the client's version
        raise UserError(f"{model}: no such folder here, and the Hugging Face hub ({constants.ENDPOINT}) can't be "
                        f"reached ({type(error).__name__}). {_local_copy(model)}") from error
    try:
        return fetch(model, False)
    except Exception as error:  # unknown id, gated model, broken connection: each its own type by version
        raise UserError(f"{model}: no such folder here, and the Hugging Face hub did not give it "
                        f"({str(error).strip().partition(chr(10))[0]}). {_local_copy(model)}") from error


def _fetch_config(model: str, cache_only: bool) -> Path:
    return Path(hf_hub_download(model, CONFIG, local_files_only=cache_only))


def _fetch_all(model: str, cache_only: bool) -> Path:
    folder = _fetch_config(model, cache_only).parent
    hf_hub_download(model, PREPROCESSOR, local_files_only=cache_only)
    try:
        hf_hub_download(model, WEIGHTS[0], local_files_only=cache_only)
    except EntryNotFoundError:  # the older checkpoints have the last kind of file only
        hf_hub_download(model, WEIGHTS[-1], local_files_only=cache_only)
    return folder


def _local_copy(model: str) -> str:
    return (f"On a machine with access run 'hf download {model} --local-dir FOLDER', copy FOLDER here "
            "and name it instead: model=FOLDER (run.sh: --teacher FOLDER)")
