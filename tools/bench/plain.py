"""The baseline: a straightforward pre-training step, written from the papers without optimisations.

Attention with an explicit softmax, a convolution that embeds all patches for both networks, a boolean mask,
un-shuffling by a gather before the predictor, EMA tensor by tensor. The same function of the same weights as `m2d.nn`:
the benchmark checks that both give the same loss before it times them.
"""

import torch
import torch.nn.functional as F
from torch import nn

from m2d.nn.config import ModelConfig
from m2d.nn.patches import sincos_positions

EPS = 1e-6


class PlainBlock(nn.Module):
    """Pre-LN transformer block, [B, N, D] -> [B, N, D]."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=EPS), nn.LayerNorm(width, eps=EPS)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attention and MLP."""
        batch, n, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).reshape(batch, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-2, -1) * (width // self.heads) ** -0.5  # [B, H, N, N]
        x = x + self.proj((scores.softmax(dim=-1) @ v).transpose(1, 2).reshape(batch, n, width))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class PlainTransformer(nn.Module):
    """Blocks and a final LayerNorm."""

    def __init__(self, width: int, depth: int, heads: int):
        super().__init__()
        self.blocks = nn.ModuleList(PlainBlock(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=EPS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, N, D] -> [B, N, D]."""
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class PlainM2D(nn.Module):
    """M2D and M2D-S (both losses) over the same options as `m2d.nn.build_objective`."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        width, predictor = config.encoder.width, config.predictor
        grid = config.encoder.grid
        self.n_freq, self.n_time = grid
        patch = tuple(config.patch_size)
        self.patch_embed = nn.Conv2d(config.in_channels, width, patch, stride=patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.online = PlainTransformer(*config.encoder.size)
        self.target = PlainTransformer(*config.encoder.size).requires_grad_(False)
        self.embed = nn.Linear(width, predictor.width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, predictor.width))
        self.predictor = PlainTransformer(*predictor)
        self.head = nn.Linear(predictor.width, width)
        self.offline = nn.Linear(self.n_freq * width, config.teacher_width) if config.lambda_off else None
        self.register_buffer("positions", sincos_positions(grid, width))
        self.register_buffer("predictor_positions", sincos_positions(grid, predictor.width))

    def forward(self, x: torch.Tensor, noise: torch.Tensor, teacher: torch.Tensor | None = None) -> torch.Tensor:
        """Total loss of a batch x [B, C, F, T], mask noise [B, L], teacher [B, N_T, W] at the patch rate."""
        batch, n = noise.shape
        shuffle = noise.argsort(dim=1)
        restore = shuffle.argsort(dim=1)
        masked = torch.ones(batch, n, dtype=torch.bool, device=x.device)
        masked.scatter_(1, shuffle[:, :self.config.n_visible], False)

        tokens = self.patch_embed(x).flatten(2).transpose(1, 2) + self.positions
        visible = tokens.gather(1, shuffle[:, :self.config.n_visible, None].expand(-1, -1, tokens.shape[2]))
        latent = self.online(torch.cat([self.cls_token.expand(batch, -1, -1), visible], dim=1))

        hidden = self.embed(latent)
        hidden = torch.cat([hidden[:, 1:], self.mask_token.expand(batch, n - self.config.n_visible, -1)], dim=1)
        hidden = hidden.gather(1, restore[:, :, None].expand(-1, -1, hidden.shape[2])) + self.predictor_positions
        hidden = torch.cat([self.embed(latent[:, :1]), hidden], dim=1)
        prediction = self.head(self.predictor(hidden))[:, 1:]

        with torch.no_grad():
            all_tokens = self.patch_embed(x).flatten(2).transpose(1, 2) + self.positions
            hidden_tokens = all_tokens[masked].view(batch, -1, all_tokens.shape[2])
            target = self.target(torch.cat([self.cls_token.expand(batch, -1, -1), hidden_tokens], dim=1))
            target = _standardise(target[:, 1:])
        loss = _error(prediction[masked].view_as(target), target).mean() * self.config.lambda_m2d
        if self.offline is not None:
            z = torch.zeros_like(prediction)
            z[~masked] = _ordered(latent[:, 1:], shuffle[:, :self.config.n_visible]).flatten(0, 1).to(z.dtype)
            z[masked] = prediction[masked]
            z = z.view(batch, self.n_freq, self.n_time, -1).transpose(1, 2).flatten(2)
            loss = loss + self.config.lambda_off * _error(self.offline(z), _standardise(teacher)).mean()
        return loss

    @torch.no_grad()
    def update_target(self, rate: float) -> None:
        """EMA, one tensor after the other."""
        for target, online in zip(self.target.parameters(), self.online.parameters(), strict=True):
            target.mul_(rate).add_(online, alpha=1 - rate)


def plain_name(name: str) -> str:
    """Name here of a parameter of `m2d.nn`'s objectives."""
    swaps = (("encoder.patch_embed.proj.", "patch_embed."), ("encoder.transformer.", "online."), ("encoder.", ""),
             ("predictor.transformer.", "predictor."), ("predictor.embed.", "embed."), ("predictor.head.", "head."),
             ("predictor.mask_token", "mask_token"))
    for old, new in swaps:
        if name.startswith(old):
            name = new + name[len(old):]
            break
    return name.replace(".attn.", ".").replace(".mlp.", ".")


def _ordered(rows: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Rows [B, n, D] in ascending order of their index [B, n]."""
    return rows.gather(1, index.argsort(dim=1)[:, :, None].expand(-1, -1, rows.shape[2]))


def _standardise(x: torch.Tensor) -> torch.Tensor:
    return (x - x.mean(dim=-1, keepdim=True)) / (x.var(dim=-1, keepdim=True) + EPS).sqrt()


def _error(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return (F.normalize(prediction, dim=-1) - F.normalize(target, dim=-1)).square().sum(dim=-1)
