"""Cost of a configuration: parameters, tokens, FLOPs, memory. Nothing is allocated."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from m2d.nn import build_objective
from m2d.nn.config import ModelConfig
from m2d.nn.encoder import Encoder
from m2d.nn.encoder_config import Size

# Bytes that one block keeps for the backward pass, per token and channel. float32: inputs of the two LayerNorms,
# of the four Linears (1 + 1 + 1 + 4), q, k, v and the GELU's input (4), of 4 bytes each. Under bfloat16 autocast all
# but the residual stream, which the LayerNorms read, take 2 bytes.
BLOCK_BYTES = {False: 64, True: 36}
STREAM_BYTES = 4  # of the residual stream, all that a checkpointed block keeps
STATE_BYTES = 12  # of a trained parameter beside itself: gradient and AdamW's two moments, float32


@dataclass(frozen=True)
class Summary:
    """Cost of one configuration. FLOPs are per sample, a multiplication and an addition counted as two."""

    parameters: int  # with the fixed position tables, as the published counts have them
    trainable: int
    encoder_parameters: int
    patches: int
    visible: int
    forward_flops: int
    step_flops: int  # forward and backward; the target network has no backward

    def weight_bytes(self) -> int:
        """Memory of weights, gradients and optimiser, float32."""
        return 4 * self.parameters + STATE_BYTES * self.trainable


def summarise(config: ModelConfig) -> Summary:
    """Count by running one step of the networks on the meta device."""
    with torch.device("meta"):
        objective = build_objective(config).to("meta")  # the positions are real numbers, see sincos_positions
        encoder = config.encoder
        x = torch.empty(1, encoder.in_channels, *encoder.input_size)
        noise = torch.empty(1, encoder.grid.n_patches)
        teacher = [torch.empty(1, encoder.grid.n_time, config.teacher_width)] if config.lambda_off else []
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            output = objective(x, *teacher, mask_noise=noise)
            forward = counter.get_total_flops()
            output.loss.backward()
    return Summary(
        parameters=_count(objective.parameters()) + _count(objective.buffers()),
        trainable=_count(p for p in objective.parameters() if p.requires_grad),
        encoder_parameters=_count(objective.encoder.parameters()),
        patches=encoder.grid.n_patches, visible=config.n_visible,
        forward_flops=forward, step_flops=counter.get_total_flops())


def encode_flops(config: ModelConfig) -> int:
    """Of one whole input through the encoder, forward."""
    with torch.device("meta"):
        encoder, grid = Encoder(config.encoder).to("meta"), config.encoder.grid
        pixels = torch.empty(1, grid.n_patches, encoder.patch_embed.proj.weight[0].numel())
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            encoder(pixels, torch.arange(grid.n_patches)[None])
    return counter.get_total_flops()


def activation_bytes(config: ModelConfig, bf16: bool) -> int:
    """Estimated memory of one sample's activations, with attention that does not store its matrix."""
    n_patches = config.encoder.grid.n_patches
    parts: list[tuple[Size, int]] = [(config.encoder.size, 1 + config.n_visible), (config.predictor, 1 + n_patches)]
    total = 0
    for size, tokens in parts:
        whole = BLOCK_BYTES[bf16]
        per_token = size.depth * STREAM_BYTES + whole if config.activation_checkpointing else size.depth * whole
        total += tokens * size.width * per_token
    return total


def _count(tensors: Iterable[torch.Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors)
