"""A layer of a transformers speech model (HuBERT, wav2vec 2.0, WavLM) as frame features; a batch changes nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
import transformers
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from m2d.common.errors import UserError
from m2d.teacher.source import locate


class SpeechTeacher(nn.Module):
    """The waveform -> `hidden_states[layer]` part of a transformers speech model.

    A clip's features do not depend on what else is in the batch: the convolutional front end runs clip by clip,
    because HuBERT Base normalises its first layer over the clip's time axis, which padding would change even under
    an attention mask; the transformer runs on the padded batch under a mask.
    """

    def __init__(self, model: nn.Module, prepare: transformers.SequenceFeatureExtractor, layer: int):
        """Cut `model` to its first `layer` transformer layers.

        `hidden_states[layer]` is the residual stream behind layer `layer`. In pre-norm models (Large) it is not
        normalised, except behind the last layer, where it has passed the final LayerNorm: so transformers 4 has it,
        and `last_hidden_state` in every version.

        Raises `UserError` for a model of another build, or without such a layer.
        """
        super().__init__()
        if not all(hasattr(model, part) for part in ("feature_extractor", "feature_projection", "encoder")):
            raise UserError(f"{type(model).__name__}: not a waveform model of the HuBERT, wav2vec 2.0 or WavLM kind")
        depth = len(model.encoder.layers)
        if not 1 <= layer <= depth:
            raise UserError(f"layer={layer}: the teacher has transformer layers 1 to {depth}")
        model.encoder.layers = model.encoder.layers[:layer]
        if layer < depth and getattr(model.config, "do_stable_layer_norm", False):
            model.encoder.layer_norm = nn.Identity()
        self.front_end = model.feature_extractor
        self.projection = model.feature_projection
        self.transformer = model.encoder
        self.prepare = prepare
        self.layer = layer
        self.width: int = model.config.hidden_size
        self.sample_rate: int = prepare.sampling_rate
        self.hop = math.prod(model.config.conv_stride)
        self._config = model.config
        self.eval().requires_grad_(False)

    def frame_count(self, samples: int) -> int:
        """Rows `forward` gives for a clip of so many samples; 0 when it is shorter than one receptive field.

        For HuBERT's own front end (hop 320, receptive field 400) it is `(samples - 80) // 320`.
        """
        return row_count(self._config, samples)

    @torch.inference_mode()
    def forward(self, wavs: Sequence[np.ndarray]) -> list[Tensor]:
        """Features `[T_i, width]` of each of B clips `[N_i]` (float32 samples at `sample_rate`).

        Each clip is normalised as the checkpoint's own preprocessor_config.json says. Run under `torch.autocast`
        for half precision.
        """
        device = next(self.projection.parameters()).device
        rows = []
        for wav in wavs:
            values = self.prepare(wav, sampling_rate=self.sample_rate).input_values[0]
            local = self.front_end(torch.as_tensor(values, dtype=torch.float32, device=device)[None])  # [1, C, T_i]
            projected = self.projection(local.transpose(1, 2))  # HuBERT gives a tensor, the others (tensor, input)
            rows.append((projected if isinstance(projected, Tensor) else projected[0])[0])
        lengths = [len(row) for row in rows]
        batch = pad_sequence(rows, batch_first=True)  # [B, T, D]
        mask = None
        if len(set(lengths)) > 1:  # without padding the faster attention kernels apply
            mask = torch.arange(batch.shape[1], device=device) < torch.tensor(lengths, device=device)[:, None]
        hidden = self.transformer(batch, attention_mask=mask)[0]
        return [clip[:length] for clip, length in zip(hidden, lengths, strict=True)]


def row_count(config: transformers.PretrainedConfig, samples: int) -> int:
    """Rows the convolutions of a speech model make of so many samples."""
    for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
        samples = max(0, (samples - kernel) // stride + 1)
    return samples


def sample_count(config: transformers.PretrainedConfig, rows: int) -> int:
    """The least samples of which the convolutions of a speech model make so many rows."""
    for kernel, stride in zip(reversed(config.conv_kernel), reversed(config.conv_stride), strict=True):
        rows = (rows - 1) * stride + kernel
    return rows


def load_teacher(model: str, layer: int = 9, random_weights: int | None = None) -> SpeechTeacher:
    """A pre-trained speech model, by local folder or hub id, cut behind transformer layer `layer` (1-based).

    Weights are read as safetensors, or from `pytorch_model.bin` without unpickling objects (`weights_only`). With
    `random_weights`, a seed, the same network keeps the weights it is initialised with: the baseline of a probe.

    Raises `UserError` as `locate` does, and for a folder whose configuration or weights can't be read.
    """
    folder = locate(model)
    try:
        with quiet():
            prepare = transformers.AutoFeatureExtractor.from_pretrained(folder, local_files_only=True)
            if random_weights is not None:
                torch.manual_seed(random_weights)
                config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
                return SpeechTeacher(transformers.AutoModel.from_config(config), prepare, layer)
            network, report = transformers.AutoModel.from_pretrained(
                folder, local_files_only=True, output_loading_info=True)
    except Exception as error:  # the libraries raise many types for a damaged folder
        reason = str(error).strip().partition("\n")[0]
        raise UserError(f"{folder}: can't be loaded as a speech model ({reason})") from error
    missing = [name for name in report["missing_keys"] if not name.endswith("masked_spec_embed")]
    if missing:
        raise UserError(f"{folder}: the weights lack {len(missing)} of the network's tensors, such as {missing[0]}")
    return SpeechTeacher(network.float(), prepare, layer)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from drawing bars, and from listing the heads of fine-tuned checkpoints, not wanted here."""
    verbosity, bars = transformers.logging.get_verbosity(), transformers.utils.logging.is_progress_bar_enabled()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(verbosity)
        if bars:
            transformers.utils.logging.enable_progress_bar()
