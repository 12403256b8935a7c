"""Any model as a map from clips to vectors: ours, random weights, log-mel, s3prl upstreams, transformers models.

How they are named on the command line: see `m2d.pretrained.names`.
"""

import hashlib
import inspect
import math
from typing import Any

import torch
from torch import Tensor, nn

from m2d.audio.logmel import LogMel, LogMelConfig, normalise
from m2d.common.errors import UserError
from m2d.pretrained.files import load_audio
from m2d.pretrained.names import parse_model


class Embedder:
    """A frozen model. `identity` changes with anything that changes its output; calls are made without gradient."""

    sample_rate = LogMelConfig.sample_rate
    front_end: LogMelConfig | None = None  # of a model that takes the statistics of a task's log-mels

    def __init__(self, identity: str, device: str):
        self.identity = identity
        self.device = torch.device(device)

    def set_statistics(self, mean: float, std: float) -> None:
        """Normalise log-mels by the task's mean and deviation from now on, where it has a `front_end`."""
        raise NotImplementedError(f"{type(self).__name__} takes no log-mel statistics")

    def __call__(self, waves: Tensor) -> Tensor:
        """One vector per clip from the last layer, `[B, N]` at `sample_rate` -> `[B, D]`."""
        return self.layers(waves)[-1]

    def layers(self, waves: Tensor) -> list[Tensor]:
        """One vector per clip from each layer, `[B, N]` at `sample_rate` -> `[B, D]` each; the last is a call's."""
        raise NotImplementedError


class OwnModel(Embedder):
    """One of our models: the mean over time of the last layer's bin-concatenated frames (M2D, section 4.1).

    `source` is what `m2d.load_pretrained` takes: a model directory, a published checkpoint, a name on the hub.
    With `random_seed` only its architecture is used, with fresh weights.
    """

    def __init__(self, source: str, device: str, random_seed: int | None = None):
        self.model = load_audio(source)
        if random_seed is not None:
            self.model.randomise(random_seed)
        self.weights = f"m2d {self.model.encoder.config} {self.model.logmel.config} {digest(self.model.encoder)}"
        super().__init__(self.weights, device)
        self.sample_rate = self.model.sample_rate
        self.model.to(device).eval()

    def set_statistics(self, mean: float, std: float) -> None:
        self.model.set_statistics(mean, std)
        self.identity = f"{self.weights} {mean} {std}"

    def __call__(self, waves: Tensor) -> Tensor:
        return self.model(waves, all_layers=False).clip

    def layers(self, waves: Tensor) -> list[Tensor]:
        return [layer.mean(1) for layer in self.model(waves).layers]  # clips of one length: no padding


class LogMelFrames(Embedder):
    """Raw log-mels `[B, T, F]`, what fine-tuning reads; not a vector per clip."""

    def __init__(self, device: str, config: LogMelConfig | None = None):
        config = config or LogMelConfig()
        super().__init__(f"log-mel {config}", device)
        self.sample_rate = config.sample_rate
        self.logmel = LogMel(config).to(device)

    def __call__(self, waves: Tensor) -> Tensor:
        return self.logmel(waves).transpose(1, 2)


class LogMelMean(LogMelFrames):
    """The mean over time of the normalised log-mel, `[B, 80]`: the clip vector of a model that does nothing."""

    front_end = LogMelConfig()

    def set_statistics(self, mean: float, std: float) -> None:
        self.mean, self.std = mean, std
        self.identity = f"log-mel mean {LogMelConfig()} {mean} {std}"

    def __call__(self, waves: Tensor) -> Tensor:
        return normalise(super().__call__(waves), self.mean, self.std).mean(1)

    def layers(self, waves: Tensor) -> list[Tensor]:
        return [self(waves)]


class S3prlModel(Embedder):
    """An upstream of s3prl: the mean over time of its last hidden state."""

    def __init__(self, name: str, checkpoint: str | None, device: str):
        from m2d.pretrained.s3prl_compat import before_s3prl

        before_s3prl()
        from s3prl.nn import S3PRLUpstream

        if name not in S3PRLUpstream.available_names():
            raise UserError(f"s3prl has no upstream '{name}' (see S3PRLUpstream.available_names())")
        self.model = S3PRLUpstream(name, path_or_url=checkpoint).to(device).eval()
        super().__init__(f"s3prl {name} {digest(self.model)}", device)

    def layers(self, waves: Tensor) -> list[Tensor]:
        lengths = torch.full((len(waves),), waves.shape[1], device=waves.device)
        return [torch.stack([clip[:n].mean(0) for clip, n in zip(layer, frames.tolist(), strict=True)])
                for layer, frames in zip(*self.model(waves, lengths), strict=True)]


class TransformersModel(Embedder):
    """An audio model of transformers with its own feature extractor: the mean of its last hidden state.

    Clips longer than what the extractor takes at once are cut into such chunks, and the mean goes over all. Of an
    extractor that pads to its full length (Whisper's) only the frames of the clip count.
    """

    def __init__(self, source: str, device: str):
        import transformers

        try:
            self.extractor = transformers.AutoFeatureExtractor.from_pretrained(source)
            model = transformers.AutoModel.from_pretrained(source).float()
        except (OSError, ValueError) as error:
            raise UserError(f"hf:{source}: not loadable as an audio model ({str(error).splitlines()[0]})") from error
        self.sample_rate = self.extractor.sampling_rate
        self.model = _audio_part(model).to(device).eval()
        super().__init__(f"transformers {type(model).__name__} {digest(self.model)} {self.extractor.to_json_string()}",
                         device)
        self.inputs = set(inspect.signature(self.model.forward).parameters)
        self.window, self.pads = _window(self.extractor)

    def __call__(self, waves: Tensor) -> Tensor:
        return self._pooled(waves, False)[0]

    def layers(self, waves: Tensor) -> list[Tensor]:
        return self._pooled(waves, True)

    def _pooled(self, waves: Tensor, all_layers: bool) -> list[Tensor]:
        """Means over time, of all chunks of the clips."""
        totals: list[Tensor] = []
        count = 0
        for chunk in waves.split(self.window or waves.shape[1], dim=1):
            frames = self._frames(chunk, all_layers)
            sums = [layer.sum(1) for layer in frames]
            totals = [a + b for a, b in zip(totals, sums, strict=True)] if totals else sums
            count += frames[-1].shape[1]
        return [total / count for total in totals]

    def _frames(self, waves: Tensor, all_layers: bool) -> list[Tensor]:
        """Frames or patches of one chunk, `[B, N]` -> `[B, T, D]` per layer or of the last one."""
        inputs = self.extractor(list(waves.cpu().numpy()), sampling_rate=self.sample_rate, return_tensors="pt")
        output = self.model(**{k: v.to(self.device) for k, v in inputs.items() if k in self.inputs},
                            output_hidden_states=all_layers)
        # the first hidden state is the input of the first block, the last may lack the final normalisation
        hidden = [*output.hidden_states[1:-1], output.last_hidden_state] if all_layers else [output.last_hidden_state]
        if hidden[-1].ndim == 4:  # [B, D, F, T] of convolutional and Swin models
            return [layer.flatten(2).transpose(1, 2) for layer in hidden]
        if self.pads:
            own = math.ceil(hidden[-1].shape[1] * waves.shape[1] / self.window)
            return [layer[:, :own] for layer in hidden]
        return hidden


def _audio_part(model: nn.Module) -> nn.Module:
    """The audio part of a model: the encoder of an encoder-decoder, the audio tower of a text-audio model."""
    if hasattr(model, "audio_model"):
        return model.audio_model
    return model.get_encoder() if model.config.is_encoder_decoder else model


def _window(extractor: Any) -> tuple[int | None, bool]:
    """Samples that the extractor takes at once (None: any number) and whether it pads shorter clips to them."""
    if hasattr(extractor, "n_samples"):  # Whisper
        return extractor.n_samples, True
    if hasattr(extractor, "nb_max_samples"):  # CLAP
        return extractor.nb_max_samples, False
    if hasattr(extractor, "num_mel_bins") and hasattr(extractor, "max_length"):  # AST: frames of 10 ms
        return extractor.max_length * extractor.sampling_rate // 100, False
    return None, False


def load_model(text: str, device: str) -> Embedder:
    """The model of a name (`m2d.pretrained.names`), ready to embed. `UserError` for no known form, or as its loader."""
    name = parse_model(text)
    if name.kind == "logmel":
        if name.detail:
            raise UserError(f"model '{text}': a mean over time knows no patches; write logmel")
        return LogMelMean(device)
    if name.kind == "s3prl":
        return S3prlModel(name.source, name.detail or None, device)
    if name.kind == "hf":
        return TransformersModel(name.source, device)
    return own_model(text, device)


def own_model(text: str, device: str) -> OwnModel:
    """One of our models, or `random:NAME[:SEED]` (default 0): what can be fine-tuned. `UserError` for another kind."""
    name = parse_model(text)
    if name.kind not in ("own", "random"):
        raise UserError(f"model '{text}': only models of ours are fine-tuned: a model directory, a published "
                        "checkpoint, OWNER/NAME on the hub, random: and one of these")
    return OwnModel(name.source, device, int(name.detail or 0) if name.kind == "random" else None)


def digest(module: nn.Module) -> str:
    """A name for the weights of a module."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
