"""The ONNX graph computes what the encoder computes, for another batch than it was traced with."""

import pytest
import torch

from m2d.audio.logmel import LogMelConfig
from m2d.nn.config import EncoderConfig
from m2d.nn.encoder import Encoder
from m2d.pretrained.features import M2DFeatures
from m2d.pretrained.onnx import export_onnx


@pytest.mark.filterwarnings("ignore")
def test_graph_equals_encoder(tmp_path):
    import onnx
    from onnx.reference import ReferenceEvaluator

    torch.manual_seed(0)
    model = M2DFeatures(Encoder(EncoderConfig((80, 48), (40, 4), 1, 32, 2, 4)), LogMelConfig(), 0.0, 1.0).eval()
    export_onnx(model, tmp_path / "encoder.onnx")
    x = torch.randn(3, 1, 80, 48)
    graph = ReferenceEvaluator(onnx.load(tmp_path / "encoder.onnx"))
    (layers,) = graph.run(None, {"logmel": x.numpy()})
    expected = torch.stack(model.encode(list(x[:, 0])).layers).detach()
    torch.testing.assert_close(torch.from_numpy(layers), expected, rtol=0, atol=2e-5)
    assert [path.name for path in tmp_path.iterdir()] == ["encoder.onnx"]
