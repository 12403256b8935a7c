"""HEAR's interface (Turian et al. 2022): `hear-validator m2d.hear -m MODEL`, and heareval's runner the same way."""

import math

import torch
from torch import nn

from m2d.common.errors import UserError
from m2d.pretrained.features import M2DFeatures
from m2d.pretrained.files import load_audio

SAMPLE_RATES = (16000, 22050, 44100, 48000)
"""What HEAR's runner can resample its tasks to, Hz."""


class HearModel(nn.Module):
    """A model with the attributes that HEAR asks for. `sample_rate` is the model's own, or a higher one HEAR knows."""

    def __init__(self, features: M2DFeatures):
        super().__init__()
        self.features = features
        own = features.logmel.config.sample_rate
        higher = [rate for rate in SAMPLE_RATES if rate >= own]
        self.sample_rate = max(higher, key=lambda rate: math.gcd(rate, own))  # the simplest ratio to resample by
        self.scene_embedding_size = self.timestamp_embedding_size = features.dim


def load_model(model_file_path: str = "") -> HearModel:
    """The model of a directory, a published checkpoint or OWNER/NAME on the hub. Raises `UserError` without one."""
    if not model_file_path:
        raise UserError("m2d.hear has no weights of its own: give a model, hear-validator m2d.hear -m MODEL")
    return HearModel(load_audio(model_file_path))


def get_timestamp_embeddings(audio: torch.Tensor, model: HearModel) -> tuple[torch.Tensor, torch.Tensor]:
    """Frame features of `audio` [n, N] in -1..1, and the time of each frame's middle.

    Returns embeddings [n, T, D] float32 and timestamps [n, T] in ms. A frame is one patch wide: 40 ms in an 80x4
    model, 160 ms in a 16x16 one, which is more than the 50 ms that HEAR suggests.
    """
    frames = model.features(audio, sampling_rate=model.sample_rate, all_layers=False).frames
    config, patch_frames = model.features.logmel.config, model.features.encoder.config.patch_size[1]
    hop = 1000 * config.hop_length / config.sample_rate  # ms; log-mel frame j is centred on j * hop
    middles = torch.arange(frames.shape[1], device=frames.device) * patch_frames + (patch_frames - 1) / 2
    return frames, (middles * hop).expand(len(frames), -1)


def get_scene_embeddings(audio: torch.Tensor, model: HearModel) -> torch.Tensor:
    """Clip features [n, D] of `audio` [n, N] in -1..1: the mean of the frame features."""
    return model.features(audio, sampling_rate=model.sample_rate, all_layers=False).clip
