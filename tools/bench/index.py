"""The index of a packed store with millions of clips: time to open it, and memory of all processes of a node together.

    python -m bench.index [entries=2000000 workers=4]

The shards are sparse files, so that the store is of full size and takes no room. Memory is the proportional set size
(PSS, which counts a shared page once over all who share it) that opening adds, summed over the processes: this one
opens the store and draws an epoch's order, the workers get the store as a DataLoader gives it and look up clips all
over.
"""

import multiprocessing
import pickle
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.measure import machine
from bench.report import leave
from m2d.common.cli import run
from m2d.common.errors import UserError
from m2d.common.files import write_json
from m2d.common.options import option
from m2d.data.damage import times_of
from m2d.data.format import DTYPES, HEADER_BYTES
from m2d.data.randomness import permutation
from m2d.data.store import PackedStore

WIDTH, FRAMES, PER_SHARD = 80, 1000, 6700  # 10 s a clip, shards of 1 GiB
COLUMNS = {"entries": "d", "workers": "d", "first_open_s": ".2f", "first_open_cpu_s": ".2f", "open_s": ".3f",
           "order_s": ".2f", "memory_mb": ".0f", "index_mb": ".0f"}


@dataclass
class IndexBench:
    entries: int = option(2_000_000, "clips of the store")
    workers: int = option(4, "worker processes")
    lookups: int = option(20_000, "clips that each worker looks up")
    directory: str = option("", "where the store is made (default: a temporary folder)")
    json: str = option("", "write machine, command and rows here as well")


def bench(options: IndexBench) -> None:
    """Make the store, open it, print the table."""
    if not Path("/proc/self/smaps_rollup").is_file():
        raise UserError("/proc/self/smaps_rollup: not there: memory can be measured on Linux only")
    with tempfile.TemporaryDirectory(dir=options.directory or None) as name:
        directory = Path(name)
        write_store(directory, options.entries)
        leave(machine(), [measure(directory, options)], COLUMNS, options.json)


def write_store(directory: Path, entries: int) -> None:
    """A store of `entries` clips without content: text index, meta.json, sparse shards."""
    shards = {f"logmel.1-{i}": FRAMES * min(PER_SHARD, entries - i * PER_SHARD)
              for i in range(-(-entries // PER_SHARD))}
    for shard, rows in shards.items():
        with open(directory / f"{shard}.npy", "wb") as stream:
            stream.truncate(HEADER_BYTES + 2 * WIDTH * rows)
    with open(directory / "index", "w", encoding="utf-8") as stream:
        stream.writelines(f"clip-{i:019d} logmel.1-{i // PER_SHARD}:{i % PER_SHARD * FRAMES}:{FRAMES}\n"
                          for i in range(entries))
    times = {file: time for shard in shards for file, time in times_of(directory, shard, DTYPES["float16"]).items()}
    write_json(directory / "meta.json", {
        "width": WIDTH, "dtype": "float16", "info": {}, "content": "", "utterances": entries,
        "frames": sum(shards.values()), "shards": shards, "times": times})


def measure(directory: Path, options: IndexBench) -> dict[str, Any]:
    """Figures of one store."""
    (first, first_cpu), = ask(pool(1, build, directory), [None])  # its memory is not that of the training process
    pipes = pool(options.workers, worker)
    before = pss() + sum(ask(pipes, [None] * len(pipes)))
    start = time.perf_counter()
    store = PackedStore(directory)
    opened = time.perf_counter() - start
    start = time.perf_counter()
    order = permutation(0, 0, len(store))
    drawn = time.perf_counter() - start
    shares = [order[i::options.workers][:options.lookups] for i in range(options.workers)]
    ask(pipes, [(pickle.dumps(store), share) for share in shares])
    after = pss() + sum(ask(pipes, [None] * len(pipes)))
    return {"entries": len(store), "workers": options.workers, "first_open_s": first, "first_open_cpu_s": first_cpu,
            "open_s": opened, "order_s": drawn, "memory_mb": (after - before) / 1e6,
            "index_mb": store.entries.nbytes / 1e6}


def pool(count: int, work: Callable[..., None], *arguments: Any) -> list[Connection]:
    """Processes that run `work(pipe, *arguments)`: the other ends of their pipes."""
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in range(count)]
    for _, theirs in pipes:
        context.Process(target=work, args=(theirs, *arguments), daemon=True).start()
    return [ours for ours, _ in pipes]


def ask(pipes: list[Connection], questions: list[Any]) -> list[Any]:
    """Send all their questions, then wait for all the answers."""
    for pipe, question in zip(pipes, questions, strict=True):
        pipe.send(question)
    return [pipe.recv() for pipe in pipes]


def build(pipe: Connection, directory: Path) -> None:
    """Open a store whose index was not mapped before; answer with the seconds it took, and those of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    PackedStore(directory)
    spent = time.perf_counter() - wall, time.process_time() - cpu
    pipe.recv()
    pipe.send(spent)


def worker(pipe: Connection) -> None:
    """Answer with the process's memory; then, given (store, rows), when these clips are looked up; then as at first."""
    pipe.recv()
    pipe.send(pss())
    pickled, rows = pipe.recv()
    store = pickle.loads(pickled)
    pipe.send(sum(store.frames(i) + len(store.keys[i]) for i in rows.tolist()))
    pipe.recv()
    pipe.send(pss())


def pss() -> int:
    """Proportional set size of this process in bytes."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    run(IndexBench, bench, __doc__)
