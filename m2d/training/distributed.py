"""Ranks: one process per device, started by torchrun or alone.

`torchrun --nproc_per_node N -m m2d.bin.pretrain ...` and `python -m m2d.bin.pretrain ...` run the same code; a lone
process is rank 0 of 1 and makes no process group.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from m2d.common.device import pick_device
from m2d.common.errors import UserError

T = TypeVar("T")
TIMEOUT = timedelta(minutes=30)


@dataclass(frozen=True)
class Ranks:
    """This process among all processes of the run."""

    rank: int
    local_rank: int
    size: int
    device: torch.device
    control: dist.ProcessGroup | None  # gloo: small messages between hosts, without the device

    @property
    def is_main(self) -> bool:
        """Rank 0 writes the files."""
        return self.rank == 0

    def wrap(self, objective: nn.Module) -> nn.Module:
        """DDP around the objective; every parameter gets a gradient in every step, so unused ones are not searched."""
        if self.size == 1:
            return objective
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(objective, device_ids=devices, gradient_as_bucket_view=True, static_graph=True,
                                       broadcast_buffers=False)

    def agree(self, word: int) -> int:
        """All-reduce (maximum) of a small value of each rank. Waits for the other hosts, not for the device."""
        if self.size == 1:
            return word
        said = torch.tensor(word)
        dist.all_reduce(said, dist.ReduceOp.MAX, group=self.control)
        return int(said)

    def reduce_(self, values: torch.Tensor, op: dist.ReduceOp = dist.ReduceOp.SUM) -> torch.Tensor:
        """All-reduce: sum (or `op`) over the ranks, in place, on the device."""
        if self.size > 1:
            dist.all_reduce(values, op)
        return values

    def gather(self, value: object) -> list:
        """All-gather: the plain value of every rank, in order, on every rank."""
        if self.size == 1:
            return [value]
        values: list = [None] * self.size
        dist.all_gather_object(values, value, group=self.control)
        return values

    def on_main(self, call: Callable[[], T]) -> T:
        """Broadcast of the result of `call` on rank 0. Its `UserError` is raised there and ends the others quietly."""
        result, error = None, None
        if self.is_main:
            try:
                result = call()
            except UserError as raised:
                error = raised
        result, failed = self.gather((result, error is not None))[0]
        if error is not None:
            raise error
        if failed:
            raise SystemExit(1)
        return result


@contextlib.contextmanager
def open_ranks(device: str) -> Iterator[Ranks]:
    """Join torchrun's process group, if any, during the block. `UserError` without the `device`: auto, cuda or cpu."""
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    chosen = _device(device, local_rank)
    if size == 1:
        yield Ranks(0, 0, 1, chosen, None)
        return
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=TIMEOUT)
    try:
        yield Ranks(rank, local_rank, size, chosen, dist.new_group(backend="gloo", timeout=TIMEOUT))
    finally:
        dist.destroy_process_group()


def default_dtype(device: torch.device) -> str:
    """`run.dtype=auto` of a new run: bf16 on a GPU that supports it, else fp32."""
    is_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16" if is_bf16 else "fp32"


def _device(name: str, local_rank: int) -> torch.device:
    gpus = torch.cuda.device_count()
    if name != "cpu" and 0 < gpus <= local_rank:
        raise UserError(f"run.device={name}: rank {local_rank} of this node finds only {gpus} CUDA devices: start "
                        "fewer processes per node, or run.device=cpu")
    place = pick_device("auto" if name == "cuda" and gpus else name, local_rank)
    if place.type == "cuda":
        torch.cuda.set_device(place)
    return place
