"""Download of one file over HTTP: resumed after an interruption, verified, and renamed only when complete."""

import hashlib
import http.client
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from m2d.common.errors import UserError
from m2d.common.progress import duration

LOG = logging.getLogger(__name__)
BLOCK = 1 << 18
TIMEOUT_S = 60.0  # without a byte before the connection counts as dead
ATTEMPTS = 5  # in a row without progress
REPORT_S = 15.0
BROKEN = (OSError, http.client.HTTPException)  # URLError, timeouts and resets are OSErrors


@dataclass(frozen=True)
class Remote:
    """A file to fetch: its addresses (mirrors after the first), size in bytes and checksum where they are known."""

    urls: Sequence[str]
    size: int | None = None
    checksum: str | None = None  # "md5:HEX" or "sha256:HEX"

    @property
    def name(self) -> str:
        """File name, from the first address."""
        return Path(urlsplit(self.urls[0]).path).name


class _BadContent(Exception):
    """The received data are not the file: the partial copy is useless."""


def fetch(remote: Remote, folder: str | Path, *, attempts: int = ATTEMPTS, pause_s: float = 2.0,
          timeout_s: float = TIMEOUT_S) -> Path:
    """Download `remote` into `folder` and return its path; a file of that name that passes the check is kept.

    The transfer goes to `NAME.part`, which a later call continues. Proxies are taken from the environment
    (`https_proxy`, `no_proxy`). Each mirror is tried `attempts` times in a row without progress, with growing pauses.

    Raises `UserError` when no mirror gives the file, or what they give fails the checksum or the size.
    """
    path = Path(folder) / remote.name
    if path.is_file() and _fault(path, remote) is None:
        LOG.info("%s: already there", path)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    reasons = []
    for url in remote.urls:
        try:
            _from_mirror(url, part, remote, attempts, pause_s, timeout_s)
            part.replace(path)
            return path
        except (_BadContent, *BROKEN) as error:
            reasons.append(f"{url}: {_said(error)}")
            LOG.warning("%s", reasons[-1])
    raise UserError(f"{path.name} could not be downloaded ({'; '.join(reasons)}): run the same command again to go "
                    f"on, or put the file at {path} by hand")


def _from_mirror(url: str, part: Path, remote: Remote, attempts: int, pause_s: float, timeout_s: float) -> None:
    """Complete `part` from one mirror. A wrong file is fetched once more from its beginning."""
    failures, restarted = 0, False
    while True:
        before = part.stat().st_size if part.is_file() else 0
        try:
            _transfer(url, part, remote, timeout_s)
            fault = _fault(part, remote)
            if fault is None:
                return
            part.unlink()
            if restarted or before == 0:
                raise _BadContent(fault)
            restarted, failures = True, 0  # an old partial copy of another file may be to blame
            LOG.warning("%s: %s; once more from the beginning", url, fault)
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code not in (408, 429):
                raise
            failures = _next_failure(error, failures, attempts, pause_s, url)
        except BROKEN as error:
            is_ahead = part.is_file() and part.stat().st_size > before
            failures = _next_failure(error, 0 if is_ahead else failures, attempts, pause_s, url)


def _next_failure(error: Exception, failures: int, attempts: int, pause_s: float, url: str) -> int:
    if failures + 1 >= attempts:
        raise error
    LOG.warning("%s: %s; trying again", url, _said(error))
    time.sleep(pause_s * 2**failures)
    return failures + 1


def _transfer(url: str, part: Path, remote: Remote, timeout_s: float) -> None:
    """Append to `part` what it lacks. Raises OSError when the connection ends early."""
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "m2d"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urllib.request.build_opener().open(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        if have and error.code == 416:  # nothing is left to send: the check decides
            return
        raise
    with response:
        begins = f"bytes {have}-"
        if have and not (response.status == 206 and response.headers.get("Content-Range", "").startswith(begins)):
            have = 0  # the server sends the whole file
        length = response.headers.get("Content-Length")
        total = have + int(length) if length is not None and length.isdigit() else remote.size
        with open(part, "r+b" if have else "wb") as stream:
            stream.seek(have)
            stream.truncate()
            _copy(response, stream, have, total, part.stem)
    if total is not None and part.stat().st_size < total:
        raise OSError(f"the connection ended at {part.stat().st_size} of {total} bytes")


def _copy(response: http.client.HTTPResponse, stream, done: int, total: int | None, name: str) -> None:
    start = last = time.monotonic()
    first = done
    while block := response.read(BLOCK):
        stream.write(block)
        done += len(block)
        now = time.monotonic()
        if now - last >= REPORT_S:
            last, rate = now, (done - first) / (now - start)
            left = f", ETA {duration((total - done) / rate)}" if total else ""
            LOG.info("%s: %.1f of %s MB, %.1f MB/s%s", name, done / 1e6, f"{total / 1e6:.1f}" if total else "?",
                     rate / 1e6, left)


def _fault(path: Path, remote: Remote) -> str | None:
    """What is wrong with a finished transfer; None when it has the size and the checksum that are known."""
    size = path.stat().st_size
    if remote.size is not None and size != remote.size:
        return f"has {size} bytes, expected {remote.size}"
    if remote.checksum is not None:
        kind, _, expected = remote.checksum.partition(":")
        digest = hashlib.new(kind)
        with open(path, "rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
        if digest.hexdigest() != expected:
            return f"its {kind} checksum is {digest.hexdigest()}, expected {expected}"
    return None


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
