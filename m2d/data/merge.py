"""Merges the jobs of a feature folder into one store: `index`, `meta.json`, `stats.json`."""

import itertools
import logging
from pathlib import Path
from typing import Any

from m2d.audio.statistics import Moments
from m2d.common.errors import UserError
from m2d.common.files import atomic_open, read_json, write_json
from m2d.data.format import as_hex
from m2d.data.index import open_index
from m2d.data.store import PackedStore
from m2d.data.writer import check_same, read_parts

LOG = logging.getLogger(__name__)


def merge_index(directory: str | Path, max_bad_share: float = 0.01) -> dict[str, Any]:
    """Merge the jobs of a folder and return the content of `stats.json`: `{"mean", "std", "frames"}`.

    Raises `OtherRunError` for jobs of different settings; `UserError` for a job that is missing or unfinished, an
    utterance that two jobs have, and when more than `max_bad_share` of all utterances failed.
    """
    directory = Path(directory)
    parts = read_parts(directory)
    _check_jobs(directory, parts, max_bad_share)
    shards = {shard: part["rows"] for shard, part in sorted(parts.items())}
    lines = sorted((utterance.encode(), f"{shard}:{offset}:{frames}".encode()) for shard, part in parts.items()
                   for utterance, offset, frames in part["utterances"])
    for (one, _), (other, _) in itertools.pairwise(lines):
        if one == other:
            raise UserError(f"{directory}: utterance '{one.decode()}' is in two jobs: remove the folder, and give all "
                            "jobs the same data directory")
    if not lines:
        raise UserError(f"{directory}: no utterance could be made into features: see the .failed lists there")
    with atomic_open(directory / "index", "wb") as stream:
        stream.writelines(b"%s %s\n" % line for line in lines)
    open_index(directory, shards)
    rows, about = sum(shards.values()), next(iter(parts.values()))
    write_json(directory / "meta.json", {
        "width": about["width"], "dtype": about["dtype"], "info": about["info"], "utterances": len(lines),
        "frames": rows, "content": as_hex(sum(int(part["content"], 16) for part in parts.values())), "shards": shards,
        "times": {file: time for part in parts.values() for file, time in part.get("times", {}).items()}})
    moments = sum((Moments(part["rows"] * about["width"], part["sum"], part["squares"]) for part in parts.values()),
                  Moments())
    stats = {"mean": moments.mean, "std": moments.std, "frames": rows}
    write_json(directory / "stats.json", stats)
    return stats


def is_merged(directory: str | Path) -> bool:
    """Whether the folder is a whole store, merged after its last job."""
    stats = Path(directory) / "stats.json"
    if not stats.is_file() or any(job.stat().st_mtime_ns > stats.stat().st_mtime_ns
                                  for job in stats.parent.glob("*.done")):
        return False
    try:
        PackedStore(directory)
    except UserError:
        return False
    return True


def _check_jobs(directory: Path, parts: dict[str, dict], max_bad_share: float) -> None:
    markers = {path.name.removesuffix(".done"): read_json(path) for path in directory.glob("*.done")}
    if not markers:
        raise UserError(f"{directory}: no finished job there: run the feature stage first")
    first = next(iter(markers.values()))
    for name, about in [*markers.items(), *parts.items()]:
        check_same(directory, name, about, first)
    unfinished = sorted({shard.rpartition("-")[0] for shard in parts} - markers.keys())
    jobs = first["jobs"]
    if unfinished or len(markers) != jobs:
        raise UserError(f"{directory}: {len(markers)} of {jobs} jobs are done"
                        + (f", {unfinished[0]} is unfinished" if unfinished else "") + ": run the feature stage again")
    failed = sum(marker["failed"] for marker in markers.values())
    total = failed + sum(marker["utterances"] for marker in markers.values())
    if failed > max_bad_share * total:
        raise UserError(f"{directory}: {failed} of {total} utterances failed (listed in its .failed files), more than "
                        f"max_bad_share={max_bad_share}: mend the data, or raise it")
    LOG.info("%s: %d utterances from %d jobs, %d more failed", directory, total - failed, jobs, failed)
