"""Published files of ViT-Base, whole, in each layout: they load in seconds, and what is cut off is refused."""

import os
import time

import pytest
import torch

from m2d import load_pretrained
from m2d.common.errors import UserError
from m2d.nn import ModelConfig, build_objective
from m2d.nn.patches import sincos_positions
from m2d.pretrained.architecture import Undrawn, with_class_row
from m2d.pretrained.layouts import to_published

CLAP = {"audio_proj.0.weight": (768, 768), "audio_proj.0.bias": (768,), "audio_proj.2.weight": (768, 768),
        "audio_proj.2.bias": (768,)}
HEAD = {"norm.running_mean": (768,), "norm.running_var": (768,), "mlp.mlp.0.weight": (527, 768),
        "mlp.mlp.0.bias": (527,)}


def formula(shape: tuple[int, ...]) -> torch.Tensor:
    """Weights anybody can make again: sines of the index, positive where it matters (variances, scales)."""
    count = torch.Size(shape).numel()
    return torch.arange(count, dtype=torch.float32).mul_(0.7).sin_().mul_(0.02).add_(len(shape) == 1).view(shape)


def published(layout: str) -> dict[str, torch.Tensor]:
    """The tensors of a file, as the public code names them (see `m2d.pretrained.layouts`)."""
    frames = 1008 if layout == "D" else 608
    config = ModelConfig(objective="m2d", input_size=[80, frames], patch_size=[16, 16], size="base")
    with torch.device("meta"), Undrawn():
        model = build_objective(config)
    shapes = {to_published(name): tuple(value.shape) for name, value in model.state_dict().items()}
    if layout != "A":
        shapes = {name: shape for name, shape in shapes.items()
                  if not name.startswith(("decoder_", "target_")) and name != "mask_token"}
    state = {name: formula(shape) for name, shape in shapes.items()}
    grid = config.encoder.grid
    state["pos_embed"] = with_class_row(sincos_positions(grid, 768))
    state["norm_stats"] = torch.tensor([-7.1, 4.2])
    if layout == "A":
        state["decoder_pos_embed"] = with_class_row(sincos_positions(grid, 512))
    if layout == "C":
        state |= {name: formula(shape) for name, shape in CLAP.items()}
    if layout == "D":
        state = {f"module.ar.runtime.backbone.{name}": value for name, value in state.items()}
        state |= {f"module.head.{name}": formula(shape) for name, shape in HEAD.items()}
    return state


@pytest.mark.parametrize("layout", "ABCD")
def test_it_loads_in_seconds_and_a_cut_off_file_is_refused(tmp_path, layout, record_property):
    path = tmp_path / "m2d_vit_base-80x608p16x16-220930-mr7" / "checkpoint-300.pth"
    path.parent.mkdir()
    state = published(layout)
    torch.save({"model": state} if layout in "AC" else state, path)
    begin, cpu = time.perf_counter(), time.process_time()
    model = load_pretrained(path)
    told = (f"layout {layout}, {path.stat().st_size / 1e6:.0f} MB: loaded in {time.perf_counter() - begin:.1f} s, "
            f"{time.process_time() - cpu:.1f} s of CPU")
    print(told)
    record_property("load", told)
    assert (model.encoder.config.width, model.encoder.config.depth, model.encoder.config.heads) == (768, 12, 12)
    wav = formula((16000,)) - 1
    assert model([wav]).frames.shape == (1, 7, 3840)
    assert model.clap_audio([wav]).shape == (1, 768) if layout == "C" else model.clap is None
    assert model.tag([wav]).probabilities.shape == (1, 527) if layout == "D" else model.classifier is None
    for size in (path.stat().st_size - 1, path.stat().st_size // 2, 100):
        os.truncate(path, size)
        with pytest.raises(UserError, match=r"checkpoint-300\.pth"):
            load_pretrained(path)
