"""A layer of Whisper's encoder as frame features, 50 Hz."""

from collections.abc import Sequence

import torch
import transformers
from torch import Tensor, nn

from m2d.teacher import TEACHERS, Teacher, device_of
from m2d.teacher.loading import check_layer, load_network


@TEACHERS.register("whisper")
class WhisperTeacher(Teacher):
    """The encoder of Whisper (Radford et al. 2022), in windows of 30 s; rows of padding are dropped."""

    def __init__(self, model: nn.Module, prepare: transformers.SequenceFeatureExtractor, layer: int | None):
        """Cut the encoder to its first `layer` layers (None: all); the last has passed the final LayerNorm."""
        super().__init__()
        self.encoder, self.prepare = model.encoder, prepare
        depth = len(self.encoder.layers)
        self.layer = check_layer(depth if layer is None else layer, depth)
        self.encoder.layers = self.encoder.layers[:self.layer]
        if self.layer < depth:
            self.encoder.layer_norm = nn.Identity()
        self.width: int = model.config.d_model
        self.sample_rate: int = prepare.sampling_rate
        self.hop = prepare.n_samples // model.config.max_source_positions
        self.rate = self.sample_rate / self.hop

    @classmethod
    def load(cls, model: str, layer: int | None = None) -> "WhisperTeacher":
        return cls(*load_network(model), layer)

    def frame_count(self, samples: int) -> int:
        """One row per 20 ms of the clip, incomplete ones excluded."""
        return samples // self.hop

    @torch.no_grad()
    def forward(self, wavs: Sequence[Tensor]) -> list[Tensor]:
        pieces = [piece.float().cpu().numpy() for wav in wavs for piece in wav.split(self.prepare.n_samples)]
        windows = self.prepare(pieces, sampling_rate=self.sample_rate, return_tensors="pt").input_features  # [B, F, T]
        rows = iter(self.encoder(windows.to(device_of(self.encoder))).last_hidden_state)  # [B, 1500, W]
        clips = [torch.cat([next(rows) for _ in wav.split(self.prepare.n_samples)]) for wav in wavs]
        return [clip[:self.frame_count(len(wav))] for clip, wav in zip(clips, wavs, strict=True)]
