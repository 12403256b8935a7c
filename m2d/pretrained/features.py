"""Waveforms to features: what a pre-trained model is used for."""

import hashlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from m2d.audio.logmel import LogMel, LogMelConfig, normalise
from m2d.common.errors import UserError
from m2d.nn.encoder import Encoder
from m2d.pretrained.heads import Clap, Classifier
from m2d.pretrained.inputs import Lengths, Waves, single_clips

MAX_CHUNKS = 64  # encoded at once: bounds the memory that an hour of audio takes
CPU_PADDING = 24
"""Patches by which a CPU may pad a chunk to encode it with longer ones: a call of its own costs about as much."""


class FeatureOutput(NamedTuple):
    """Features of B clips. Frames past a clip's own length are zero. W = N_F * D, lowest frequency first."""

    frames: torch.Tensor  # [B, T, W] the last layer, after the final LayerNorm
    lengths: torch.Tensor  # [B] int64: frames of each clip
    clip: torch.Tensor  # [B, W] mean of the frames over each clip's own time
    layers: list[torch.Tensor]  # [B, T, W] each: one per block, the last is `frames`

    @property
    def mask(self) -> torch.Tensor:
        """[B, T] bool: True for a clip's own frames, False for padding."""
        return torch.arange(self.frames.shape[1], device=self.lengths.device) < self.lengths.unsqueeze(1)


class Tags(NamedTuple):
    """Probabilities of C classes. Frames past a clip's own length are zero."""

    names: list[str]  # C class names, or indices where no names are known
    probabilities: torch.Tensor  # [B, C], or [B, T, C] frame by frame
    lengths: torch.Tensor  # [B] int64: frames of each clip


class M2DFeatures(nn.Module):
    """A pre-trained encoder behind its front end (M2D, section 4.1; features as MSM-MAE).

    A clip alone and the same clip in a batch with longer ones give the same features (to rounding): a log-mel sees its
    own clip, and nothing attends to padding. Audio longer than the model's input is cut into chunks of that length,
    each encoded alone with positions from 0, and joined in time; the last chunk is filled to a whole patch with zeros
    after normalisation. Positions are never resized.

    In evaluation mode, as `load_pretrained` gives it, a call keeps no gradients; after `train()` it does, and `encode`
    does in both. For bfloat16 call it under `torch.autocast` or convert it (`bfloat16()`, `half()`): the front end
    stays in float32. `classifier` and `clap` are None unless the weights came with such a head.
    """

    __call__: Callable[..., FeatureOutput]  # typed as `forward`

    def __init__(self, encoder: Encoder, front_end: LogMelConfig, mean: float, std: float,
                 classifier: Classifier | None = None, clap: Clap | None = None):
        """Args: the encoder, the log-mel it was trained on, that log-mel's scalar mean and deviation, the heads."""
        super().__init__()
        config = encoder.config
        if config.in_channels != 1 or config.input_size[0] != front_end.n_mels:
            raise UserError(f"the encoder takes {config.in_channels} channels of {config.input_size[0]} bins, "
                            f"the front end gives one of {front_end.n_mels}")
        self.encoder = encoder
        self.logmel = LogMel(front_end)
        self.classifier, self.clap = classifier, clap
        self.set_statistics(mean, std)

    @property
    def dim(self) -> int:
        """W = N_F * D: 3,840 for ViT-Base 16x16, 768 for 80xN."""
        return self.encoder.config.grid.n_freq * self.encoder.config.width

    @property
    def n_layers(self) -> int:
        return self.encoder.config.depth

    @property
    def sample_rate(self) -> int:
        return self.logmel.config.sample_rate

    @property
    def samples_per_frame(self) -> int:
        """Samples, at the model's rate, that one frame stands for."""
        return self.logmel.config.hop_length * self.encoder.config.patch_size[1]

    def set_statistics(self, mean: float, std: float) -> None:
        """Normalise log-mels by these from now on, for example by a downstream task's own."""
        if not math.isfinite(mean) or not 0 < std < math.inf:
            raise UserError(f"mean {mean}, standard deviation {std}: must be finite, the deviation positive")
        self.mean, self.std = float(mean), float(std)

    def digest(self) -> str:
        """Hex digest of all that features depend on: weights, architecture, front end, statistics."""
        return weights_digest(self.encoder, f"{self.encoder.config} {self.logmel.config} {self.mean} {self.std}")

    def randomise(self, seed: int) -> None:
        """Replace the encoder's weights by freshly drawn ones."""
        self.encoder.randomise(seed)

    def compile(self, **options: Any) -> None:
        """`torch.compile` each block, with these options; the code around them stays plain."""
        for block in self.encoder.transformer.blocks:
            block.compile(**options)

    def forward(self, wavs: Waves, lengths: Lengths | None = None, sampling_rate: int | None = None,
                all_layers: bool = True) -> FeatureOutput:
        """Features of clips of any length.

        Args:
            wavs: [B, N] padded, or B clips [N_i]; floating point in -1..1; taken to the model's device.
            lengths: [B] samples of each clip, for padded wavs; None: all of them.
            sampling_rate: of the wavs, Hz; resampled where it is not the model's. None: the model's `sample_rate`.
            all_layers: False keeps `layers` to the last one, for less memory.

        A clip of N_i samples at the model's rate has ceil((1 + N_i // hop) / patch frames) frames. Raises ValueError
        for what can't be audio (`m2d.pretrained.inputs`).
        """
        with torch.set_grad_enabled(self.training and torch.is_grad_enabled()):
            return self.encode(self.log_mels(wavs, lengths, sampling_rate), all_layers)

    def tag(self, wavs: Waves, lengths: Lengths | None = None, sampling_rate: int | None = None,
            frame_wise: bool = False) -> Tags:
        """Probabilities by clip or by frame; arguments as for `forward`. `UserError` without a classifier."""
        if self.classifier is not None:
            clips = single_clips(wavs, lengths, self.encoder.cls_token.device)
            wavs, lengths = self.classifier.fill(clips, sampling_rate or self.sample_rate), None
        output = self(wavs, lengths, sampling_rate, all_layers=False)
        with torch.set_grad_enabled(self.training and torch.is_grad_enabled()):
            logits = self.classify(output.frames if frame_wise else output.clip)
            probabilities = self.classifier.probabilities(logits)
        if frame_wise:
            probabilities = probabilities * output.mask.unsqueeze(-1)
        return Tags(self.classifier.names, probabilities, output.lengths)

    def classify(self, frames: torch.Tensor) -> torch.Tensor:
        """Logits [..., C] of frames [..., W], or of their mean over any time. `UserError` without a classifier."""
        if self.classifier is None:
            raise UserError("this model has no classifier: tags need fine-tuned weights (m2d.bin.finetune, or AS-FT)")
        return self.classifier(frames)

    def clap_audio(self, wavs: Waves, lengths: Lengths | None = None, sampling_rate: int | None = None) -> torch.Tensor:
        """Embeddings [B, D] in M2D-CLAP's space; arguments as for `forward`. `UserError` without this head."""
        if self.clap is None:
            raise UserError("this model has no audio projection: clap_audio needs weights of M2D-CLAP")
        output = self(wavs, lengths, sampling_rate, all_layers=False)
        n_freq = self.encoder.config.grid.n_freq
        tokens = output.frames.unflatten(-1, (n_freq, -1)).flatten(1, 2).to(self.encoder.cls_token.dtype)
        with torch.set_grad_enabled(self.training and torch.is_grad_enabled()):
            return self.clap.audio(tokens, output.mask.repeat_interleave(n_freq, dim=1)).float()

    def log_mels(self, wavs: Waves, lengths: Lengths | None = None,
                 sampling_rate: int | None = None) -> list[torch.Tensor]:
        """Normalised log-mels [F, T_i] of clips, what `encode` takes. Arguments and errors as for `forward`."""
        rate = self.sample_rate
        clips = single_clips(wavs, lengths, self.encoder.cls_token.device)
        if sampling_rate not in (None, rate):
            clips = [_resampled(clip, sampling_rate, rate) for clip in clips]
        return [normalise(logmel, self.mean, self.std) for logmel in self.logmel.clips(clips)]

    def encode(self, logmels: Sequence[torch.Tensor], all_layers: bool = True) -> FeatureOutput:
        """As `forward`, from normalised log-mels [F, T_i] of any lengths; gradients reach the encoder in any mode."""
        patch_frames = self.encoder.config.patch_size[1]
        chunk_frames = self.encoder.config.grid.n_time * patch_frames
        chunks, counts = [], []
        for logmel in logmels:
            pieces = [F.pad(piece, (0, -piece.shape[1] % patch_frames)) for piece in logmel.split(chunk_frames, dim=1)]
            chunks += pieces
            counts.append(len(pieces))
        encoded = self._encode_chunks(chunks, all_layers)
        ends = list(itertools.accumulate(counts))
        layers = []
        for pieces in zip(*encoded, strict=True):  # of one layer
            clips = [pieces[end - count] if count == 1 else torch.cat(pieces[end - count:end])
                     for end, count in zip(ends, counts, strict=True)]  # [T_i, N_F, D]
            layers.append(pad_sequence(clips, batch_first=True).flatten(2))
        lengths = torch.tensor([len(clip) for clip in clips]).to(layers[-1].device)
        return FeatureOutput(layers[-1], lengths, layers[-1].sum(dim=1) / lengths.unsqueeze(1), layers)

    def _encode_chunks(self, chunks: list[torch.Tensor], all_layers: bool) -> list[list[torch.Tensor]]:
        """Chunks [F, T_i] of whole patches -> the layers of each, [N_T_i, N_F, D]."""
        n_freq, patch_frames = self.encoder.config.grid.n_freq, self.encoder.config.patch_size[1]
        columns = [chunk.shape[1] // patch_frames for chunk in chunks]
        spare = (CPU_PADDING if chunks[0].device.type == "cpu" else math.inf) / n_freq
        outputs: list[list[torch.Tensor]] = [[]] * len(chunks)
        for part in _alike(columns, spare):
            shortest, longest = columns[part[0]], columns[part[-1]]
            width = longest * patch_frames
            x = torch.stack([F.pad(chunks[i], (0, width - chunks[i].shape[1])) for i in part]).unsqueeze(1)
            valid = None if shortest == longest else torch.tensor([columns[i] for i in part], device=x.device)
            layers = self.encoder.layers(x.to(self.encoder.cls_token.dtype), valid)  # of [b, N_F, N_T, D]
            kept = [layer.float().transpose(1, 2) for layer in (layers if all_layers else layers[-1:])]
            for row, i in enumerate(part):
                outputs[i] = [layer[row, :columns[i]] for layer in kept]
        return outputs


def _alike(columns: list[int], spare: float) -> Iterator[list[int]]:
    """Indices of chunks to be encoded together, by length: each at most `spare` columns shorter than the longest."""
    part: list[int] = []
    for i in sorted(range(len(columns)), key=columns.__getitem__):
        if part and (len(part) == MAX_CHUNKS or columns[i] - columns[part[0]] > spare):
            yield part
            part = []
        part.append(i)
    yield part


def weights_digest(network: nn.Module, about: str) -> str:
    """Hex digest of `about` and of the names and float32 values of all weights and buffers."""
    digest = hashlib.sha256(about.encode())
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _resampled(clip: torch.Tensor, source: int, target: int) -> torch.Tensor:
    """The clip `[N]` at another rate. Raises `UserError` where torchaudio, which only this needs, can't be imported."""
    try:
        from torchaudio.functional import resample
    except (ImportError, OSError) as error:  # OSError: a library built for another torch
        raise UserError(f"resampling from {source} to {target} Hz needs a torchaudio of the version of torch "
                        f"{torch.__version__} ({error}): install it, or give waveforms at {target} Hz") from error
    return resample(clip, source, target)
