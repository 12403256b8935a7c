"""Learning rates: over the progress of a run, and layer by layer."""

import math
import re

import torch


def warmup_cosine(position: float, warmup: float, total: float) -> float:
    """Factor of the peak: linear to 1 over `warmup`, then half a cosine to 0 at `total` (MAE; M2D section 4.1)."""
    if position < warmup:
        return position / warmup
    return 0.5 * (1 + math.cos(math.pi * (position - warmup) / (total - warmup)))


def layer_scale(name: str, depth: int, decay: float) -> float:
    """Learning rate of a parameter relative to the head's, by its name in a network with the attribute `encoder`.

    decay^(depth - i) in block i of 0 .. depth - 1, decay^(depth + 1) before the blocks, 1 after them.
    """
    block = re.match(r"encoder\.transformer\.blocks\.(\d+)\.", name)
    if block:
        return decay ** (depth - int(block[1]))
    return decay ** (depth + 1) if name.startswith(("encoder.patch_embed.", "encoder.cls_token")) else 1.0


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of each parameter group to `lr` times its `scale`."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["scale"]
