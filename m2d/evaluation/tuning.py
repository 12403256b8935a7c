"""Settings of fine-tuning and their implementation: the network, learning rates, frozen parts, class balance."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from m2d.common.config import option
from m2d.common.errors import UserError
from m2d.common.schedules import layer_scale, warmup_cosine
from m2d.evaluation.augment import structured_patchout
from m2d.nn.encoder import Encoder
from m2d.pretrained import heads

MOMENTUM = 0.9
OPTIMIZERS = ("sgd", "adamw")
BALANCES = ("none", "weights", "sampling")


class Classifier(nn.Module):
    """Encoder, mean over time, BatchNorm without affine, Linear with weights N(0, 0.01) (M2D, fine-tuning details).

    Without patchout the clip vector is the mean over time of the bin-concatenated frames (N_F * D wide); with it, in
    training and testing, the mean over all patches (D wide), because a frame without some of its rows can't be
    concatenated.
    """

    def __init__(self, encoder: Encoder, n_classes: int, patchout: float = 0.0):
        super().__init__()
        self.encoder, self.patchout = encoder, patchout
        width = encoder.config.width * (1 if patchout else encoder.config.grid.n_freq)
        self.norm = nn.BatchNorm1d(width, affine=False)
        self.head = nn.Linear(width, n_classes)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Logits `[B, classes]` of normalised log-mels `[B, 1, F, T]`.

        Longer clips than the encoder's input are encoded in chunks of its length, each with positions from 0; the
        last one is zero-padded to a whole patch.
        """
        patch, longest = self.encoder.config.patch_size[1], self.encoder.config.input_size[1]
        total, count = 0.0, 0
        for chunk in F.pad(x, (0, -x.shape[3] % patch)).split(longest // patch * patch, dim=3):
            tokens = self._drop_patches(chunk) if self.training and self.patchout else self._all_patches(chunk)
            total, count = total + tokens.sum(1), count + tokens.shape[1]
        return self.head(self.norm(total / count))

    def _drop_patches(self, chunk: Tensor) -> Tensor:
        """Outputs of the remaining patches, `[B, n, D]`."""
        config, (batch, _, _, frames) = self.encoder.config, chunk.shape
        index = structured_patchout(config.grid, frames // config.patch_size[1], self.patchout, batch, chunk.device)
        pixels = self.encoder.patches(F.pad(chunk, (0, config.input_size[1] - frames)))  # indices are of the full grid
        return self.encoder(pixels, index)[:, 1:]

    def _all_patches(self, chunk: Tensor) -> Tensor:
        """Frames `[B, N_T, N_F * D]`, lowest bin first; with patchout all patches `[B, N_F * N_T, D]`."""
        grid = self.encoder.layers(chunk)[-1]  # [B, N_F, N_T, D]
        return grid.flatten(1, 2) if self.patchout else grid.transpose(1, 2).flatten(2)

    def head_for_features(self, classes: list[str], exclusive: bool, seconds: float) -> heads.Classifier:
        """The head in the form of `m2d.M2DFeatures`, for export."""
        head = heads.Classifier(self.head.in_features, classes, exclusive, seconds)
        head.norm.mean.copy_(self.norm.running_mean)
        head.norm.variance.copy_(self.norm.running_var)
        head.linear.load_state_dict(self.head.state_dict())
        return head.eval()




@dataclass
class TuneOptions:
    """Settings of one task; conf/ holds those of table 2, those of the public scripts and those for small data."""

    lr: float = option(0.5, "peak learning rate", within="(0, inf)")
    optimizer: str = option("sgd", "sgd (momentum 0.9) or adamw", choices=OPTIMIZERS)
    weight_decay: float = option(0.0, "weight decay of all parameters", within="[0, inf)")
    layer_decay: float = option(1.0, "learning rate of a block relative to the block after it", within="(0, 1]")
    epochs: int = option(200, "epochs", within="[1, inf)")
    warmup_epochs: int = option(5, "epochs of linear warm-up, before the half-cosine to 0", within="[0, inf)")
    patience: int = option(0, "epochs without a better validation score before the end; 0: all epochs",
                           within="[0, inf)")
    valid_share: float = option(0.0, "share of the training clips that validate where the task has no validation part; "
                                     "0: none, the last epoch counts", within="[0, 1)")
    batch_size: int = option(128, "clips per step", within="[2, inf)")
    balance: str = option("none", "rare classes: none, weights (in the loss) or sampling (clips drawn more often)",
                          choices=BALANCES)
    mixup: float = option(0.0, "Mixup's alpha; 0: none", within="[0, inf)")
    rrc: bool = option(False, "Random Resize Crop")
    patchout: float = option(0.0, "Structured Patchout: share of patches dropped in training", within="[0, 1)")
    freq_mask: int = option(0, "SpecAugment: widest band masked, in bins", within="[0, inf)")
    time_mask: int = option(0, "SpecAugment: longest stretch masked, in frames", within="[0, inf)")
    freeze_patch_embed: bool = option(False, "freeze the patch embedding")
    freeze_blocks: int = option(0, "freeze this many blocks from the input on, and the patch embedding",
                                within="[0, inf)")
    bf16: bool = option(False, "run the encoder in bfloat16 (autocast)")

    def __post_init__(self) -> None:
        if self.warmup_epochs >= self.epochs:
            raise UserError(f"warmup_epochs={self.warmup_epochs} must be less than epochs={self.epochs}")

    def lr_at(self, epoch: float) -> float:
        return self.lr * warmup_cosine(epoch, self.warmup_epochs, self.epochs)


def freeze(model: Classifier, options: TuneOptions) -> None:
    """Freeze the parts that the options name. Raises `UserError` for more blocks than the encoder has."""
    encoder, count = model.encoder, options.freeze_blocks
    depth = encoder.config.depth
    if count > depth:
        raise UserError(f"freeze_blocks={count}: the encoder has {depth} blocks")
    frozen = list(encoder.transformer.blocks[:count])
    if count or options.freeze_patch_embed:
        frozen.append(encoder.patch_embed)
    for part in frozen:
        part.requires_grad_(False)
    if count:
        encoder.cls_token.requires_grad_(False)


def build_optimizer(model: Classifier, options: TuneOptions) -> torch.optim.Optimizer:
    """SGD or AdamW; each parameter group has a `scale`, its learning rate relative to the head's."""
    depth = model.encoder.config.depth
    groups: dict[float, list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(layer_scale(name, depth, options.layer_decay), []).append(parameter)
    settings = [{"params": parameters, "scale": scale} for scale, parameters in groups.items()]
    if options.optimizer == "sgd":
        return torch.optim.SGD(settings, lr=0.0, momentum=MOMENTUM, weight_decay=options.weight_decay)
    return torch.optim.AdamW(settings, lr=0.0, weight_decay=options.weight_decay)


def class_weights(targets: np.ndarray) -> np.ndarray:
    """Weight of each class in the loss `[C]`, inverse to its share of the clips, with mean 1 over the classes."""
    weights = 1 / np.maximum(targets.sum(0), 1)
    return (weights / weights.mean()).astype(np.float32)


def epoch_order(rows: np.ndarray, targets: np.ndarray, balance: str, seed: int, epoch: int) -> np.ndarray:
    """Order in which one epoch visits `rows`; with `sampling` as many draws, each class equally often.

    Args:
        rows: rows of the training clips.
        targets: label weights of all clips `[clips, C]`.
        balance: one of `BALANCES`.
        seed: of the run.
        epoch: an order is a function of seed and epoch.
    """
    random = np.random.default_rng([seed, epoch])
    if balance != "sampling":
        return random.permutation(rows)
    own = targets[rows]
    weights = (own / np.maximum(own.sum(0), 1)).sum(1) / own.sum(1)
    return random.choice(rows, len(rows), p=weights / weights.sum())
