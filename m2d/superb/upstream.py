"""The models that SUPERB's tasks read: one interface over M2D, its random twin, log-mel patches and HuBERT.

s3prl's contract: `forward(list of [N_i])` gives `hidden_states`, a list with a `[B, T, D]` per layer, and
`get_downsample_rates` the samples per frame. Beyond it, a clip's features never depend on its batch mates, and those
of a frozen model are computed once and kept (`m2d.superb.cache`).
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from m2d.audio.logmel import LogMel, LogMelConfig
from m2d.common.errors import UserError
from m2d.pretrained.files import load_audio
from m2d.superb.cache import FeatureCache, Settings, cache_of, clip_keys


class Upstream(nn.Module):
    """Base of our upstreams: padding, caching, frame rate. A subclass gives `encode` and `describe`."""

    def __init__(self, samples_per_frame: int, settings: Settings):
        super().__init__()
        self.samples_per_frame = samples_per_frame
        self.settings = settings
        self.has_trained = False
        self._cache: FeatureCache | None = None
        self.register_load_state_dict_post_hook(lambda module, _: module.forget())

    def encode(self, wavs: Sequence[Tensor]) -> list[Tensor]:
        """Layers `[L, T_i, D]` of each of the clips `[N_i]` (16 kHz, -1..1, on the model's device)."""
        raise NotImplementedError

    def describe(self) -> str:
        """What shapes the features beside the tensors of the model: architecture, front end, statistics."""
        raise NotImplementedError

    def get_downsample_rates(self, key: str | None = None) -> int:
        """Samples per feature frame, the same for every layer."""
        return self.samples_per_frame

    def train(self, mode: bool = True) -> "Upstream":
        """As every module's; weights may change in training, so the cache is looked up anew after it."""
        self.forget()
        return super().train(mode)

    def forget(self) -> None:
        """Look the cache up anew, by the weights of then, at the next use."""
        self._cache = None

    def forward(self, wavs: Sequence[Tensor]) -> dict[str, Any]:
        """`hidden_states`: a list of L tensors `[B, T, D]`, zero beyond a clip's own frames; `last_hidden_state`.

        Args:
            wavs: B clips `[N_i]`, 16 kHz.
        """
        if torch.is_grad_enabled() and any(weight.requires_grad for weight in self.parameters()):
            self.has_trained = True
        is_frozen = not (self.training or self.has_trained or torch.is_grad_enabled())
        clips = self._encode_frozen(wavs) if is_frozen and self.settings.keeps else self._encode(wavs)
        clips = [self._cover(clip, len(wav)) for clip, wav in zip(clips, wavs, strict=True)]
        longest = max(clip.shape[1] for clip in clips)
        batch = torch.stack([F.pad(clip, (0, 0, 0, longest - clip.shape[1])) for clip in clips], 1)  # [L, B, T, D]
        layers = list(batch.unbind(0))
        return {"hidden_states": layers, "last_hidden_state": layers[-1]}

    def _encode(self, wavs: Sequence[Tensor]) -> list[Tensor]:
        """On the CPU clip by clip: a batch would gain nothing, and so kept and fresh features are equal to the bit."""
        if wavs[0].device.type == "cpu":
            return [self.encode([wav])[0] for wav in wavs]
        return self.encode(wavs)

    def _encode_frozen(self, wavs: Sequence[Tensor]) -> list[Tensor]:
        if self._cache is None:
            self._cache = cache_of(self, f"{self.describe()} {wavs[0].device.type}", self.settings)
        keys = clip_keys(wavs)
        clips = [self._cache.get(key) for key in keys]
        missing = [index for index, clip in enumerate(clips) if clip is None]
        if missing:
            for index, clip in zip(missing, self._encode([wavs[index] for index in missing]), strict=True):
                clips[index] = clip
                self._cache.put(keys[index], clip)
        return [clip.to(wavs[0].device) for clip in clips if clip is not None]

    def _cover(self, clip: Tensor, samples: int) -> Tensor:
        """Repeat the last frame up to `ceil(samples / samples_per_frame)`, the most that s3prl counts. Its runner
        rounds, its S3PRLUpstream rounds up. Without this a short clip would end in a zero frame in a batch with longer
        ones, and not when alone.
        """
        lacking = -(-samples // self.samples_per_frame) - clip.shape[1]
        return clip if lacking <= 0 else torch.cat([clip, clip[:, -1:].expand(-1, lacking, -1)], 1)


class M2DUpstream(Upstream):
    """A model directory: the output of every block of the online encoder, `[L, T, N_F * D]`."""

    def __init__(self, ckpt: str, settings: Settings):
        """Load the model and set the task's statistics. Raises `UserError` as `m2d.load_pretrained` does."""
        model = load_audio(ckpt)
        super().__init__(model.samples_per_frame, settings)
        self.model = model
        if settings.mean is not None and settings.std is not None:
            self.model.set_statistics(settings.mean, settings.std)

    def describe(self) -> str:
        return f"{self.model.encoder.config} {self.model.logmel.config} {self.model.mean} {self.model.std}"

    def encode(self, wavs: Sequence[Tensor]) -> list[Tensor]:
        output = self.model.encode(self.model.log_mels(list(wavs), sampling_rate=16000))
        layers = torch.stack(output.layers)  # [L, B, T, D]
        return [layers[:, index, :length] for index, length in enumerate(output.lengths.tolist())]


class RandomUpstream(M2DUpstream):
    """The network of a model directory with freshly drawn weights (`Settings.seed`)."""

    def __init__(self, ckpt: str, settings: Settings):
        super().__init__(ckpt, settings)
        self.model.randomise(settings.seed)


class LogMelUpstream(Upstream):
    """Log-mel patches, the very input of an 80 x `patch_frames` model, as one layer `[1, T, patch_frames * 80]`.

    There is no normalisation per clip: it would make the mean over time about zero, and tasks that pool over time would
    score at chance.
    """

    def __init__(self, ckpt: str | None, settings: Settings):
        """`ckpt` is the number of frames of a patch, 2 by default."""
        patch_frames = int(ckpt or 2)
        if settings.mean is None or settings.std is None:
            raise UserError("m2d_logmel: give the log-mel statistics of the task as {'mean': ..., 'std': ...}")
        super().__init__(patch_frames * LogMelConfig().hop_length, settings)
        self.logmel = LogMel()
        self.patch_frames, self.mean, self.std = patch_frames, settings.mean, settings.std

    def describe(self) -> str:
        return f"{self.logmel.config} {self.patch_frames} {self.mean} {self.std}"

    def encode(self, wavs: Sequence[Tensor]) -> list[Tensor]:
        return [self._patches(self.logmel(wav))[None] for wav in wavs]

    def _patches(self, logmel: Tensor) -> Tensor:
        """`[F, T]` to `[ceil(T / patch_frames), patch_frames * F]`; the last patch is filled with the mean."""
        frames = ((logmel - self.mean) / self.std).T
        return F.pad(frames, (0, 0, 0, -len(frames) % self.patch_frames)).reshape(-1, self.patch_frames * len(logmel))


class HubertUpstream(Upstream):
    """HuBERT, wav2vec 2.0 or WavLM from transformers, by folder or hub id.

    Its layers are the input of the first transformer layer and the output of each. Each clip's features equal those
    of a batch of one (see `m2d.teacher.speech_model`).
    """

    def __init__(self, ckpt: str, settings: Settings):
        import transformers

        from m2d.teacher.source import locate
        from m2d.teacher.speech_model import SpeechTeacher

        folder = locate(ckpt)
        config = transformers.AutoConfig.from_pretrained(folder)
        teacher = SpeechTeacher.load(str(folder), config.num_hidden_layers)
        super().__init__(teacher.hop, settings)
        self.teacher = teacher
        self.config = config
        self._inputs: list[Tensor] = []
        for layer in teacher.transformer.layers:
            layer.register_forward_pre_hook(self._listen, with_kwargs=True)

    def describe(self) -> str:
        return f"{self.config.to_json_string()} normalised waveform: {self.teacher.normalises}"

    def _listen(self, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        self._inputs.append(args[0] if args else kwargs["hidden_states"])

    def encode(self, wavs: Sequence[Tensor]) -> list[Tensor]:
        """The input of the first layer, then the output of each."""
        self._inputs.clear()
        last = self.teacher(wavs)
        return [torch.stack([*(layer[index, :len(clip)] for layer in self._inputs), clip])
                for index, clip in enumerate(last)]
