"""Scaling: cost of the work when it is doubled four times, with a figure and remarks on deviations.

    python -m bench.scaling [figure=scaling.png axes=[duration,batch,clips,workers,ranks]]

duration, batch: seconds of a step of one thread. clips: seconds to open a store and draw an epoch's order. workers:
seconds to read a number of samples with so many processes. ranks: seconds of a step when each rank has a batch of its
own, by gloo on this machine. Sizes are modest, so that it takes minutes.
"""

import itertools
import math
import os
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from matplotlib.figure import Figure

from bench.feed import drawing_rates, packed_reader
from bench.index import write_store
from bench.measure import in_turns, machine, medians, once
from bench.report import leave
from bench.steps import Step, make_batches
from bench.synthetic import write_folder, write_stores
from m2d.common.cli import run
from m2d.common.errors import UserError
from m2d.common.figures import save_figure
from m2d.common.options import nearest, option
from m2d.data.dataset import PretrainDataset
from m2d.data.randomness import permutation
from m2d.data.store import PackedStore
from m2d.nn import ModelConfig

COLUMNS = {"axis": "", "amount": "d", "seconds": ".4f", "growth": ".2f"}


class Axis(NamedTuple):
    """One kind of work: its smallest amount, the measure of its cost, the ideal growth per doubling."""

    least: int
    cost: "Callable[[list[int], ScalingBench], list[float]]"
    ideal: float
    bends: str


@dataclass
class ScalingBench:
    axes: list[str] = option(factory=lambda: list(AXES), help="duration, batch, clips, workers, ranks")
    doublings: int = option(4, "how often each is doubled")
    turns: int = option(5, "timed turns of each amount")
    worker_seconds: float = option(1.0, "seconds of a turn of the axis workers")
    width: int = option(192, "encoder width")
    depth: int = option(4, "encoder blocks")
    figure: str = option("", "write the figure here (PNG, SVG or PDF by its name)")
    json: str = option("", "write machine, command and rows here as well")


def bench(options: ScalingBench) -> None:
    """All axes, one table, one figure, a sentence for each."""
    for name in options.axes:
        if name not in AXES:
            raise UserError(f"axes: unknown '{name}'{nearest(name, list(AXES))}: {', '.join(AXES)}")
    torch.set_num_threads(1)
    rows, sentences = [], []
    for name in options.axes:
        axis = AXES[name]
        amounts = [axis.least * 2**i for i in range(options.doublings + 1)]
        costs = axis.cost(amounts, options)
        growths = [None, *(after / before for before, after in itertools.pairwise(costs))]
        rows += [{"axis": name, "amount": amount, "seconds": cost, "growth": growth}
                 for amount, cost, growth in zip(amounts, costs, growths, strict=True)]
        sentences.append(sentence(name, axis, amounts, costs))
    if options.figure:
        draw(rows, options)
    print("\n".join(sentences))
    leave({**machine(), "cpus": os.cpu_count()}, rows, COLUMNS, options.json)


def sentence(name: str, axis: Axis, amounts: list[int], costs: list[float]) -> str:
    """Average cost of a doubling, the largest deviation from the ideal, and its reason."""
    growths = [after / before for before, after in itertools.pairwise(costs)]
    worst = max(range(len(growths)), key=lambda i: abs(math.log(growths[i] / axis.ideal)))
    mean = (costs[-1] / costs[0]) ** (1 / len(growths))
    return (f"{name}: a doubling costs x{mean:.2f} (ideal x{axis.ideal:g}); furthest from it at {amounts[worst]} to "
            f"{amounts[worst + 1]}, x{growths[worst]:.2f}. {axis.bends}")


def model(options: ScalingBench, frames: int) -> ModelConfig:
    """M2D-S at patches of 80x4 on inputs of `frames`, in the size of the options."""
    return ModelConfig(size="custom", width=options.width, depth=options.depth, heads=4, predictor_width=128,
                       predictor_depth=2, predictor_heads=4, input_size=[80, frames], patch_size=[80, 4],
                       mask_ratio=0.6, lambda_off=0.5, teacher_width=768)


def step_costs(shapes: list[tuple[int, int]], options: ScalingBench) -> list[float]:
    """CPU seconds of a step for each (samples, frames)."""
    device = torch.device("cpu")
    steps = {}
    for samples, frames in shapes:
        config = model(options, frames)
        steps[samples, frames] = Step("fp32", config, make_batches(config, samples, device))
    return list(medians(in_turns(steps, options.turns, clock="cpu")).values())


def duration_costs(amounts: list[int], options: ScalingBench) -> list[float]:
    """Of log-mel frames of a sample, 4 samples."""
    return step_costs([(4, frames) for frames in amounts], options)


def batch_costs(amounts: list[int], options: ScalingBench) -> list[float]:
    """Of samples in a batch, 208 frames."""
    return step_costs([(samples, 208) for samples in amounts], options)


def clip_costs(amounts: list[int], options: ScalingBench) -> list[float]:
    """Of clips in a store: opening it, once its index is there, and the order of an epoch."""
    with tempfile.TemporaryDirectory() as name:
        directories = [Path(name) / str(clips) for clips in amounts]
        for directory, clips in zip(directories, amounts, strict=True):
            directory.mkdir()
            write_store(directory, clips)
            PackedStore(directory)
        works = {path.name: lambda path=path: permutation(0, 0, len(PackedStore(path))) for path in directories}
        return list(medians(in_turns(works, options.turns, clock="cpu")).values())


def worker_costs(amounts: list[int], options: ScalingBench) -> list[float]:
    """Of worker processes: wall seconds of 256 samples, in batches of 32."""
    with tempfile.TemporaryDirectory() as name:
        folder, stores = Path(name) / "folder", Path(name) / "stores"
        write_folder(folder, 40, 1000)
        write_stores(stores, folder)
        data = PretrainDataset(PackedStore(stores / "speech"), 608, 2, PackedStore(stores / "teacher_int8"),
                               PackedStore(stores / "noise"))
        costs = []
        for workers in amounts:  # not in turns: the workers of one amount would read ahead during the others' turns
            rates = [drawing_rates(packed_reader(data, 32)(workers), 32, options.worker_seconds)
                     for _ in range(options.turns)]
            costs.append(256 / statistics.median(wall for _, wall in rates))
        return costs


def rank_costs(amounts: list[int], options: ScalingBench) -> list[float]:
    """Of ranks: wall seconds of a step, 2 samples of 208 frames each."""
    costs = []
    for ranks in amounts:
        with tempfile.TemporaryDirectory() as name:
            result = Path(name) / "seconds.npy"
            mp.spawn(rank_main, (ranks, Path(name) / "meeting", result, options), nprocs=ranks)
            costs.append(float(np.load(result)))
    return costs


def rank_main(rank: int, ranks: int, meeting: Path, result: Path, options: ScalingBench) -> None:
    """One rank: gradients are averaged over the ranks before the update."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=ranks)
    device, config = torch.device("cpu"), model(options, 208)
    step = Step("fp32", config, make_batches(config, 2, device))
    wrapped = torch.nn.parallel.DistributedDataParallel(step.model)
    step.call = lambda batch: wrapped(batch["x"], teacher=batch["teacher"], mask_noise=batch["noise"]).loss
    times = []
    for _ in range(1 + options.turns):
        dist.barrier()
        times.append(once(step, device))
    if rank == 0:
        np.save(result, np.median(times[1:]))
    dist.destroy_process_group()


def draw(rows: list[dict[str, Any]], options: ScalingBench) -> None:
    """Cost against amount, both logarithmic, one panel for each axis, with the ideal."""
    figure = Figure(figsize=(3 * len(options.axes), 3), layout="constrained")
    panels = figure.subplots(1, len(options.axes), squeeze=False)
    for panel, name in zip(panels[0], options.axes, strict=True):
        mine = [row for row in rows if row["axis"] == name]
        amounts, costs = [row["amount"] for row in mine], [row["seconds"] for row in mine]
        panel.loglog(amounts, costs, "o-", label="measured")
        panel.loglog(amounts, [costs[0] * AXES[name].ideal**i for i in range(len(amounts))], "--", label="ideal")
        panel.set(xlabel=name, ylabel="seconds")
        panel.legend()
    save_figure(figure, options.figure)


AXES = {
    "duration": Axis(104, duration_costs, 2.0, "Attention grows with the square of the duration; below, the update "
                                               "of the weights costs the same whatever the duration."),
    "batch": Axis(2, batch_costs, 2.0, "Clipping, AdamW and the EMA cost the same whatever the batch: small batches "
                                       "pay them for few samples."),
    "clips": Axis(125_000, clip_costs, 2.0, "Sorting an epoch's order is n log n; opening maps the index, whatever "
                                            "its length."),
    "workers": Axis(1, worker_costs, 0.5, "Workers beyond the processors bring nothing."),
    "ranks": Axis(1, rank_costs, 1.0, "Ranks beyond the processors share them; below, the gradients' exchange is what "
                                      "is added."),
}


if __name__ == "__main__":
    run(ScalingBench, bench, __doc__)
