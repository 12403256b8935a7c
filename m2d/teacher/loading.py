"""Models of transformers, read from a folder or the hub."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import transformers

from m2d.common.errors import UserError
from m2d.teacher.source import locate


def load_network(model: str, random_weights: int | None = None) -> tuple[
        transformers.PreTrainedModel, transformers.SequenceFeatureExtractor]:
    """Network (float32) and feature extractor of a folder or hub id.

    Weights are read as safetensors, or from `pytorch_model.bin` without unpickling objects (`weights_only`). With
    `random_weights`, a seed, the network is freshly initialised.

    Raises `UserError` as `locate` does, and for a folder whose configuration or weights can't be read.
    """
    folder = locate(model)
    try:
        with quiet():
            prepare = transformers.AutoFeatureExtractor.from_pretrained(folder, local_files_only=True)
            if random_weights is not None:
                torch.manual_seed(random_weights)
                config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
                return transformers.AutoModel.from_config(config).float(), prepare
            network, report = transformers.AutoModel.from_pretrained(
                folder, local_files_only=True, output_loading_info=True)
    except Exception as error:  # the libraries raise many types for a damaged folder
        reason = str(error).strip().partition("\n")[0]
        raise UserError(f"{folder}: can't be loaded as a speech model ({reason})") from error
    missing = [name for name in report["missing_keys"] if not name.endswith("masked_spec_embed")]
    if missing:
        raise UserError(f"{folder}: the weights lack {len(missing)} of the network's tensors, such as {missing[0]}")
    return network.float(), prepare


def check_layer(layer: int, depth: int) -> int:
    """The layer, counted from 1. Raises `UserError` for one that a model of `depth` layers does not have."""
    if not 1 <= layer <= depth:
        raise UserError(f"layer={layer}: the teacher has layers 1 to {depth}")
    return layer


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from drawing bars, and from listing the unused heads of fine-tuned checkpoints."""
    verbosity, bars = transformers.logging.get_verbosity(), transformers.utils.logging.is_progress_bar_enabled()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(verbosity)
        if bars:
            transformers.utils.logging.enable_progress_bar()
