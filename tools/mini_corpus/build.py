"""From plans to folders: fixed shards, each made in a new process; every set is written atomically."""

import hashlib
import logging
import multiprocessing
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from m2d.common.errors import UserError
from m2d.common.files import sha256, write_json, write_text
from m2d.common.progress import duration, progress
from mini_corpus.items import Item, require_engines
from mini_corpus.layouts import plan_set
from mini_corpus.plan import SetPlan

LOG = logging.getLogger(__name__)
_SHARD_ITEMS = 50  # part of what makes the corpus repeatable: engines keep state within a shard


@dataclass
class _Progress:
    """Progress of one set."""

    plan: SetPlan
    shards: list[list[Item]]
    done: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    lines: dict[str, list[str]] = field(default_factory=dict)


def make_sets(out: Path, record: Path, meta: dict, names: list[str], jobs: int) -> None:
    """Make the named sets below `out`; as each is whole, enter it into `meta` and write that to `record`.

    Raises `UserError` for a missing engine or a process that dies; sets entered before then stay.
    """
    work = {}
    for name in names:
        plan = plan_set(name, meta["scale"])
        work[name] = _Progress(plan, _shards(plan.items))
    require_engines([item for state in work.values() for item in state.plan.items])
    shutil.rmtree(out / ".building", ignore_errors=True)
    started = time.monotonic()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with ThreadPoolExecutor(jobs) as pool:
        shards = {
            pool.submit(_in_fresh_process, context, shard, out / ".building" / name): name
            for name, state in work.items() for shard in state.shards
        }
        try:
            for future in progress(as_completed(shards), "mini corpus", total=len(shards)):
                name = shards[future]
                _collect(work[name], future.result())
                if work[name].done == len(work[name].shards):
                    meta["sets"][name] = _finish_set(out, name, work[name])
                    write_json(record, meta)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    shutil.rmtree(out / ".building", ignore_errors=True)
    minutes = sum(meta["sets"][name]["minutes"] for name in names)
    LOG.info("%s: %.0f minutes of audio made in %s", out, minutes, duration(time.monotonic() - started))
    for name in names:
        LOG.info("%s: sha256 %s", name, meta["sets"][name]["sha256"])


def _shards(items: list[Item]) -> list[list[Item]]:
    """Every n-th item, so that shards cost about the same; their number depends on the plan alone."""
    count = -(-len(items) // _SHARD_ITEMS)
    return [items[k::count] for k in range(count)]


def _in_fresh_process(context, shard: list[Item], folder: Path) -> tuple[float, float, dict[str, list[str]]]:
    """Seconds of audio, CPU seconds and collected lines of a shard, made in its own process."""
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_make_shard, args=(shard, folder, sender), daemon=True)
    process.start()
    sender.close()
    try:
        answer = receiver.recv()
    except EOFError:
        process.join()
        raise UserError(f"{folder}: a process that makes audio died (exit code {process.exitcode})") from None
    process.join()
    if isinstance(answer, Exception):
        raise answer
    return answer


def _make_shard(shard: list[Item], folder: Path, sender) -> None:
    try:
        made = [item.make(folder) for item in shard]
    except Exception as error:
        sender.send(error)
        return
    lines: dict[str, list[str]] = {}
    for one in made:
        for table, new in one.lines.items():
            lines.setdefault(table, []).extend(new)
    sender.send((sum(one.seconds for one in made), time.process_time(), lines))


def _collect(state: _Progress, answer: tuple[float, float, dict[str, list[str]]]) -> None:
    seconds, cpu_seconds, lines = answer
    state.done += 1
    state.seconds += seconds
    state.cpu_seconds += cpu_seconds
    for table, new in lines.items():
        state.lines.setdefault(table, []).extend(new)


def _finish_set(out: Path, name: str, state: _Progress) -> dict:
    """Write the tables, move the set's folders into place, and return its entry for `meta.json`."""
    building = out / ".building" / name
    for path, text in state.plan.tables.items():
        write_text(building / path, text)
    for path, lines in state.lines.items():
        # shards end in any order; by utterance and time the table is the same every time
        lines.sort(key=lambda line: (line.split()[0], float(line.split()[2])))
        write_text(building / path, "".join(f"{line}\n" for line in lines))
    for folder in state.plan.folders:
        shutil.rmtree(out / folder, ignore_errors=True)
        os.replace(building / folder, out / folder)
    LOG.info("%s: %d files, %.1f minutes", name, len(state.plan.items), state.seconds / 60)
    return {
        "folders": state.plan.folders,
        "files": len(state.plan.items),
        "minutes": round(state.seconds / 60, 2),
        "cpu_seconds": round(state.cpu_seconds, 1),
        "sha256": content_digest(out, state.plan.folders),
    }


def content_digest(out: Path, folders: list[str]) -> str:
    """Digest of the names and contents of all files below these folders."""
    digest = hashlib.sha256()
    for path in sorted(path for folder in folders for path in (out / folder).rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(out).as_posix()} {sha256(path)}\n".encode())
    return digest.hexdigest()
