"""Models for runtimes without this package: ONNX, a `torch.export` program, the same compiled. One graph for all."""

import copy
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch

from m2d.common.errors import needed
from m2d.common.files import atomic_open
from m2d.pretrained.features import M2DFeatures
from m2d.pretrained.graph import FeatureGraph

OPSET = 18
OUTPUTS = ("layers", "clip", "counts")

_Inputs = tuple[torch.Tensor, torch.Tensor]


def export_onnx(model: M2DFeatures, path: str | Path, audio: bool = True) -> None:
    """Write `FeatureGraph` as an ONNX file; the model itself is left as it is.

    Inputs: `audio` float32 [B, N], or `logmel` [B, F, T] (normalised) if `audio` is false, padded with anything;
    `lengths` int64 [B], the samples or frames that are each clip's own. Batch and time are free. Outputs: `layers`
    [L, B, T', W], `clip` [B, W], `counts` [B], as `FeatureGraph` has them, `probabilities` [B, C] of a classifier. The
    metadata hold the sampling rate and the classes as JSON. Before it is classified, a clip shorter than the metadata's
    `seconds` is to be filled with zeros to that length, as `M2DFeatures.tag` does.

    Raises `UserError` without the packages that write ONNX.
    """
    onnx = needed("onnx", "writing ONNX", "onnx")
    needed("onnxscript", "writing ONNX", "onnx")  # by torch's exporter
    graph, inputs, shapes = _traceable(model, audio)
    program = torch.onnx.export(
        graph, inputs, dynamo=True, dynamic_shapes=shapes, opset_version=OPSET, verbose=False,
        input_names=["audio" if audio else "logmel", "lengths"],
        output_names=[*OUTPUTS, *(["probabilities"] if model.classifier else [])])
    proto, head = program.model_proto, model.classifier
    onnx.helper.set_model_props(proto, {
        "sampling_rate": str(model.sample_rate),
        **({"classes": json.dumps(head.names), "seconds": str(head.seconds)} if head else {})})
    onnx.checker.check_model(proto)
    with atomic_open(path, "wb") as stream:
        onnx.save(proto, stream)


def export_program(model: M2DFeatures, path: str | Path, audio: bool = True) -> None:
    """Write `FeatureGraph` as an `ExportedProgram`: `torch.export.load(path).module()` runs it.

    Inputs and outputs are those of `export_onnx`, but the batch must be padded to at least two patches.
    """
    with atomic_open(path, "wb") as stream:
        torch.export.save(_program(model, audio), stream)


def export_compiled(model: M2DFeatures, path: str | Path, audio: bool = True) -> None:
    """Write the program of `export_program` compiled by AOTInductor for this kind of processor; takes minutes.

    `torch._inductor.aoti_load_package(path)` runs it, as does C++ (`torch::inductor::AOTIModelPackageLoader`). A C++
    compiler is needed.
    """
    with tempfile.TemporaryDirectory() as folder:
        package = f"{folder}/model.pt2"
        torch._inductor.aoti_compile_and_package(_program(model, audio), package_path=package)
        with open(package, "rb") as compiled, atomic_open(path, "wb") as stream:
            shutil.copyfileobj(compiled, stream)


def _program(model: M2DFeatures, audio: bool) -> torch.export.ExportedProgram:
    graph, inputs, shapes = _traceable(model, audio)
    return torch.export.export(graph, inputs, dynamic_shapes=shapes)


def _traceable(model: M2DFeatures, audio: bool) -> tuple[FeatureGraph, _Inputs, dict[str, Any]]:
    """The graph on the CPU, an example of its inputs, and which of their dimensions are free."""
    graph = FeatureGraph(copy.deepcopy(model).cpu(), audio).eval()
    config, front_end = model.encoder.config, model.logmel.config
    frames = 2 * config.input_size[1]
    free = torch.export.Dim.DYNAMIC
    if audio:
        samples = frames * front_end.hop_length
        example, shape = torch.zeros(2, samples), {0: free, 1: free}
    else:
        samples = frames
        example, shape = torch.zeros(2, front_end.n_mels, frames), {0: free, 2: free}
    return graph, (example, torch.tensor([samples, samples // 2])), {"x": shape, "lengths": {0: free}}
