"""One array per model and task with a row per clip: computed once, cached by content, resumable."""

import os
import time
from pathlib import Path

import numpy as np
import torch

from m2d.common.files import read_json, write_json
from m2d.evaluation.clips import wave_batches
from m2d.evaluation.task import Task
from m2d.pretrained.models import Embedder

SAVE_EVERY_S = 30.0


def compute_features(directory: str | Path, task: Task, model: Embedder, batch_size: int, workers: int,
                     dtype: str = "float32", all_layers: bool = False) -> np.ndarray:
    """The model's output for every clip, `[clips, ...]`, memory-mapped; the row of a clip that can't be decoded is NaN.

    With `all_layers` the vectors of every layer, `[clips, L, D]`. `directory` gets `features.npy` and `features.json`,
    which identifies the inputs by content: features are computed again for other weights, rows, audio or statistics.
    Interrupted work resumes after the last saved batch; damaged files are made anew.
    """
    directory = Path(directory)
    final, meta = directory / "features.npy", directory / "features.json"
    part, state = directory / "features.part.npy", directory / "features.part.json"
    key = {"task": task.digest(), "model": model.identity, "dtype": dtype, "layers": all_layers}
    kept = _mapped(final, len(task.clips))
    if kept is not None and read_json(meta, {}).get("key") == key:
        return kept
    directory.mkdir(parents=True, exist_ok=True)
    saved = read_json(state, {})
    if saved.get("key") != key or _mapped(part, len(task.clips)) is None:
        saved = {"key": key, "done": 0, "unreadable": []}
    rows = np.lib.format.open_memmap(part, "r+") if saved["done"] else None
    last = time.monotonic()
    position = saved["done"]
    for waves, faults in wave_batches(task, task.clips[position:], model.sample_rate, batch_size, workers):
        with torch.inference_mode():
            waves = waves.to(model.device)
            output = torch.stack(model.layers(waves), 1) if all_layers else model(waves)
        batch = output.float().cpu().numpy()
        batch[[bool(fault) for fault in faults]] = np.nan
        if rows is None:
            rows = np.lib.format.open_memmap(part, "w+", dtype, (len(task.clips), *batch.shape[1:]))
        rows[position:position + len(batch)] = batch
        position += len(batch)
        saved["unreadable"] += filter(None, faults)
        if time.monotonic() - last > SAVE_EVERY_S:
            rows.flush()
            write_json(state, saved | {"done": position})
            last = time.monotonic()
    del rows  # written out and closed
    meta.unlink(missing_ok=True)  # it described the old array, if there is one
    os.replace(part, final)
    write_json(meta, {"key": key, "unreadable": saved["unreadable"]})
    state.unlink(missing_ok=True)
    return np.load(final, mmap_mode="r")


def _mapped(path: Path, rows: int) -> np.ndarray | None:
    """The array of a file; None where there is none of so many rows."""
    try:
        array = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return array if array.shape[:1] == (rows,) else None


def unreadable(directory: str | Path) -> list[str]:
    """The clips that could not be decoded when the features of a folder were computed, with reasons."""
    return read_json(Path(directory) / "features.json")["unreadable"]
