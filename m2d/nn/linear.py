"""`nn.Linear` that multiplies by oneDNN on a CPU in float32.

torch leaves float32 products on a CPU to MKL, which uses no AVX-512 on processors that are not Intel's; oneDNN, a part
of torch as well, does (2.2 times the speed on an AMD EPYC with AVX-512: `m2d.bench.step`). The results differ as
those of two summation orders do. Everywhere else, and with `torch.backends.mkldnn.enabled = False`, this is
`nn.Linear` itself.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable

# What torch.compile makes of a Linear on a CPU is an operator without a public name: not every build has it.
HAS_ONEDNN = (torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
              and torch.backends.cpu.get_cpu_capability().startswith("AVX512"))


class Linear(nn.Linear):
    """[..., N, K] -> [..., N, M], parameters and initialisation as `nn.Linear` has them."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x @ weight.T + bias."""
        return linear(x, self.weight, self.bias)


def linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """x [..., N, K] @ weight [M, K].T + bias [M] -> [..., N, M], as `F.linear`, differentiable once where not that."""
    if not _takes_onednn(x, weight):
        return F.linear(x, weight, bias)
    if torch.is_grad_enabled():
        return _Product.apply(x, weight, bias)
    return _product(x, weight, bias)


def _takes_onednn(x: torch.Tensor, weight: torch.Tensor) -> bool:
    return (HAS_ONEDNN and x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32
            and not torch.compiler.is_compiling() and not torch.jit.is_tracing()
            and not torch.is_autocast_enabled("cpu") and torch.backends.mkldnn.enabled
            and x.numel() > 0)  # oneDNN has no product over nothing


def _product(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """x [..., K] in any layout @ weight [M, K].T + bias; weight is contiguous or the transpose of what is."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


class _Product(torch.autograd.Function):
    """The same three products of `F.linear`: output, gradient of the input, gradient of the weight."""

    @staticmethod
    def forward(ctx, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        rows = grad.flatten(0, -2)
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        return (_product(grad, weight.T) if needs_x else None,
                _product(rows.T, x.flatten(0, -2).contiguous().T) if needs_weight else None,
                rows.sum(0) if needs_bias else None)
