"""The encoder as an ONNX graph, for runtimes without torch. The front end (STFT and mel) stays with the caller."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from m2d.common.errors import UserError
from m2d.common.files import atomic_open
from m2d.pretrained.features import M2DFeatures

OPSET = 17


class _Layers(nn.Module):
    """All layers of the encoder as one tensor."""

    def __init__(self, model: M2DFeatures):
        super().__init__()
        self.encoder = model.encoder

    def forward(self, logmel: torch.Tensor) -> torch.Tensor:
        """Normalised log-mel [B, 1, F, T] -> [L, B, N_T, N_F * D]."""
        return torch.stack([layer.transpose(1, 2).flatten(2) for layer in self.encoder.layers(logmel)])


def export_onnx(model: M2DFeatures, path: str | Path) -> None:
    """Write the encoder as an ONNX file.

    Input `logmel` [B, 1, F, T]: normalised, as long as the model's input; B is free. Output `layers`
    [L, B, N_T, N_F * D]: every block, the last after the final LayerNorm. The caller cuts longer audio into chunks, as
    `M2DFeatures` does.

    Raises `UserError` without the `onnx` package.
    """
    try:
        import onnx
    except ImportError:
        raise UserError("writing ONNX needs the onnx package: pip install 'm2d[onnx]'") from None

    config = model.encoder.config
    example = torch.zeros(2, config.in_channels, *config.input_size)
    with atomic_open(path, "wb") as stream:
        torch.onnx.export(
            _Layers(model).cpu().eval(), (example,), stream, input_names=["logmel"], output_names=["layers"],
            dynamic_axes={"logmel": {0: "batch"}, "layers": {1: "batch"}}, opset_version=OPSET, dynamo=False)
        stream.flush()
        onnx.checker.check_model(stream.name)
