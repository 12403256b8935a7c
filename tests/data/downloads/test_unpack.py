"""Archives that are broken or mean harm, and split ones."""

import gzip
import io
import struct
import tarfile
import zipfile

import pytest

from m2d.common.errors import UserError
from m2d.data.downloads.unpack import unpack

FILES = {"corpus/a.txt": b"alpha" * 1000, "corpus/deep/b.bin": bytes(range(256)) * 500, "corpus/c.txt": b""}


def tar(path, files=FILES, **member):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in member.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))
    return path


def zipped(path, files=FILES):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def split(path, size):
    """Cut a zip into volumes of `size` bytes and rewrite the numbers and offsets of its directory, as `zip -s` does."""
    data = bytearray(path.read_bytes())
    end = data.rfind(b"PK\5\6")
    count, _, offset = struct.unpack_from("<H2I", data, end + 10)
    at = offset
    for _ in range(count):
        names, extra, comment = struct.unpack_from("<3H", data, at + 28)
        start = struct.unpack_from("<I", data, at + 42)[0]
        struct.pack_into("<H", data, at + 34, start // size)
        struct.pack_into("<I", data, at + 42, start % size)
        at += 46 + names + extra + comment
    last = (len(data) - 1) // size
    struct.pack_into("<2H", data, end + 4, last, offset // size)
    struct.pack_into("<I", data, end + 16, offset % size)
    volumes = [path.with_suffix(f".z{i + 1:02d}") for i in range(last)]
    for i, volume in enumerate([*volumes, path]):
        volume.write_bytes(data[i * size:(i + 1) * size])
    return volumes


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("make", [tar, zipped])
def test_archives_are_unpacked_and_merged(make, tmp_path):
    out = tmp_path / "out"
    unpack(make(tmp_path / "x.archive"), out)
    unpack(make(tmp_path / "y.archive", {"corpus/deep/d.txt": b"delta"}), out)
    assert content(out) == {**FILES, "corpus/deep/d.txt": b"delta"}


@pytest.mark.parametrize("size", [200, 317, 100_000])
def test_a_split_zip(size, tmp_path):
    archive = zipped(tmp_path / "x.zip")
    volumes = split(archive, size)
    unpack(archive, tmp_path / "out", volumes or [])
    assert content(tmp_path / "out") == FILES


def test_a_split_zip_without_one_of_its_volumes(tmp_path):
    archive = zipped(tmp_path / "x.zip")
    volumes = split(archive, 200)
    with pytest.raises(UserError, match=r"x\.zip: broken or unsafe archive \(.* volumes are given"):
        unpack(archive, tmp_path / "out", volumes[:-1])


def test_a_flipped_byte_in_a_volume_is_found(tmp_path):
    archive = zipped(tmp_path / "x.zip", {"a": bytes(range(256)) * 4})
    volumes = split(archive, 150)
    data = bytearray(volumes[0].read_bytes())
    data[100] ^= 1
    volumes[0].write_bytes(data)
    with pytest.raises(UserError, match="broken or unsafe archive"):
        unpack(archive, tmp_path / "out", volumes)
    assert not content(tmp_path / "out")


@pytest.mark.parametrize("name", ["../evil", "corpus/../../evil", "/tmp/m2d_evil"])
@pytest.mark.parametrize("make", [tar, zipped])
def test_nothing_is_written_outside(make, name, tmp_path):
    archive = make(tmp_path / "x.archive", {name: b"evil"})
    if make is tar and name.startswith("/"):  # the tar filter strips the slash: it stays inside
        unpack(archive, tmp_path / "out")
        assert content(tmp_path / "out") == {"tmp/m2d_evil": b"evil"}
        return
    with pytest.raises(UserError, match=r"x\.archive: broken or unsafe archive"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "evil").exists() and not content(tmp_path / "out")


@pytest.mark.parametrize("member", [{"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"},
                                    {"type": tarfile.LNKTYPE, "linkname": "../../x"}, {"type": tarfile.CHRTYPE}])
def test_links_out_of_the_folder_and_devices_are_refused(member, tmp_path):
    with pytest.raises(UserError, match="unsafe archive"):
        unpack(tar(tmp_path / "x.tar.gz", {"corpus/a": b""}, **member), tmp_path / "out")
    assert not content(tmp_path / "out")


def test_cut_off_archives_leave_nothing(tmp_path):
    whole = tar(tmp_path / "x.tar.gz").read_bytes()
    (tmp_path / "x.tar.gz").write_bytes(whole[:len(whole) // 2])
    (tmp_path / "y.tar.gz").write_bytes(gzip.compress(b"no archive"))
    for name in ("x.tar.gz", "y.tar.gz"):
        with pytest.raises(UserError, match=f"{name}: .*archive"):
            unpack(tmp_path / name, tmp_path / "out")
    assert not content(tmp_path / "out")
