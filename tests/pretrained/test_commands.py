"""What a new user types: info, embed and tag on files of every kind, and what they leave."""

import h5py
import numpy as np
import pytest
import soundfile
import torch
from pyarrow import parquet

from m2d import load_pretrained
from m2d.bin import embed, info, tag
from m2d.common import cli
from m2d.common.errors import UserError
from m2d.data.datadir import DataDir, Segment
from m2d.pretrained.embedding import find_clips

RATE = 16000


@pytest.fixture(scope="module")
def model(golden, tmp_path_factory):
    arrays, meta = golden("h_asft_flat")
    path = tmp_path_factory.mktemp("published") / meta["published_folder"] / "checkpoint-10.pth"
    path.parent.mkdir()
    torch.save({name[8:]: value for name, value in arrays.items() if name.startswith("weights.")}, path)
    return path.parent


@pytest.fixture
def sounds(tmp_path, golden):
    """Four clips of 0.4 to 7 s, one of them in a folder of its own and with a blank in its name, and a broken one."""
    arrays, _ = golden("h_asft_flat")
    noise = np.random.default_rng(0).standard_normal(7 * RATE).astype(np.float32) * 0.1
    clips = {"a.wav": arrays["waves"][0].numpy(), "b.flac": noise, "sub/c d.wav": noise[:6400], "e.ogg": noise[:RATE]}
    for name, wave in clips.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "in" / name, wave, RATE, **({"subtype": "FLOAT"} if name == "a.wav" else {}))
    return tmp_path / "in"


def run(command, *words):
    table = {embed: embed.EmbedOptions, tag: tag.TagOptions, info: info.Options}[command]
    positional = ("model",) if command is info else ("model", "files")
    more = [] if command is info else ["workers=0", "device=cpu"]
    return command.main(cli.parse(table, "", [*map(str, words), "heads=2", *more], positional=positional))


def test_info(model, golden, tmp_path, capsys):
    run(info, model)
    text = capsys.readouterr().out
    for words in ("layout D: published encoder and classifier", "2 blocks, width 128, 2 heads", "16000 Hz, window 400",
                  "80 mel bins x 304 frames (3.04 s)", "mean -6.3000, deviation 3.9000", "640 values every 160 ms",
                  "7 classes (names not known: give labels=FILE)", "m2d tag"):
        assert words in text
    arrays, _ = golden("h_clap_mlp")
    torch.save({name[8:]: value for name, value in arrays.items() if name.startswith("weights.")}, tmp_path / "c.pth")
    run(info, tmp_path / "c.pth")
    assert "audio projection of 2024, text projection" in capsys.readouterr().out


def test_settings_to_go_on_from_weights(model, capsys):
    """On inputs as long as the clips, at most as the model's."""
    run(info, model, "show=settings", "seconds=0.5")
    assert capsys.readouterr().out.split() == [
        "model.input_size=[80,64]", "model.patch_size=[16,16]", "model.size=custom", "model.width=128", "model.depth=2",
        "model.heads=2"]
    run(info, model, "show=settings", "seconds=20")
    assert "model.input_size=[80,304]" in capsys.readouterr().out


def values(path):
    """Names and matrix of any format."""
    if path.suffix == ".npy":
        return (path.parent / f"{path.name}.names.txt").read_text().split("\n")[:-1], np.load(path)
    if path.suffix == ".npz":
        with np.load(path) as file:
            return file["names"].tolist(), file["values"]
    if path.suffix == ".parquet":
        table = parquet.read_table(path)
        return table["name"].to_pylist(), np.array(table["values"].to_pylist(), np.float32)
    with h5py.File(path) as file:
        return [name.decode() for name in file["names"][:]], file["values"][:]


@pytest.mark.parametrize("ending", [".npy", ".npz", ".h5", ".parquet"])
def test_vectors_in_every_format(model, sounds, tmp_path, ending):
    assert run(embed, model, sounds, f"out={tmp_path}/x{ending}") == 0
    names, matrix = values(tmp_path / f"x{ending}")
    assert names == ["a", "b", "e", "sub-c_d"] and matrix.shape == (4, 640)
    wave = torch.from_numpy(soundfile.read(sounds / "a.wav", dtype="float32")[0])
    expected = load_pretrained(model, heads=2)([wave])
    np.testing.assert_allclose(matrix[0], expected.clip[0], atol=1e-5)


def test_frames_and_vectors_in_one_pass(model, sounds, tmp_path):
    (sounds / "broken.wav").write_bytes(b"RIFF")
    assert run(embed, model, sounds, f"out={tmp_path}/x.npz", f"frames={tmp_path}/frames", "layer=0") == 1
    names, matrix = values(tmp_path / "x.npz")
    for name, row in zip(names, matrix, strict=True):
        np.testing.assert_allclose(np.load(tmp_path / "frames" / f"{name}.npy").mean(axis=0), row, atol=1e-5)
    assert (tmp_path / "x.npz.failed").read_text().startswith("broken ")


def test_tags_as_a_table_and_a_file(model, sounds, golden, tmp_path, capsys):
    arrays, _ = golden("h_asft_flat")
    (tmp_path / "names.txt").write_text("".join(f"class {i}\n" for i in range(7)))
    run(tag, model, sounds / "a.wav", sounds / "b.flac", f"labels={tmp_path}/names.txt", "top=2",
        f"out={tmp_path}/t.npz")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 2  # 4.1 s are one row of a model of 3.04 s, 7 s are two
    probabilities = arrays["out.logits"][0].sigmoid().numpy()
    best = np.argsort(-probabilities)[:2]
    assert lines[0].split()[1:3] == ["0.00", "4.10"]
    assert lines[0].endswith("  ".join(f"class {i} {probabilities[i]:.2f}" for i in best))
    assert lines[2].split()[1:3] == ["3.50", "7.00"]
    with np.load(tmp_path / "t.npz") as file:
        assert file["values"].shape == (3, 7) and file["end"].tolist() == pytest.approx([4.1, 3.5, 7.0])
        np.testing.assert_allclose(file["values"][0], probabilities, atol=4e-4)
    run(tag, model, sounds / "b.flac", "seconds=1")
    assert len(capsys.readouterr().out.splitlines()) == 7


def test_places_of_every_kind(sounds, tmp_path):
    DataDir({"r": str(sounds / "a.wav")}, segments={"r-1": Segment("r", 0.5, 1.5)}).write(tmp_path / "data")
    (tmp_path / "list.txt").write_text(f"{sounds}/b.flac\n{sounds}/e.ogg\n")
    found = find_clips([str(tmp_path / "list.txt"), str(tmp_path / "data" / "wav.scp"), str(sounds / "a.wav")])
    assert found.source("r-1").start == 0.5 and found.source("r-1").duration == 1.0
    assert found.source(str(sounds / "a.wav")).duration is None and len(found) == 4
    assert found.utterances == sorted(found.segments)


@pytest.mark.parametrize(("words", "message"), [
    (["out=x.npz"], "give sound files"), (["nowhere", "out=x.npz"], "nowhere: no such file or folder"),
    (["SOUNDS", "out=x.txt"], r"ends in \.npy, \.npz"), (["SOUNDS"], "give out=FILE"),
    (["SOUNDS", "SOUNDS", "out=x.npz"], "was named before"),
    (["SOUNDS/a.wav", "out=x.npz", "layer=9"], "layers 0 to 1"),
    (["MODEL/checkpoint-10.pth", "out=x.npz"], "neither sound by its ending"),
    (["SOUNDS", "out=x.npz", "top=3"], "unknown option 'top'")])
def test_one_line_for_what_can_not_be_done(model, sounds, words, message):
    words = [word.replace("SOUNDS", str(sounds)).replace("MODEL", str(model)) for word in words]
    with pytest.raises(UserError, match=message) as caught:
        run(embed, model, *words)
    assert "\n" not in str(caught.value)


def test_tags_need_a_classifier(golden, sounds, tmp_path):
    arrays, _ = golden("h_clap_mlp")
    torch.save({name[8:]: value for name, value in arrays.items() if name.startswith("weights.")}, tmp_path / "c.pth")
    with pytest.raises(UserError, match=r"c\.pth: has no classifier"):
        run(tag, tmp_path / "c.pth", sounds)
