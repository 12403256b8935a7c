"""The network for fine-tuning: a pre-trained encoder with a linear classifier on its clip vector."""

import torch.nn.functional as F
from torch import Tensor, nn

from m2d.evaluation.augment import structured_patchout
from m2d.nn.encoder import Encoder
from m2d.pretrained import heads


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
