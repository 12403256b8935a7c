"""Pre-LN transformer blocks (ViT), shared by the encoder, the target and the predictor."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

LAYER_NORM_EPS = 1e-6
MLP_RATIO = 4


class Attention(nn.Module):
    """Multi-head self-attention, [B, N, D] -> [B, N, D]."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Attend over all N tokens, or over those where the boolean `mask` [B, 1, 1, N] is true."""
        batch, n, width = x.shape
        qkv = self.qkv(x).view(batch, n, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # [B, H, N, D / H] each
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.proj(out.transpose(1, 2).reshape(batch, n, width))


class Mlp(nn.Module):
    """Two layers with an exact GELU between, [B, N, D] -> [B, N, D]."""

    def __init__(self, width: int, ratio: int = MLP_RATIO):
        super().__init__()
        self.fc1 = nn.Linear(width, ratio * width)
        self.fc2 = nn.Linear(ratio * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class DropPath(nn.Module):
    """Stochastic depth (Huang et al. 2016): in training a sample's branch is dropped at `rate`, else scaled up."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand(len(x), 1, 1, device=x.device) >= self.rate
        return x * kept / (1 - self.rate)


class Block(nn.Module):
    """One pre-LN block, [B, N, D] -> [B, N, D]."""

    def __init__(self, width: int, heads: int, mlp_ratio: int = MLP_RATIO, eps: float = LAYER_NORM_EPS,
                 drop_path: float = 0.0):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=eps)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=eps)
        self.mlp = Mlp(width, mlp_ratio)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Attention, then MLP, each on the normalised stream and added to it. `mask` as in `Attention`."""
        x = x + self.drop_path(self.attn(self.norm1(x), mask))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class Transformer(nn.Module):
    """Blocks and the final LayerNorm. No dropout; stochastic depth rises evenly to `drop_path` in the last block."""

    def __init__(self, width: int, depth: int, heads: int, checkpointing: bool = False, drop_path: float = 0.0):
        super().__init__()
        rate = drop_path / max(depth - 1, 1)
        self.blocks = nn.ModuleList(Block(width, heads, drop_path=index * rate) for index in range(depth))
        self.norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.checkpointing = checkpointing
        self.apply(init_linear)

    def run_blocks(self, x: torch.Tensor) -> torch.Tensor:
        """[B, N, D] -> [B, N, D], before the final LayerNorm."""
        for block in self.blocks:
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
        return x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, N, D] -> [B, N, D], after the final LayerNorm."""
        return self.norm(self.run_blocks(x))

    def layers(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> list[torch.Tensor]:
        """Every block's output [B, N, D]; the last one after the final LayerNorm. `mask` as in `Attention`."""
        outputs = []
        for block in self.blocks:
            x = block(x, mask)
            outputs.append(x)
        outputs[-1] = self.norm(outputs[-1])
        return outputs


def init_linear(module: nn.Module) -> None:
    """Xavier-uniform weight and zero bias for a Linear; other modules stay unchanged."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
