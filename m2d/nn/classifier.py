"""Fine-tuning on labels: the encoder over all patches, the mean of their outputs, LayerNorm and a linear layer."""

import torch
import torch.nn.functional as F
from torch import nn

from m2d.nn.config import ModelConfig
from m2d.nn.encoder import Encoder
from m2d.nn.objectives import ObjectiveOutput
from m2d.nn.transformer import LAYER_NORM_EPS

HEAD_STD = 2e-5


class Classifier(nn.Module):
    """MAE's network for fine-tuning, with global average pooling (He et al. 2022, appendix A.1).

    A LayerNorm of its own follows the pooling; the encoder's final one is not used. The loop of pre-training trains it.
    The loss is the cross entropy with the soft labels of Mixup and CutMix.
    """

    terms = {"top1": "top-1 accuracy"}  # noqa: RUF012

    def __init__(self, config: ModelConfig, classes: int):
        super().__init__()
        self.config = config
        self.encoder = Encoder(config.encoder, config.activation_checkpointing, config.drop_path)
        self.encoder.transformer.norm.requires_grad_(False)
        self.norm = nn.LayerNorm(config.encoder.width, eps=LAYER_NORM_EPS)
        self.head = nn.Linear(config.encoder.width, classes)
        nn.init.trunc_normal_(self.head.weight, std=HEAD_STD)
        nn.init.zeros_(self.head.bias)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Normalised inputs [B, C, F, T] -> [B, classes]."""
        hidden = self.encoder.transformer.run_blocks(self.encoder.whole(x))
        return self.head(self.norm(hidden[:, 1:].mean(dim=1)))

    def forward(self, x: torch.Tensor, targets: torch.Tensor) -> ObjectiveOutput:
        """Cross entropy of normalised inputs x [B, C, F, T] and label weights targets [B, classes]; `top1` in 0..1."""
        logits = self.logits(x).float()
        loss = F.cross_entropy(logits, targets)
        hits = (logits.argmax(1) == targets.argmax(1)).float().mean()
        return ObjectiveOutput(loss, {"top1": hits}, {})

    def update_target(self, rate: float) -> None:
        """Does nothing: there is no target network."""
