"""data2vec on patches: the online network predicts the average of the target network's top layers."""

import torch
import torch.nn.functional as F

from m2d.nn.config import ModelConfig
from m2d.nn.objectives import OBJECTIVES, ObjectiveOutput, Prediction, deviation, standardise
from m2d.nn.objectives.m2d import M2D


@OBJECTIVES.register("data2vec")
class Data2Vec(M2D):
    """Contextualised targets (Baevski et al. 2022, "data2vec", section 3.3), with M2D's encoder and predictor.

    The target network is the EMA of the online blocks, starts as their copy and sees all patches. The encoder sees the
    visible patches alone and a predictor fills in the others, as in MAE; in the paper mask tokens enter the encoder.
    """

    title = "data2vec"
    terms = {"data2vec": "data2vec loss"}  # noqa: RUF012

    def __init__(self, config: ModelConfig):
        super().__init__(config)
        self.target.load_state_dict(self.encoder.transformer.state_dict())

    @classmethod
    def check(cls, config: ModelConfig) -> None:
        """Raise ValueError for a number of layers that the encoder does not have."""
        super(M2D, cls).check(config)  # no weights of losses
        if not 1 <= config.top_layers <= config.encoder.depth:
            raise ValueError(f"top_layers={config.top_layers}: the encoder has {config.encoder.depth} blocks")

    @torch.no_grad()
    def targets(self, prediction: Prediction) -> torch.Tensor:
        """Mean over the top blocks of their standardised outputs, of each masked patch, [B, N_masked, D] float32."""
        tokens = self.encoder.embed(prediction.pixels, prediction.mask.shuffle)
        top = self.target.layers(tokens)[-self.config.top_layers:]
        return torch.stack([standardise(layer[:, prediction.latent.shape[1]:]) for layer in top]).mean(dim=0)

    def forward(self, x: torch.Tensor, mask_noise: torch.Tensor | None = None) -> ObjectiveOutput:
        """Mean squared error over the masked patches."""
        prediction = self.predict(x, mask_noise)
        target = self.targets(prediction)
        loss = F.mse_loss(prediction.masked.float(), target)
        monitor = {"target_std": deviation(target), "latent_std": deviation(prediction.latent[:, 1:])}
        return ObjectiveOutput(loss, {"data2vec": loss.detach()}, monitor)
