"""`./run.sh --corpus mini_librispeech`: archives and the teacher come from a local server in place of the network."""

import hashlib
import http.server
import io
import tarfile
import threading
import zipfile

import numpy as np
import pytest
import soundfile
import yaml

from m2d.data.downloads.catalogue import CATALOGUE

TEACHER = "facebook/hubert-base-ls960"
TINY = ("model.width=16 model.depth=2 model.heads=2 model.predictor_width=16 model.predictor_depth=1 "
        "model.predictor_heads=2 optim.batch_size=8 optim.epochs=2 optim.warmup_epochs=1 run.log_steps=1")
pytestmark = pytest.mark.timeout(900)


class Edge(http.server.BaseHTTPRequestHandler):
    """Archives by name, and the files of one model as the hub gives them. The first archive breaks off once."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self._answer(with_body=False)

    def do_GET(self):
        self._answer(with_body=True)

    def _answer(self, with_body):
        content = self.server.files.get(self.path.split("?")[0])
        self.server.asked.append(self.path)
        if content is None:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        first = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - first))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.end_headers()
        if not with_body:
            return
        if self.path.endswith(".tar.gz") and not self.server.broken:
            self.server.broken.append(self.path)
            self.wfile.write(content[:1000])
            self.close_connection = True
            return
        self.wfile.write(content[first:])

    def log_message(self, *_):
        pass


@pytest.fixture
def edge(tiny_teacher):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Edge)
    server.files = {"/train-clean-5.tar.gz": librispeech("train-clean-5", 3, 6),
                    "/dev-clean-2.tar.gz": librispeech("dev-clean-2", 2, 2), "/master.zip": esc50(),
                    **{f"/{TEACHER}/resolve/main/{file.name}": file.read_bytes() for file in tiny_teacher.iterdir()}}
    server.asked, server.broken = [], []
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def recording(seed, seconds, rate, kind):
    stream = io.BytesIO()
    soundfile.write(stream, np.random.default_rng(seed).normal(size=round(seconds * rate)) / 10, rate, format=kind)
    return stream.getvalue()


def librispeech(part, speakers, count):
    """An archive as openslr.org/31 has it."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        def add(name, content):
            info = tarfile.TarInfo(f"LibriSpeech/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))

        names = [f"{speaker} | F | {part} | 5.0 | Name" for speaker in range(100, 100 + speakers)]
        add("SPEAKERS.TXT", "\n".join(names).encode())
        for speaker in range(100, 100 + speakers):
            chapter = f"{part}/{speaker}/7/{speaker}-7"
            add(f"{chapter}.trans.txt", "".join(f"{speaker}-7-{i:04d} SOME WORDS\n" for i in range(count)).encode())
            for i in range(count):
                add(f"{chapter}-{i:04d}.flac", recording(100 * speaker + i, 2.5, 16000, "FLAC"))
    return stream.getvalue()


def esc50():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("ESC-50-master/meta/esc50.csv", "filename,fold,target,category,esc10,src_file,take\n")
        for i in range(4):
            archive.writestr(f"ESC-50-master/audio/1-{i}-A-0.wav", recording(i, 5, 44100, "WAV"))
    return stream.getvalue()


def test_one_command_up_to_the_edge_of_the_network(make_recipe, edge, tmp_path):
    entries = yaml.safe_load(CATALOGUE.read_text())
    entries = {name: entries[name] for name in ("mini_librispeech", "esc50")}
    for file in (file for entry in entries.values() for file in entry["files"]):
        name = "/" + file["urls"][0].rpartition("/")[2]
        file |= {"urls": [edge.url + name], "size": len(edge.files[name]),
                 "checksum": "md5:" + hashlib.md5(edge.files[name]).hexdigest()}
    (tmp_path / "mirror.yaml").write_text(yaml.safe_dump(entries))
    recipe = make_recipe("librispeech_m2ds", CATALOGUE=str(tmp_path / "mirror.yaml"), MINI_CORPUS="/nowhere",
                         HF_ENDPOINT=edge.url, HF_HOME=str(tmp_path / "hub"), HF_HUB_OFFLINE="0", no_proxy="127.0.0.1")
    words = ["--corpus", "mini_librispeech", "--set", TINY, "--tag", "tiny"]
    output = recipe.run_well("--stop_stage", "4", *words)
    assert edge.broken and "trying again" in output and "MINI CORPUS" not in output
    assert (recipe.directory / "exp/tiny/model/model.safetensors").is_file()
    counts = {name: len((recipe.directory / f"dump/mini_librispeech/{name}/logmel/index").read_text().splitlines())
              for name in ("train", "valid", "noise")}
    assert counts == {"train": 18, "valid": 4, "noise": 4}
    asked = len(edge.asked)
    again = recipe.run_well("--stop_stage", "4", *words)
    assert again.count("done before, skipped") == 1 + 1 + 3 + 2 + 1 + 1 and len(edge.asked) == asked


def test_an_unknown_corpus_is_told_what_there_is(make_recipe):
    done = make_recipe("librispeech_m2ds").run("--corpus", "mini_libri", "--stop_stage", "0")
    assert done.returncode == 1 and "--corpus mini_libri: there is mini_librispeech" in done.stdout
