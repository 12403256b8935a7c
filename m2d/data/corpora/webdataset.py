"""Tar shards in webdataset's layout: audio and JSON, text or a class under the same key."""

import json
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any

from m2d.audio.containers import reference
from m2d.audio.wave import EXTENSIONS
from m2d.common.progress import progress
from m2d.data.corpora import CORPORA, warn_of
from m2d.data.corpora.tables import add, finish
from m2d.data.datadir import DataDir

LAYOUT = "expected *.tar shards with KEY.flac (or another audio format) and KEY.json, KEY.txt or KEY.cls beside it"


@CORPORA.register("webdataset")
def read_webdataset(root: str | Path) -> DataDir:
    """Every recording of the uncompressed `*.tar` shards below `root`; ids are keys, dashes for slashes.

    `.json` gives text, speaker and labels by the usual names, `.txt` the text, `.cls` the label. Shards that are
    compressed or cut off and fields that can't be read are left out, with a warning. Raises `UserError` for an id that
    comes twice, or when there is no audio.
    """
    root, data = Path(root), DataDir({})
    shards = sorted(root.rglob("*.tar")) if root.is_dir() else [root]
    faults: list[str] = []
    for shard in progress(shards, "shards"):
        try:
            with tarfile.open(shard, "r:") as archive:
                _read_shard(shard, archive, data, faults)
        except (tarfile.TarError, OSError) as error:
            faults.append(f"{shard}: left out: no uncompressed tar, or cut off ({error})")
    warn_of(faults, root)
    return finish(data, root, LAYOUT)


def _read_shard(shard: Path, archive: tarfile.TarFile, data: DataDir, faults: list[str]) -> None:
    sources: dict[str, str] = {}
    fields: dict[str, dict[str, Any]] = {}
    for member in archive:
        if not member.isfile():
            continue
        path = PurePosixPath(member.name)
        key, _, ending = path.name.partition(".")  # the key ends at the first dot, as webdataset has it
        key = "-".join([*path.parent.parts, key])
        kind = ending.rpartition(".")[2].lower()
        if f".{kind}" in EXTENSIONS:
            sources[key] = reference(shard, member.name)
        elif kind in ("json", "txt", "cls"):
            try:
                fields.setdefault(key, {}).update(_fields(kind, archive.extractfile(member).read()))
            except (ValueError, RecursionError) as error:
                faults.append(f"{shard}: {member.name} can't be read ({error})")
    for key, source in sources.items():
        add(data, key, source, fields.get(key, {}))


def _fields(kind: str, content: bytes) -> dict[str, Any]:
    if kind != "json":
        return {"text" if kind == "txt" else "cls": content.decode("utf-8").strip()}
    value = json.loads(content)
    if not isinstance(value, dict):
        raise ValueError("no object of names and values")
    return value
