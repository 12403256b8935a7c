"""M2D for Speech: M2D, and distillation of a frozen speech model (the offline teacher) into the same encoder."""

from __future__ import annotations

import torch
from torch import nn

from m2d.nn.config import ModelConfig
from m2d.nn.losses import ObjectiveOutput, cosine_error, deviation, standardise
from m2d.nn.m2d import M2D
from m2d.nn.patches import Mask, gather, random_split


class M2DS(M2D):
    """lambda_m2d * L_m2d + lambda_off * L_off (M2D-S, section 3.3, equation 3); lambda_m2d = 0 is distillation alone.

    The input x is noisy for both networks; only the teacher's frames come from clean speech. Feeding clean speech gives
    distillation without denoising.
    """

    def __init__(self, config: ModelConfig):
        super().__init__(config)
        self.offline = nn.Linear(config.encoder.grid.n_freq * config.encoder.width, config.teacher_width)

    def forward(
        self,
        x: torch.Tensor,
        teacher: torch.Tensor | None = None,
        teacher_frames: torch.Tensor | None = None,
        mask_noise: torch.Tensor | None = None,
    ) -> ObjectiveOutput:
        """One pass over a normalised batch.

        Args:
            x: [B, C, F, T] normalised input.
            teacher: [B, T // 2, W] teacher frames at 50 Hz, or [B, N_T, W] already at the patch rate.
            teacher_frames: [B] how many rows of `teacher` are real; L_off leaves out the patches past them. None: all.
            mask_noise: [B, L] uniform noise that orders the patches; drawn on the device if None.

        Raises ValueError for a missing teacher or one of another length.
        """
        if teacher is None:
            raise ValueError("lambda_off needs the teacher's frames")
        pixels = self.encoder.patches(x)
        mask = random_split(pixels, self.config.n_visible, mask_noise)
        latent = self.encoder(pixels, mask.visible)
        prediction = self.predictor(latent, mask)
        off = self.offline_loss(self.student_frames(latent, prediction, mask), teacher, teacher_frames)
        loss, terms, monitor = self.config.lambda_off * off, {"off": off.detach()}, {}
        if self.target is not None:
            m2d, m2d_terms, monitor = self.m2d_loss(pixels, mask, prediction)
            loss, terms = loss + self.config.lambda_m2d * m2d, {**m2d_terms, **terms}
        monitor["latent_std"] = deviation(latent[:, 1:])
        return ObjectiveOutput(loss, terms, monitor)

    def student_frames(self, latent: torch.Tensor, prediction: torch.Tensor, mask: Mask) -> torch.Tensor:
        """The student's answer to the teacher's frames, [B, N_T, W], from latents and predictions.

        Latents are [B, 1 + N_visible, D], predictions [B, N_masked, D]. Patches of one time frame are concatenated,
        lowest frequency first, when the input is split in frequency.
        """
        (n_freq, n_time), width = self.config.encoder.grid, latent.shape[2]
        z = gather(torch.cat([latent[:, 1:], prediction], dim=1), mask.restore)
        z = z.view(-1, n_freq, n_time, width).transpose(1, 2).reshape(-1, n_time, n_freq * width)
        return self.offline(z)

    def offline_loss(
        self, student: torch.Tensor, teacher: torch.Tensor, teacher_frames: torch.Tensor | None
    ) -> torch.Tensor:
        """L_off (M2D-S, equation 2) over all patch frames, the teacher averaged to the patch rate and standardised."""
        n_time, per_patch = self.config.encoder.grid.n_time, self.config.patch_size[1] // 2
        if teacher.shape[1] == n_time:
            per_patch = 1
        elif not 0 <= teacher.shape[1] - n_time * per_patch < per_patch:
            raise ValueError(f"teacher has {teacher.shape[1]} frames, the input {n_time * per_patch} at 50 Hz")
        covered = teacher[:, :n_time * per_patch].float()
        frames = covered.reshape(-1, n_time, per_patch, teacher.shape[2]).mean(dim=2)
        error = cosine_error(student, standardise(frames))  # [B, N_T]
        if teacher_frames is None:
            return error.mean()
        whole = torch.div(teacher_frames, per_patch, rounding_mode="floor")  # patches that the teacher covers fully
        real = torch.arange(n_time, device=error.device) < whole.unsqueeze(1)
        per_clip = error.where(real, 0.0).sum(dim=1) / real.sum(dim=1).clamp(min=1)
        return per_clip.mean()  # clips count alike, so that a batch in parts has the same mean
