"""The catalogue, and corpora from the local server to what db.sh names."""

import hashlib
import io
import logging
import re
import tarfile

import pytest

from m2d.bin import download as command
from m2d.common.errors import UserError
from m2d.data.corpora.librispeech import read_librispeech
from m2d.data.downloads import catalogue
from m2d.data.downloads.catalogue import Corpus, chosen, download, read_catalogue


def tar(files):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


@pytest.fixture
def corpus(server):
    """A LibriSpeech of one recording, in two archives."""
    archives = {"train.tar.gz": tar({"LibriSpeech/train-clean-100/1/2/1-2-0000.flac": b"audio",
                                     "LibriSpeech/train-clean-100/1/2/1-2.trans.txt": b"1-2-0000 ONE WORD\n"}),
                "dev.tar.gz": tar({"LibriSpeech/dev-clean/3/4/3-4-0000.flac": b"audio",
                                   "LibriSpeech/dev-clean/3/4/3-4.trans.txt": b"3-4-0000 TWO\n"})}
    server.files |= archives
    return Corpus("small", "two recordings", "LIBRISPEECH", licence="none", gb=(0.001, 0.001),
                  expect=["LibriSpeech/train-clean-100", "LibriSpeech/dev-clean"],
                  files=[{"urls": [server.url(name)], "checksum": "sha256:" + hashlib.sha256(content).hexdigest()}
                         for name, content in archives.items()])


def test_a_corpus_arrives_as_the_recipe_reads_it(server, corpus, tmp_path, caplog):
    server.faults["dev.tar.gz"] = ["breaks off"]
    with caplog.at_level(logging.INFO):
        download([corpus], tmp_path, pause_s=0.01)
    assert len(read_librispeech(tmp_path, ["train-clean-100", "dev-clean"])) == 2
    assert f"LIBRISPEECH={tmp_path}/LibriSpeech" in caplog.text
    assert not (tmp_path / "archives" / "small").exists()
    asked = len(server.asked)
    download([corpus], tmp_path)
    assert len(server.asked) == asked


def test_what_was_deleted_since_comes_again(corpus, tmp_path):
    download([corpus], tmp_path)
    (tmp_path / "LibriSpeech/dev-clean").rename(tmp_path / "gone")
    download([corpus], tmp_path)
    assert (tmp_path / "LibriSpeech/dev-clean").is_dir()


def test_an_archive_of_other_content_is_named(corpus, tmp_path):
    changed = Corpus(**{**vars(corpus), "expect": ["LibriSpeech/train-clean-360"]})
    with pytest.raises(UserError, match="LibriSpeech/train-clean-360 is not there"):
        download([changed], tmp_path)


def test_the_disk_is_looked_at_first(server, corpus, tmp_path):
    with pytest.raises(UserError, match="need 2000000 GB there"):
        download([Corpus(**{**vars(corpus), "gb": (1e6, 1e6)})], tmp_path / "new")
    assert not server.asked and not (tmp_path / "new").exists()


def test_what_a_person_must_ask_for_is_checked(tmp_path, caplog):
    corpus = read_catalogue()["voxceleb1"]
    with pytest.raises(UserError, match=r"fill in the form .*voxceleb1, which lacks dev/wav/id10001, test/wav/id10270"):
        download([corpus], tmp_path)
    for path in corpus.expect:
        (tmp_path / "voxceleb1" / path).mkdir(parents=True)
    with caplog.at_level(logging.INFO):
        download([corpus], tmp_path)
    assert "VOXCELEB1=" in caplog.text


def test_every_entry_of_the_catalogue_is_complete():
    entries = read_catalogue()
    for corpus in entries.values():
        if corpus.includes:
            assert set(corpus.includes) <= entries.keys()
            continue
        assert corpus.expect and corpus.variable
        assert corpus.page and corpus.ask if not corpus.files else corpus.licence and corpus.gb[1] > 0
        for file in [part for entry in corpus.files for part in (entry, *entry.get("volumes", []))]:
            assert all(url.startswith("http") for url in file["urls"])
            assert re.fullmatch("md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", file.get("checksum", "md5:" + "0" * 32))


def test_names(capsys):
    assert len(chosen(read_catalogue(), ["librispeech", "librispeech-dev-clean"])) == 7
    with pytest.raises(UserError, match="unknown corpus 'esc5', did you mean 'esc50'"):
        chosen(read_catalogue(), ["esc5"])
    command.main(command.Options())
    said = capsys.readouterr().out
    assert "61.7 GB  LibriSpeech, all seven parts" in said and "on request  VoxCeleb1" in said
    assert catalogue.CATALOGUE.is_file()
