"""`M2DFeatures` as one graph of tensor operations: no lists of clips, no loops over chunks."""

import math

import torch
from torch import Tensor, nn

from m2d.audio.logmel import LOG_EPS, LogMel
from m2d.pretrained.features import M2DFeatures


class LogMelGraph(nn.Module):
    """`LogMel` of a padded batch: frames are gathered by index, the Fourier transform is a product with its matrix.

    The product is in float64: in float32 its rounding error would show in bands far weaker than the loudest one.
    """

    def __init__(self, logmel: LogMel):
        super().__init__()
        self.config = config = logmel.config
        angle = torch.outer(torch.arange(config.n_fft), torch.arange(config.n_fft // 2 + 1)) % config.n_fft
        angle = angle.double() * (2 * math.pi / config.n_fft)
        window = logmel.window.double().unsqueeze(1)
        self.register_buffer("cosine", window * angle.cos(), persistent=False)  # [n_fft, bins]
        self.register_buffer("sine", window * angle.sin(), persistent=False)
        self.register_buffer("mel", logmel.mel.double(), persistent=False)  # [bins, F]

    def forward(self, wavs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Samples [B, N], of which `lengths` [B] are a clip's own, to log-mel [B, T, F] and its frames [B]."""
        n_fft, hop = self.config.n_fft, self.config.hop_length
        device = wavs.device
        starts = torch.arange(1 + wavs.shape[1] // hop, device=device) * hop - n_fft // 2
        index = (starts.unsqueeze(1) + torch.arange(n_fft, device=device)).abs()  # reflected at the beginning
        last = lengths.clamp(min=n_fft // 2 + 1)[:, None, None] - 1
        index = (last - (last - index).abs()).clamp(min=0).flatten(1)  # and at each clip's own end: [B, T * n_fft]
        frames = wavs.gather(1, index.clamp(max=wavs.shape[1] - 1))
        frames = torch.where(index < lengths.unsqueeze(1), frames, 0.0)
        frames = frames.view(wavs.shape[0], -1, n_fft).double()
        power = (frames @ self.cosine).square() + (frames @ self.sine).square()
        return (power @ self.mel + LOG_EPS).log().float(), 1 + lengths // hop


class FeatureGraph(nn.Module):
    """Features of a padded batch of clips of any length, those of `M2DFeatures`."""

    def __init__(self, model: M2DFeatures, audio: bool):
        """Take waveforms if `audio`, else normalised log-mels."""
        super().__init__()
        self.encoder, self.classifier = model.encoder, model.classifier
        self.logmel = LogMelGraph(model.logmel) if audio else None
        self.mean, self.std = model.mean, model.std

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        """Waveforms [B, N] or log-mels [B, F, T], and the samples or frames [B] that are each clip's own.

        Returns layers [L, B, T', W], the last after the final LayerNorm, zero past a clip's own frames; clips [B, W],
        the mean of the last layer over them; their numbers [B]; of a model with a classifier its probabilities [B, C].
        """
        if self.logmel is None:
            x = x.transpose(1, 2)
        else:
            x, lengths = self.logmel(x, lengths)
            x = (x - self.mean) / self.std
        patch_frames, longest = self.encoder.config.patch_size[1], self.encoder.config.grid.n_time
        n_time = (x.shape[1] + patch_frames - 1) // patch_frames
        chunks = (n_time + longest - 1) // longest
        width = torch.sym_min(n_time, longest)  # patches in a chunk
        # rows of the encoder's batch are chunks; indexing, unlike a view, is traced alike for one chunk and for several
        row = torch.arange(x.shape[0] * chunks, device=x.device)
        clip = row // chunks
        first = (row - clip * chunks) * width  # column of the chunk's first patch
        frame = (first * patch_frames).unsqueeze(1) + torch.arange(width * patch_frames, device=x.device)
        pixels = x[clip.unsqueeze(1), frame.clamp(max=x.shape[1] - 1)]  # [B * chunks, width * patch_frames, F]
        pixels = torch.where((frame < lengths[clip].unsqueeze(1)).unsqueeze(2), pixels, 0.0)
        counts = (lengths + patch_frames - 1) // patch_frames
        valid = (counts[clip] - first).clamp(0, longest)
        layers = self.encoder.layers(pixels.transpose(1, 2).unsqueeze(1), valid)  # of [B * chunks, N_F, width, D]
        column = torch.arange(n_time, device=x.device)
        chunk = column // width
        row = (torch.arange(x.shape[0], device=x.device) * chunks).unsqueeze(1) + chunk  # [B, T']
        real = (column < counts.unsqueeze(1)).unsqueeze(2)
        layers = torch.stack([torch.where(real, layer.transpose(1, 2).flatten(2)[row, column - chunk * width], 0.0)
                              for layer in layers])
        pooled = layers[-1].sum(dim=1) / counts.unsqueeze(1)
        if self.classifier is None:
            return layers, pooled, counts
        return layers, pooled, counts, self.classifier.probabilities(self.classifier(pooled))
