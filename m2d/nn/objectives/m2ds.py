"""M2D for Speech: M2D, and distillation of a frozen model (the offline teacher) into the same encoder."""

import torch
from torch import nn

from m2d.nn.config import ModelConfig
from m2d.nn.objectives import OBJECTIVES, ObjectiveOutput, Prediction, cosine_error, deviation, standardise
from m2d.nn.objectives.m2d import M2D
from m2d.nn.patches import gather


@OBJECTIVES.register("m2ds")
class M2DS(M2D):
    """lambda_m2d * L_m2d + lambda_off * L_off (M2D-S, section 3.3, equation 3); lambda_m2d = 0 is distillation alone.

    The input x is noisy for both networks; only the teacher's frames come from clean speech. Feeding clean speech gives
    distillation without denoising. `objective=m2d` with lambda_off > 0 means this.
    """

    title = "M2D-S"
    terms = {**M2D.terms, "off": "offline loss"}  # noqa: RUF012

    def __init__(self, config: ModelConfig):
        super().__init__(config)
        if config.teacher_width is None:
            raise ValueError("teacher_width is not known: give it, or a store of teacher frames that tells it")
        self.offline = nn.Linear(config.encoder.grid.n_freq * config.encoder.width, config.teacher_width)

    @classmethod
    def check(cls, config: ModelConfig) -> None:
        """Raise ValueError for weights of the losses that do not go together."""
        super().check(config)
        if not config.lambda_off:
            raise ValueError(f"objective={config.objective} needs lambda_off > 0")

    def forward(
        self,
        x: torch.Tensor,
        teacher: torch.Tensor,
        teacher_frames: torch.Tensor | None = None,
        mask_noise: torch.Tensor | None = None,
    ) -> ObjectiveOutput:
        """One pass over a normalised batch.

        Args:
            x: [B, C, F, T] normalised input.
            teacher: [B, T', W] teacher frames of the same time span, a whole number T' * t / T of them for each patch
                of t columns.
            teacher_frames: [B] how many rows of `teacher` are real; L_off leaves out the patches past them. None: all.
            mask_noise: [B, L] uniform noise that orders the patches; drawn on the device if None.

        Raises ValueError for a teacher of another length.
        """
        prediction = self.predict(x, mask_noise)
        off = self.offline_loss(self.student_frames(prediction), teacher, teacher_frames, x.shape[3])
        loss, terms, monitor = self.config.lambda_off * off, {"off": off.detach()}, {}
        if self.target is not None:
            m2d, m2d_terms, monitor = self.m2d_loss(prediction)
            loss, terms = loss + self.config.lambda_m2d * m2d, {**m2d_terms, **terms}
        monitor["latent_std"] = deviation(prediction.latent[:, 1:])
        return ObjectiveOutput(loss, terms, monitor)

    def student_frames(self, prediction: Prediction) -> torch.Tensor:
        """The student's prediction of the teacher's frames, [B, N_T, W], from latents and predictions.

        Patches of one time frame are concatenated, lowest frequency first, when the input is split in frequency.
        """
        (n_freq, n_time), width = self.config.encoder.grid, prediction.latent.shape[2]
        z = gather(torch.cat([prediction.latent[:, 1:], prediction.masked], dim=1), prediction.mask.restore)
        z = z.view(-1, n_freq, n_time, width).transpose(1, 2).reshape(-1, n_time, n_freq * width)
        return self.offline(z)

    def offline_loss(
        self, student: torch.Tensor, teacher: torch.Tensor, teacher_frames: torch.Tensor | None, n_columns: int
    ) -> torch.Tensor:
        """L_off (M2D-S, equation 2) over all patch frames, the teacher averaged to the patch rate and standardised."""
        n_time, rows = self.config.encoder.grid.n_time, teacher.shape[1]
        per_patch, rest = (1, 0) if rows == n_time else divmod(rows * self.config.patch_size[1], n_columns)
        if rest or not per_patch:
            raise ValueError(f"{rows} teacher frames for {n_columns} columns: no whole number for each patch of "
                             f"{self.config.patch_size[1]}")
        covered = teacher[:, :n_time * per_patch].float()
        frames = covered.reshape(-1, n_time, per_patch, teacher.shape[2]).mean(dim=2)
        error = cosine_error(student, standardise(frames))  # [B, N_T]
        if teacher_frames is None:
            return error.mean()
        whole = torch.div(teacher_frames, per_patch, rounding_mode="floor")  # patches that the teacher covers fully
        real = torch.arange(n_time, device=error.device) < whole.unsqueeze(1)
        per_clip = error.where(real, 0.0).sum(dim=1) / real.sum(dim=1).clamp(min=1)
        return per_clip.mean()  # all clips weigh the same, so that micro-batches have the same mean
