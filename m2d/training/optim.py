"""AdamW and the two schedules: learning rate and EMA rate, both functions of the optimiser step alone."""

from dataclasses import dataclass

import torch
from torch import nn

from m2d.common.schedules import layer_scale, warmup_cosine
from m2d.training.config import OptimOptions


@dataclass(frozen=True)
class Schedule:
    """Learning rate and EMA rate at each optimiser step (M2D section 4.1; the form of the former is MAE's)."""

    optim: OptimOptions
    steps_per_epoch: int

    @property
    def total_steps(self) -> int:
        return self.optim.epochs * self.steps_per_epoch

    @property
    def peak_lr(self) -> float:
        return self.optim.base_lr * self.optim.batch_size / 256

    def lr(self, step: float) -> float:
        """Learning rate of step 0, 1, ...: linear from 0 to the peak, then half a cosine to 0, in fractional epochs."""
        return self.peak_lr * warmup_cosine(step / self.steps_per_epoch, self.optim.warmup_epochs, self.optim.epochs)

    def ema_rate(self, step: int) -> float:
        """Rate applied after step 0, 1, ...: linear from `ema_start` at the first to `ema_end` at the last."""
        start, end = self.optim.ema_start, self.optim.ema_end
        return start + (end - start) * step / max(self.total_steps - 1, 1)


def build_optimizer(objective: nn.Module, optim: OptimOptions) -> torch.optim.AdamW:
    """Fused AdamW over the trainable parameters; 1-d ones (biases, LayerNorms) are not decayed.

    With `layer_decay` below 1, learning rates decay layer-wise from the encoder's last block to its input (BEiT, MAE).

    The fused form takes a `found_inf` tensor: a non-finite step is skipped on the device, without synchronisation.
    """
    parts: dict[tuple[float, float], list[nn.Parameter]] = {}
    depth = objective.encoder.config.depth
    for name, parameter in objective.named_parameters():
        if parameter.requires_grad:
            scale = layer_scale(name, depth, optim.layer_decay)
            parts.setdefault((scale, optim.weight_decay if parameter.ndim > 1 else 0.0), []).append(parameter)
    groups = [{"params": parameters, "scale": scale, "weight_decay": decay}
              for (scale, decay), parameters in sorted(parts.items(), key=lambda part: part[0])]
    return torch.optim.AdamW(groups, lr=0.0, betas=tuple(optim.betas), eps=optim.eps, fused=True)
