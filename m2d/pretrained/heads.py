"""What published models have behind the encoder: the classifier of AudioSet's classes, the projections of M2D-CLAP."""

import torch
import torch.nn.functional as F
from torch import nn

from m2d.nn.transformer import Block

BATCH_NORM_EPS = 1e-5
CLAP_EPS = 1e-5  # of the LayerNorms of the 2025 projection


class Standardise(nn.Module):
    """Batch normalisation in evaluation mode and without affine parameters, `[..., W] -> [..., W]` float32."""

    def __init__(self, width: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.mean.float()) * (self.variance.float() + BATCH_NORM_EPS).rsqrt()


class Classifier(nn.Module):
    """One Linear on standardised features, with the names of its C classes.

    Its width tells how it pools: D, the mean over all patch tokens; N_F * D, the mean over time of frames with the bins
    concatenated. `exclusive` classes share one probability (softmax), others have their own (sigmoid). Clips shorter
    than `seconds` are filled with silence to it, as the classifier saw them in training.
    """

    def __init__(self, width: int, names: list[str], exclusive: bool = False, seconds: float = 0.0):
        super().__init__()
        self.names, self.exclusive, self.seconds = names, exclusive, seconds
        self.norm = Standardise(width)
        self.linear = nn.Linear(width, len(names))

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Frame features `[..., N_F * D]`, or their mean over time, to logits `[..., C]`."""
        width = self.linear.in_features
        pooled = frames.unflatten(-1, (-1, width)).mean(dim=-2)
        return self.linear(self.norm(pooled).to(self.linear.weight.dtype)).float()

    def fill(self, clips: list[torch.Tensor], sampling_rate: int) -> list[torch.Tensor]:
        """Clips `[N_i]`, those shorter than `seconds` with zeros at their end."""
        shortest = round(self.seconds * sampling_rate)
        return [F.pad(clip, (0, max(0, shortest - len(clip)))) for clip in clips]

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        return logits.softmax(dim=-1) if self.exclusive else logits.sigmoid()


class MlpProjection(nn.Module):
    """Audio projection of M2D-CLAP 2024: the mean over all patch tokens through Linear, ReLU, Linear."""

    def __init__(self, width: int, hidden: int, out: int):
        super().__init__()
        self.add_module("0", nn.Linear(width, hidden))
        self.add_module("2", nn.Linear(hidden, out))

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Tokens `[B, N, D]`, real where `mask` `[B, N]`, to embeddings `[B, D]`."""
        mean = (tokens * mask.unsqueeze(-1)).sum(dim=1) / mask.sum(dim=1, keepdim=True)
        first, last = self.children()
        return last(first(mean).relu())


class TokenProjection(nn.Module):
    """Audio projection of M2D-CLAP 2025: a learnt token attends to the patch tokens, through blocks of one head."""

    def __init__(self, width: int, depth: int, mlp_ratio: int):
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.blocks = nn.ModuleList(Block(width, 1, mlp_ratio, CLAP_EPS) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=CLAP_EPS)

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Tokens `[B, N, D]`, real where `mask` `[B, N]`, to embeddings `[B, D]`."""
        hidden = torch.cat([self.token.expand(len(tokens), -1, -1), tokens], dim=1)
        seen = torch.cat([mask.new_ones(len(mask), 1), mask], dim=1)[:, None, None]  # [B, 1, 1, 1 + N]
        for block in self.blocks:
            hidden = block(hidden, seen)
        return self.norm(hidden[:, 0])


class Clap(nn.Module):
    """The projections of M2D-CLAP into the space of sounds and texts; `text` (or None) is of sentence vectors."""

    def __init__(self, audio: MlpProjection | TokenProjection, text: nn.Module | None):
        super().__init__()
        self.audio = audio
        self.text = text


def classifier_like(state: dict[str, torch.Tensor], names: list[str] | None, widths: tuple[int, int]) -> Classifier:
    """The classifier whose parameters have the shapes of `state`; its weights are not set.

    `names` default to the class indices. Raises ValueError for names of another number, and a Linear of another width
    than one of `widths`, D and N_F * D.
    """
    classes, width = _matrix(state, "linear.weight")
    if width not in widths:
        raise ValueError(f"the classifier takes {width} features, the encoder gives {widths[0]} or {widths[1]}")
    if names is not None and len(names) != classes:
        raise ValueError(f"{len(names)} class names are given, the classifier has {classes} classes")
    return Classifier(width, names or [str(index) for index in range(classes)])


def clap_like(state: dict[str, torch.Tensor], width: int) -> Clap:
    """The projections whose parameters have the shapes of `state`; their weights are not set."""
    if "audio.token" in state:
        depth = len({name.split(".")[2] for name in state if name.startswith("audio.blocks.")})
        hidden, _ = _matrix(state, "audio.blocks.0.mlp.fc1.weight")
        audio: MlpProjection | TokenProjection = TokenProjection(width, depth, hidden // width)
    else:
        audio = MlpProjection(width, _matrix(state, "audio.0.weight")[0], _matrix(state, "audio.2.weight")[0])
    text: nn.Module | None = None
    if "text.weight" in state:
        text = nn.Linear(*reversed(_matrix(state, "text.weight")))
    elif any(name.startswith("text.") for name in state):
        first, last = _matrix(state, "text.0.weight"), _matrix(state, "text.2.weight")
        text = nn.Sequential(nn.Linear(*reversed(first)), nn.ReLU(), nn.Linear(*reversed(last)))
    return Clap(audio, text)


def _matrix(state: dict[str, torch.Tensor], name: str) -> tuple[int, int]:
    """Shape of a weight that must be a matrix."""
    if name not in state:
        raise ValueError(f"parameter '{name}' of the head is missing")
    if state[name].ndim != 2 or not state[name].numel():
        raise ValueError(f"parameter '{name}' of the head is {list(state[name].shape)}, expected a matrix")
    rows, columns = state[name].shape
    return rows, columns
