"""A layer of a transformers speech model (HuBERT, wav2vec 2.0, WavLM and similar ones) as frame features."""

import math
from collections.abc import Sequence

import torch
import transformers
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from m2d.teacher import TEACHERS, Teacher, device_of
from m2d.teacher.loading import check_layer, load_network

DEFAULT_LAYER = 9  # M2D-S, section 4.1
VARIANCE_EPS = 1e-7  # of the feature extractor's normalisation


@TEACHERS.register("hubert")
@TEACHERS.register("wav2vec2")
@TEACHERS.register("wavlm")
@TEACHERS.register("unispeech-sat")
@TEACHERS.register("data2vec-audio")
class SpeechTeacher(Teacher):
    """The waveform -> `hidden_states[layer]` part of a transformers speech model.

    The convolutional front end runs clip by clip, because HuBERT Base normalises its first layer over the clip's time
    axis, which padding would change even under an attention mask; the transformer runs on the padded batch, masked.
    """

    def __init__(self, model: nn.Module, prepare: transformers.SequenceFeatureExtractor, layer: int):
        """Cut `model` to its first `layer` transformer layers.

        `hidden_states[layer]` is the residual stream after layer `layer`. In pre-norm models (Large) it is not
        normalised, except after the last layer, where the final LayerNorm was applied, as in transformers 4 and in
        `last_hidden_state` of every version.

        Raises `UserError` for a layer that the model does not have.
        """
        super().__init__()
        depth = len(model.encoder.layers)
        self.layer = check_layer(layer, depth)
        model.encoder.layers = model.encoder.layers[:layer]
        if layer < depth and getattr(model.config, "do_stable_layer_norm", False):
            model.encoder.layer_norm = nn.Identity()
        self.front_end = model.feature_extractor
        self.projection = model.feature_projection
        self.transformer = model.encoder
        self.normalises: bool = prepare.do_normalize
        self.width: int = model.config.hidden_size
        self.sample_rate: int = prepare.sampling_rate
        self.hop = math.prod(model.config.conv_stride)
        self.rate = self.sample_rate / self.hop
        self._config = model.config
        self.eval().requires_grad_(False)

    @classmethod
    def load(cls, model: str, layer: int | None = None, random_weights: int | None = None) -> "SpeechTeacher":
        """By local folder or hub id. `random_weights`, a seed: the same network untrained, the baseline of a probe."""
        return cls(*load_network(model, random_weights), DEFAULT_LAYER if layer is None else layer)

    def frame_count(self, samples: int) -> int:
        """Rows of a clip; for HuBERT's front end (hop 320, receptive field 400) it is `(samples - 80) // 320`."""
        return row_count(self._config, samples)

    @torch.no_grad()
    def forward(self, wavs: Sequence[Tensor]) -> list[Tensor]:
        """Frames `[T_i, W]` of each clip, normalised where the checkpoint's preprocessor_config.json says so."""
        device = device_of(self.projection)
        rows = []
        for wav in wavs:
            wav = wav.to(device, torch.float32)
            if self.normalises:
                wav = (wav - wav.mean()) / (wav.var(correction=0) + VARIANCE_EPS).sqrt()
            local = self.front_end(wav[None])  # [1, C, T_i]
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
    """Number of rows that the convolutions of a speech model make from `samples` samples."""
    for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
        samples = max(0, (samples - kernel) // stride + 1)
    return samples


def sample_count(config: transformers.PretrainedConfig, rows: int) -> int:
    """Fewest samples from which the convolutions of a speech model make `rows` rows."""
    for kernel, stride in zip(reversed(config.conv_kernel), reversed(config.conv_stride), strict=True):
        rows = (rows - 1) * stride + kernel
    return rows
