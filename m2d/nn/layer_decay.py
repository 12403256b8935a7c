"""Learning rates that fall from the head to the input, for fine-tuning (BEiT; MAE fine-tunes so)."""

from __future__ import annotations

import re

import torch


def layer_scale(name: str, depth: int, decay: float) -> float:
    """Learning rate of a parameter over the head's, by its name in a network that holds its encoder as `encoder`.

    decay^(depth - i) in block i of 0 .. depth - 1, decay^(depth + 1) before the blocks, 1 behind them.
    """
    block = re.match(r"encoder\.transformer\.blocks\.(\d+)\.", name)
    if block:
        return decay ** (depth - int(block[1]))
    return decay ** (depth + 1) if name.startswith(("encoder.patch_embed.", "encoder.cls_token")) else 1.0


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Use `lr` from now on, in each parameter group times its `scale`."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["scale"]
