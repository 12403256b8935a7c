"""The classes by which transformers loads a model: `m2d.pretrained.hf_export` copies this file beside the weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import BatchFeature, PretrainedConfig, PreTrainedModel, SequenceFeatureExtractor
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils import ModelOutput

from m2d.audio.logmel import LogMel, LogMelConfig
from m2d.nn.encoder import Encoder
from m2d.nn.encoder_config import EncoderConfig
from m2d.nn.patches import sincos_positions
from m2d.nn.transformer import init_linear
from m2d.pretrained.features import M2DFeatures
from m2d.pretrained.heads import Classifier, Standardise


class M2DConfig(PretrainedConfig):
    """`config.json`: the fields of `EncoderConfig` and of `LogMelConfig`, mean and std of the log-mels.

    `classifier_width` is that of `Classifier`; None: W = N_F * D.
    """

    model_type = "m2d"
    has_no_defaults_at_init = True

    def __init__(self, encoder: dict[str, Any] | None = None, front_end: dict[str, Any] | None = None,
                 statistics: dict[str, float] | None = None, classifier_width: int | None = None, **kwargs: Any):
        self.encoder, self.front_end, self.statistics = encoder, front_end, statistics
        self.classifier_width = classifier_width
        super().__init__(**kwargs)


class M2DFeatureExtractor(SequenceFeatureExtractor):
    """Waveforms to `input_values` [B, N], zero-padded, and `attention_mask` [B, N]; the model makes the log-mel."""

    model_input_names: ClassVar[list[str]] = ["input_values", "attention_mask"]

    def __init__(self, feature_size: int = 1, sampling_rate: int = 16000, padding_value: float = 0.0, **kwargs: Any):
        kwargs["return_attention_mask"] = True
        super().__init__(feature_size=feature_size, sampling_rate=sampling_rate, padding_value=padding_value, **kwargs)

    def __call__(self, raw_speech: np.ndarray | torch.Tensor | Sequence[Any], sampling_rate: int | None = None,
                 padding: bool | str = True, return_tensors: str | None = None, **kwargs: Any) -> BatchFeature:
        """One clip [N], or several [N_i], floating point in -1..1. Other arguments are those of `pad`. Raises
        ValueError for another `sampling_rate` than the model's and for a clip of another form.
        """
        if sampling_rate not in (None, self.sampling_rate):
            raise ValueError(f"the model takes {self.sampling_rate} Hz, the audio has {sampling_rate}: resample it")
        is_one = np.ndim(raw_speech[0]) == 0
        clips = [np.asarray(clip, dtype=np.float32) for clip in ([raw_speech] if is_one else raw_speech)]
        if any(clip.ndim != 1 or not clip.size for clip in clips):
            raise ValueError(f"a clip is [N] samples, N > 0; got {[clip.shape for clip in clips]}")
        return self.pad({"input_values": clips}, padding=padding, return_tensors=return_tensors, **kwargs)


@dataclass
class M2DOutput(ModelOutput):
    """Features of B clips, those of `m2d.pretrained.features.FeatureOutput`. W = N_F * D."""

    last_hidden_state: torch.FloatTensor | None = None  # [B, T, W]; frames past a clip's own are zero
    pooler_output: torch.FloatTensor | None = None  # [B, W] the mean over each clip's own frames
    hidden_states: tuple[torch.FloatTensor, ...] | None = None  # [B, T, W] of each block, on request
    lengths: torch.LongTensor | None = None  # [B] frames of each clip


class M2DModel(PreTrainedModel):
    """The encoder behind its front end: waveforms [B, N] of any length to features. Gradients are kept in training."""

    config_class = M2DConfig
    main_input_name = "input_values"
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"^features\.(classifier|clap)\."]

    def __init__(self, config: M2DConfig):
        super().__init__(config)
        sizes = {name: tuple(value) if isinstance(value, list) else value for name, value in config.encoder.items()}
        with torch.device("cpu"):  # transformers builds on the meta device, where no table can be computed
            self.features = M2DFeatures(Encoder(EncoderConfig(**sizes)), LogMelConfig(**config.front_end),
                                        **config.statistics)
        self.add_head()
        self.post_init()

    def add_head(self) -> None:
        """A head on the features, where the kind of model has one."""

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Fill what a file lacks: a new head, or a table that no file holds and that transformers 5 leaves unset."""
        init_linear(module)
        if isinstance(module, Encoder):
            module.positions.copy_(sincos_positions(module.config.grid, module.config.width))
        elif isinstance(module, LogMel):
            for name, table in LogMel(module.config).named_buffers():
                module.get_buffer(name).copy_(table)
        elif isinstance(module, Standardise):
            module.mean.zero_()
            module.variance.fill_(1)

    def forward(self, input_values: torch.Tensor, attention_mask: torch.Tensor | None = None,
                output_hidden_states: bool | None = None, return_dict: bool | None = None) -> M2DOutput | tuple:
        """As `M2DFeatures.forward`; the mask [B, N] is 1 for the samples of a clip, which come first."""
        lengths = None if attention_mask is None else attention_mask.sum(dim=1)
        all_layers = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        out = self.features(input_values, lengths, all_layers=all_layers)
        answer = M2DOutput(out.frames, out.clip, tuple(out.layers) if all_layers else None, out.lengths)
        return answer.to_tuple() if return_dict is False else answer


class M2DForAudioClassification(M2DModel):
    """Logits [B, C] of the classes in `config.id2label`, by one Linear on standardised clip features."""

    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"^features\.clap\."]

    def add_head(self) -> None:
        names = [self.config.id2label[index] for index in range(self.config.num_labels)]
        self.features.classifier = Classifier(self.config.classifier_width or self.features.dim, names)

    def forward(self, input_values: torch.Tensor, attention_mask: torch.Tensor | None = None,
                labels: torch.Tensor | None = None, output_hidden_states: bool | None = None,
                return_dict: bool | None = None) -> SequenceClassifierOutput | tuple:
        """`labels`: class indices [B], or 0 and 1 [B, C] if `config.problem_type` is multi_label_classification."""
        out = super().forward(input_values, attention_mask, output_hidden_states)
        logits = self.features.classify(out.pooler_output)
        loss = None
        if labels is not None and self.config.problem_type == "multi_label_classification":
            loss = F.binary_cross_entropy_with_logits(logits, labels.float())
        elif labels is not None:
            loss = F.cross_entropy(logits, labels)
        answer = SequenceClassifierOutput(loss=loss, logits=logits, hidden_states=out.hidden_states)
        return answer.to_tuple() if return_dict is False else answer
