"""Data directory to features of a pre-trained model, one job of several: a file per utterance, or a packed store."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import MISSING

from m2d.common.device import PRECISIONS, pick_device
from m2d.common.errors import UserError
from m2d.common.files import atomic_open, read_json, write_json
from m2d.common.options import option
from m2d.data.datadir import DataDir
from m2d.data.extract import NetworkOptions, allowed_failures, extract
from m2d.data.writer import FailureLog, PackedWriter, Writer
from m2d.pretrained.features import M2DFeatures


@dataclass
class FeatureOptions(NetworkOptions):
    model: str = option(MISSING, "model directory, published checkpoint file, or OWNER/NAME on the Hugging Face hub")
    layer: int | None = option(None, "layer, from 0; default: the last")
    pool: bool = option(False, "one vector per utterance, the mean over time, instead of frames")
    packed: bool = option(False, "a packed store, to be merged with m2d.bin.merge_features, instead of single files")
    mean: float | None = option(None, "log-mel mean to normalise with; default: the model's")
    std: float | None = option(None, "log-mel deviation to normalise with; default: the model's")


class FileWriter(Writer):
    """A float32 `UTTERANCE.npy` `[T, W]` each, told in `features.json`. `UserError` for a folder of another kind."""

    def __init__(self, directory: str | Path, job: int, info: dict[str, Any], max_failures: int):
        self.directory = Path(directory)
        super().__init__(FailureLog(self.directory / f"features.{job}.failed", max_failures))
        self.directory.mkdir(parents=True, exist_ok=True)
        about = self.directory / "features.json"
        if read_json(about, info) != info:
            raise UserError(f"{about}: features of another model or kind are there: choose another folder or delete it")
        write_json(about, info)
        self.done = {path.name.removesuffix(".npy") for path in self.directory.glob("*.npy")}

    def append(self, utterance: str, frames: np.ndarray) -> None:
        """Write one file. Raises `UserError` for an id that can't be a file's name."""
        if "/" in utterance or utterance.startswith("."):
            raise UserError(f"utterance id '{utterance}' can't be the name of a file: use packed=true")
        with atomic_open(self.directory / f"{utterance}.npy", "wb") as stream:
            np.save(stream, frames)
        self.done.add(utterance)

    def __exit__(self, *_: object) -> None:
        self.failed.write()


class LayerFrames:
    """One layer of a model on its device, under autocast for half precision."""

    def __init__(self, model: M2DFeatures, layer: int, pool: bool, place: torch.device, precision: str):
        self._model, self._layer, self._pool = model.to(place).eval(), layer, pool
        self._place, self._precision = place, precision
        self.sample_rate, self.frame_count = model.logmel.config.sample_rate, model.logmel.frames

    @torch.inference_mode()
    def __call__(self, wavs: list[torch.Tensor]) -> list[np.ndarray]:
        """Frames `[T_i, W]` of each waveform, or their mean `[1, W]`."""
        clips = [wav.to(self._place) for wav in wavs]
        is_last = self._layer == self._model.n_layers - 1
        with torch.autocast(self._place.type, PRECISIONS[self._precision], enabled=self._precision != "float32"):
            output = self._model(clips, sampling_rate=self.sample_rate, all_layers=not is_last)
        frames = (output.frames if is_last else output.layers[self._layer]).cpu().numpy()
        own = [clip[:length] for clip, length in zip(frames, output.lengths.tolist(), strict=True)]
        return [clip.mean(axis=0, keepdims=True) for clip in own] if self._pool else own


def checked_layer(model: M2DFeatures, layer: int | None) -> int:
    """The layer, counted from 0; None is the last. Raises `UserError` for one that the model does not have."""
    if layer is not None and not 0 <= layer < model.n_layers:
        raise UserError(f"layer={layer}: the model has layers 0 to {model.n_layers - 1}")
    return model.n_layers - 1 if layer is None else layer


def extract_features(data: DataDir, model: M2DFeatures, options: FeatureOptions) -> None:
    """Write the features of one job's part of `data` into `options.out`; resumes after an interruption.

    The folder is bound to the model's weights, not to its path. Raises `UserError` for a layer that is not there,
    settings that do not fit, too many unreadable utterances.
    """
    layer = checked_layer(model, options.layer)
    place = pick_device(options.device, options.job - 1)
    model.set_statistics(model.mean if options.mean is None else options.mean,
                         model.std if options.std is None else options.std)
    info = {"features": {"weights": model.digest(), "layer": layer, "pool": options.pool}, "data": data.fingerprint()}
    allowed = allowed_failures(data, options)
    writer: Writer = (
        PackedWriter(options.out, f"features.{options.job}", model.dim, jobs=options.jobs, info=info,
                     max_failures=allowed)
        if options.packed else FileWriter(options.out, options.job, info, allowed))
    extract(data, writer, LayerFrames(model, layer, options.pool, place, options.precision), options, what="features",
            batch_seconds=options.batch_seconds, workers=options.workers)
