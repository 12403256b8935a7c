"""Kaldi's operations on data directories: validate, fix, subset, combine, split."""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from m2d.common.errors import UserError
from m2d.common.files import existing_file
from m2d.data.datadir import FILES, PARSERS, PER_UTTERANCE, DataDir, Segment, read_lines
from m2d.data.randomness import permutation

BACKUP = ".backup"


def faults(path: str | Path) -> Iterator[str]:
    """All errors in a directory as lines `FILE: line N: what` or `FILE: what`."""
    path, data = Path(path), DataDir({})
    if not (path / "wav.scp").is_file():
        yield f"{path}/wav.scp: no such file"
        return
    for name, file in FILES.items():
        if (path / file).is_file():
            yield from read_lines(path / file, PARSERS.get(name, str), getattr(data, name), ordered=True)
            if not getattr(data, name):
                yield f"{path / file}: no line in it can be read"
    yield from (f"{path}/{fault}" for fault in data.faults())
    used = {segment.recording for segment in data.segments.values()} or data.wav.keys()
    yield from (f"{path}/wav.scp: no segment is in recording '{name}'" for name in sorted(data.wav.keys() - used))
    yield from _speaker_faults(path, data.utt2spk)


def fix(path: str | Path) -> dict[str, int]:
    """Sort the tables and drop the lines that have no partner or can't be read. Returns lines dropped, per file.

    The original tables are kept in `.backup` below the directory. Raises `UserError` if nothing would be left.
    """
    path = Path(path)
    existing_file(path / "wav.scp", f"file: {path} is no data directory")
    tables, lines = {}, {}
    for name, file in FILES.items():
        tables[name] = {}
        if (path / file).is_file():
            for _ in read_lines(path / file, PARSERS.get(name, str), tables[name]):
                pass
            lines[name] = (path / file).read_bytes().count(b"\n")
    tables["wav"] = {recording: file for recording, file in tables["wav"].items() if not file.endswith("|")}  # commands
    tables["segments"] = {utterance: segment for utterance, segment in tables["segments"].items()
                          if segment.recording in tables["wav"] and (segment.end < 0 or segment.end > segment.start)}
    kept = set(tables["segments"] if "segments" in lines else tables["wav"])
    for name in ("utt2spk", "text", "utt2dur"):  # those that Kaldi's script takes the common utterances of
        if name in lines:
            kept &= tables[name].keys()
    if not kept:
        raise UserError(f"{path}: no utterance is in all of its tables: nothing would be left; nothing was changed")
    whole = DataDir(**tables)
    for name in PER_UTTERANCE:
        setattr(whole, name, {key: value for key, value in tables[name].items() if key in kept})
    fixed = whole.subset(kept)
    backup = {file: (path / file).read_bytes() for file in [*FILES.values(), "spk2utt"] if (path / file).is_file()}
    fixed.write(path)
    (path / BACKUP).mkdir()
    for file, content in backup.items():
        (path / BACKUP / file).write_bytes(content)
    return {FILES[name]: count - len(getattr(fixed, name)) for name, count in lines.items()}


def subset(data: DataDir, *, utterances: Iterable[str] | None = None, speakers: Iterable[str] | None = None,
           count: int | None = None, hours: float | None = None, seed: int = 0) -> DataDir:
    """Part of a directory: listed utterances or speakers, or a seeded draw. `UserError` for what it does not have."""
    if utterances is not None:
        wanted = set(utterances)
        if unknown := wanted - set(data.utterances):
            raise UserError(f"'{min(unknown)}' is no utterance of the directory ({len(unknown)} such)")
        return data.subset(wanted)
    if speakers is not None:
        table, wanted = data.speakers(), list(speakers)
        if unknown := set(wanted) - table.keys():
            raise UserError(f"'{min(unknown)}' is no speaker of the directory ({len(unknown)} such)")
        return data.subset(utterance for speaker in wanted for utterance in table[speaker])
    names = data.utterances
    order = [names[i] for i in permutation(seed, 0, len(names))]
    if count is not None:
        if not 0 < count <= len(order):
            raise UserError(f"{count} of {len(order)} utterances: can't be taken")
        return data.subset(order[:count])
    if missing := next((name for name in names if name not in data.utt2dur), None):
        raise UserError(f"utt2dur has no line for '{missing}': hours can't be counted without it")
    taken, seconds = [], 0.0
    for name in order:
        if seconds >= 3600 * hours:
            break
        taken.append(name)
        seconds += data.utt2dur[name]
    if seconds < 3600 * hours:
        raise UserError(f"{hours} h wanted, the directory has {seconds / 3600:.2f} h")
    return data.subset(taken)


def combine(parts: Sequence[DataDir]) -> DataDir:
    """All utterances of several directories, with the tables that all have. `UserError` for a contradiction."""
    whole = DataDir({})
    for name in FILES:
        if name == "segments" and any(part.segments for part in parts):
            tables = [part.segments or {key: Segment(key, 0.0, -1) for key in part.wav} for part in parts]
        else:
            tables = [getattr(part, name) for part in parts]
            if not all(tables):
                continue
        merged = getattr(whole, name)
        for table in tables:
            for key, value in table.items():
                if merged.setdefault(key, value) != value:
                    raise UserError(f"{FILES[name]}: '{key}' is '{merged[key]}' in one directory, '{value}' in another")
    return whole


def split(path: str | Path, jobs: int) -> list[Path]:
    """Write `DIR/splitN/1` to `DIR/splitN/N`, nearly equal runs of utterances. Returns their paths."""
    path = Path(path)
    data = DataDir.read(path)
    if not 0 < jobs <= len(data):
        raise UserError(f"{path}: {len(data)} utterances can't be split into {jobs}")
    root = path / f"split{jobs}"
    shutil.rmtree(root, ignore_errors=True)
    parts = [root / str(job) for job in range(1, jobs + 1)]
    for job, part in enumerate(parts, 1):
        data.split(job, jobs).write(part)
    return parts


def _speaker_faults(path: Path, utt2spk: dict[str, str]) -> Iterator[str]:
    if not (path / "spk2utt").is_file():
        return
    found: dict[str, str] = {}
    with open(path / "spk2utt", encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            speaker, *utterances = line.split()
            for utterance in utterances:
                if utt2spk.get(utterance) != speaker:
                    yield f"{path}/spk2utt: line {number}: '{utterance}' is of '{utt2spk.get(utterance)}' in utt2spk"
                found[utterance] = speaker
    for utterance in sorted(utt2spk.keys() - found.keys()):
        yield f"{path}/spk2utt: no line has '{utterance}'"
