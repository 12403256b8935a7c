"""The network of the mini corpus's teacher: a 12-layer HuBERT, 1/70 the size of Base."""

import numpy as np
import torch
from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

from mini_corpus.alignments import SAMPLE_RATE

SHAPE = {
    "hidden_size": 96, "num_hidden_layers": 12, "num_attention_heads": 4, "intermediate_size": 192,
    # a filterbank at 800 Hz, envelopes at 100 Hz and three layers of context on them, then 50 Hz: convolutions learn
    # phones in far fewer steps than attention does, and cost little at these rates
    "conv_dim": (128,) * 6, "conv_kernel": (100, 8, 3, 3, 3, 2), "conv_stride": (20, 8, 1, 1, 1, 2),
    "num_conv_pos_embeddings": 32, "num_conv_pos_embedding_groups": 8,
    # the network is small for its task and trained for a few epochs: no regularisation
    "hidden_dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0, "feat_proj_dropout": 0.0,
    "layerdrop": 0.0, "final_dropout": 0.0,
}
"""Arguments of `HubertConfig`; the rest is as in HuBERT Base (post-norm, group norm over the first convolution).

A row sees 1,360 samples from its start where HuBERT's sees 400, but it is taught the unit at HuBERT's centre: so its
rows keep step with HuBERT's, and there are three less at the end of a clip.
"""


def build_mini_hubert(seed: int) -> HubertModel:
    """The network with random weights, except for its first convolution, initialised as a mel-spaced filterbank."""
    torch.manual_seed(seed)
    model = HubertModel(HubertConfig(**SHAPE, num_feat_extract_layers=len(SHAPE["conv_dim"])))
    first = model.feature_extractor.conv_layers[0].conv
    with torch.no_grad():
        first.weight.copy_(torch.from_numpy(gabor_filters(first.out_channels, first.kernel_size[0]))[:, None])
    return model


def build_feature_extractor() -> Wav2Vec2FeatureExtractor:
    """The waveform's preparation, written beside the weights: zero mean and unit variance per clip, as HuBERT Base."""
    return Wav2Vec2FeatureExtractor(sampling_rate=SAMPLE_RATE, do_normalize=True)


def gabor_filters(channels: int, taps: int, f_min: float = 60.0, f_max: float = 7600.0) -> np.ndarray:
    """Windowed cosines and sines `[channels, taps]` float32 of unit energy, mel-spaced from `f_min` to `f_max` Hz.

    Each pair (cosine, sine) has one centre frequency, and a Gaussian window as short as its mel band is wide.
    """
    mel = np.linspace(*(2595 * np.log10(1 + np.array([f_min, f_max]) / 700)), channels // 2 + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    centre, width = edges[1:-1, None], (edges[2:] - edges[:-2])[:, None]
    time = (np.arange(taps) - (taps - 1) / 2) / SAMPLE_RATE
    window = np.exp(-0.5 * (1.5 * width * time) ** 2)
    filters = np.stack([window * np.cos(2 * np.pi * centre * time), window * np.sin(2 * np.pi * centre * time)], axis=1)
    filters = filters.reshape(channels, taps)
    return (filters / np.linalg.norm(filters, axis=1, keepdims=True)).astype(np.float32)
