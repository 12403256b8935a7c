"""Features of a recording that comes in pieces, in constant memory: of an hour-long file, or of a microphone."""

import torch

from m2d.audio.logmel import normalise
from m2d.pretrained.features import M2DFeatures


class FeatureStream:
    """The features that `model` gives of the whole recording, to rounding, from its pieces in order.

    `push` returns the frames that are settled: those of every whole chunk of the model's input, once the samples that
    the last window of it covers are there. `finish` returns the rest. Both give `[L, T, W]`: the last layer alone
    (L = 1), or all of them if `all_layers`. One stream is for one recording, at the model's `sample_rate`.
    """

    def __init__(self, model: M2DFeatures, all_layers: bool = False):
        self.model, self.all_layers = model, all_layers
        config, front_end = model.encoder.config, model.logmel.config
        self._chunk = config.grid.n_time * config.patch_size[1]  # log-mel frames encoded together
        self._hop, self._half = front_end.hop_length, front_end.n_fft // 2
        self._margin = -(-self._half // self._hop)  # frames whose window reaches over a cut
        self._samples = torch.empty(0, device=model.encoder.cls_token.device)
        self._context = 0  # frames at the beginning of the buffer that are done and only give context
        self._finished = False

    def push(self, samples: torch.Tensor) -> torch.Tensor:
        """Take the next samples `[n]`, floating point in -1..1. Raises ValueError for others, and after `finish`."""
        if self._finished:
            raise ValueError("the stream is finished: begin another one for another recording")
        if samples.ndim != 1 or not samples.is_floating_point():
            raise ValueError(f"a piece is {list(samples.shape)} {samples.dtype}: expected [n], floating point in -1..1")
        self._samples = torch.cat([self._samples, samples.to(self._samples)])
        settled = []
        while len(self._samples) >= (self._context + self._chunk - 1) * self._hop + self._half:
            last = self._context + self._chunk
            settled.append(self._encode(self._samples[:(last - 1) * self._hop + self._half], last))
            self._samples = self._samples[(last - self._margin) * self._hop:].clone()
            self._context = self._margin
        nothing = self._samples.new_zeros(self.model.n_layers if self.all_layers else 1, 0, self.model.dim)
        return torch.cat([nothing, *settled], dim=1)

    def finish(self) -> torch.Tensor:
        """The frames of what is left. Raises ValueError for a recording without samples, or a second call."""
        if self._finished or not len(self._samples):
            raise ValueError("the stream is finished" if self._finished else "a recording without samples")
        self._finished = True
        return self._encode(self._samples, 1 + len(self._samples) // self._hop)

    @torch.no_grad()
    def _encode(self, samples: torch.Tensor, last: int) -> torch.Tensor:
        """Features of the log-mel frames of `samples` after the context and before `last`, `[L, T, W]`."""
        logmel = normalise(self.model.logmel(samples), self.model.mean, self.model.std)[:, self._context:last]
        return torch.cat(self.model.encode([logmel], self.all_layers).layers)
