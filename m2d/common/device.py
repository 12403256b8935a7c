"""Devices and precisions."""

import torch

from m2d.common.errors import UserError

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def pick_device(name: str, index: int = 0) -> torch.device:
    """The device `name`; `auto`: GPU `index` modulo those visible, else the CPU. `UserError` where it is absent."""
    gpus = torch.cuda.device_count()
    if name == "auto":
        return torch.device("cuda", index % gpus) if gpus else torch.device("cpu")
    try:
        place = torch.device(name)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device={name}: not available here (GPUs: {gpus}); device=cpu always works") from error
    return place
