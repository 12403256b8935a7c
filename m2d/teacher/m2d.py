"""A pre-trained M2D encoder as teacher."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from m2d.pretrained.features import M2DFeatures
from m2d.pretrained.files import load_audio
from m2d.teacher import TEACHERS, Teacher
from m2d.teacher.loading import check_layer


@TEACHERS.register("m2d")
class M2DTeacher(Teacher):
    """The frames of a model of this package (or a published checkpoint), N_F * D wide, one for each patch in time."""

    def __init__(self, model: M2DFeatures, layer: int | None):
        """Cut the encoder to its first `layer` blocks (None: all); the last has passed the final LayerNorm."""
        super().__init__()
        transformer = model.encoder.transformer
        depth = len(transformer.blocks)
        self.layer = check_layer(depth if layer is None else layer, depth)
        transformer.blocks = transformer.blocks[:self.layer]
        if self.layer < depth:
            transformer.norm = nn.Identity()
        self.model = model
        self.width, self.sample_rate = model.dim, model.sample_rate
        self.rate = model.sample_rate / model.samples_per_frame

    @classmethod
    def load(cls, model: str, layer: int | None = None) -> "M2DTeacher":
        return cls(load_audio(model), layer)

    def frame_count(self, samples: int) -> int:
        """Columns of patches, the last one padded."""
        return -(-self.model.logmel.frames(samples) // self.model.encoder.config.patch_size[1])

    @torch.no_grad()
    def forward(self, wavs: Sequence[Tensor]) -> list[Tensor]:
        output = self.model(wavs, all_layers=False)
        return [frames[:length] for frames, length in zip(output.frames, output.lengths.tolist(), strict=True)]
