"""Published checkpoints: written, read back, and refused with the first thing that is wrong."""

import argparse
import zipfile

import pytest
import torch

from m2d import load_pretrained
from m2d.common.errors import UserError
from m2d.nn import ModelConfig, build_objective
from m2d.pretrained.files import from_checkpoint
from m2d.pretrained.layouts import RENAMES
from m2d.pretrained.published import load_objective, read_published, write_published

TINY = {"size": "custom", "width": 64, "depth": 2, "heads": 4,
        "predictor_width": 32, "predictor_depth": 2, "predictor_heads": 4}
FILES = {"m2d": "c_m2d_tiny_80x608_p16x16",
         "m2ds": "d_m2ds_tiny_80x208_p80x4", "encoder": "g_encode_tiny_80x608_p16x16"}


def wav():
    return 0.1 * torch.randn(1, 20000, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", ["m2d", "m2ds", "encoder"])
def test_architecture_is_told_by_the_shapes(published, kind):
    checkpoint = read_published(published(kind), heads=4)
    size, patch = ((80, 208), (80, 4)) if kind == "m2ds" else ((80, 608), (16, 16))
    assert checkpoint.encoder.input_size == size and checkpoint.encoder.patch_size == patch
    assert (checkpoint.encoder.width, checkpoint.encoder.depth, checkpoint.encoder.heads) == (64, 2, 4)
    assert checkpoint.statistics == pytest.approx((-7.1, 4.2))
    assert checkpoint.encoder_only == (kind == "encoder")


def test_heads_that_can_not_be_known_are_asked_for(published):
    with pytest.raises(UserError, match=r"64 wide and 2 blocks deep is none of ViT small, base, large.*give heads=N"):
        read_published(published("encoder"))
    with pytest.raises(UserError, match="width 64, depth 2, heads 0: all must be positive"):
        read_published(published("encoder"), heads=0)


def test_published_encoder_gives_the_published_features(published, vectors):
    arrays, _ = vectors("encoder")
    output = load_pretrained(published("encoder"), heads=4).encode([arrays["lms_norm"][0, 0]])
    torch.testing.assert_close(output.frames, arrays["encode"], rtol=0, atol=1e-5)


def test_command_line_beside_the_weights_is_read(published):
    path = published("encoder", args=argparse.Namespace(lr=0.1, model="m2d_vit_base"), epoch=300)
    assert read_published(path, 4).encoder_only


@pytest.fixture
def namespaces_allowed():
    """As for s3prl's checkpoints, for the time of a test."""
    before = torch.serialization.get_safe_globals()
    torch.serialization.add_safe_globals([argparse.Namespace])
    yield
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(before)


def test_what_others_allow_to_be_read_stays_allowed(published, namespaces_allowed):
    read_published(published("encoder", args=argparse.Namespace(lr=0.1)), 4)
    assert argparse.Namespace in torch.serialization.get_safe_globals()


def test_default_statistics(published):
    assert read_published(published("encoder", lambda state: state.pop("norm_stats")), 4).statistics == (-7.1, 4.2)


def test_continue_from_published(published, vectors):
    """Encoder, target and predictor are all taken: the loss is the published one."""
    arrays, meta = vectors("m2d")
    objective = build_objective(ModelConfig(**TINY))
    load_objective(objective, read_published(published("m2d"), 4), "checkpoint")
    loss = objective(arrays["x"], mask_noise=arrays["noise"]).loss.item()
    assert abs(loss - meta["loss_m2d"]) < 1e-5 * loss


def test_continue_m2ds_from_published_and_leave_parts_out(published, vectors, caplog):
    arrays, meta = vectors("m2ds")
    options = {"input_size": [80, 208], "patch_size": [80, 4], "mask_ratio": 0.6, **TINY}
    checkpoint = read_published(published("m2ds"), 4)
    both = build_objective(ModelConfig(lambda_off=0.5, teacher_width=768, **options))
    load_objective(both, checkpoint, "checkpoint")
    output = both(arrays["x"], arrays["h_50hz"], mask_noise=arrays["noise"])
    assert abs(output.terms["off"].item() - meta["loss_off"]) < 2e-5
    m2d = build_objective(ModelConfig(**options))
    load_objective(m2d, checkpoint, "checkpoint")
    assert abs(m2d(arrays["x"], mask_noise=arrays["noise"]).loss.item() - meta["loss_m2d"]) < 2e-5
    assert "the offline has no place" in caplog.text


def test_continue_from_an_encoder_alone(published, caplog):
    objective = build_objective(ModelConfig(**TINY))
    predictor = {name: value.clone() for name, value in objective.predictor.state_dict().items()}
    load_objective(objective, read_published(published("encoder"), 4), "checkpoint")
    for name, value in objective.target.state_dict().items():
        assert torch.equal(value, objective.encoder.transformer.state_dict()[name])
    assert all(torch.equal(value, predictor[name]) for name, value in objective.predictor.state_dict().items())
    assert "predictor starts from scratch" in caplog.text


def test_continue_with_another_architecture_is_refused(published):
    objective = build_objective(ModelConfig(**{**TINY, "predictor_width": 64}))
    with pytest.raises(UserError, match=r"checkpoint: parameter '\w+' is \[.*32.*\], expected"):
        load_objective(objective, read_published(published("m2d"), 4), "checkpoint")


def rename(state, old, new):
    state[new] = state.pop(old)


@pytest.mark.parametrize(("kind", "change", "message"), [
    ("encoder", lambda s: s.pop("blocks.1.mlp.fc2.weight"), "'blocks.1.mlp.fc2.weight' is missing"),
    ("encoder", lambda s: s.pop("patch_embed.proj.weight"), "'patch_embed.proj.weight' is missing"),
    ("encoder", lambda s: s.pop("pos_embed"), "'pos_embed' is missing"),
    ("encoder", lambda s: rename(s, "norm.weight", "fc_norm.weight"), "'fc_norm.weight' belongs to no"),
    ("encoder", lambda s: s.update({"norm.weight": torch.zeros(65)}), r"'norm.weight' is \[65\], expected \[64\]"),
    ("encoder", lambda s: s.update({"blocks.0.gamma": torch.zeros(64)}), "'blocks.0.gamma' is one too many"),
    ("encoder", lambda s: s.update(pos_embed=s["pos_embed"] + 0.1), "pos_embed is not the fixed sin-cos table"),
    ("encoder", lambda s: s.update(pos_embed=s["pos_embed"][0]), "pos_embed is"),
    ("m2d", lambda s: s.pop("target_blocks.1.norm1.bias"), "'target_blocks.1.norm1.bias' is missing"),
    ("m2d", lambda s: s.pop("decoder_pred.weight"), "'decoder_pred.weight' is missing"),
    ("m2d", lambda s: s.pop("mask_token"), "'mask_token' is missing"),
    ("m2d", lambda s: s.update({"decoder_embed.weight": torch.zeros(0)}), r"is \[0\], expected a matrix"),
    ("m2d", lambda s: s.update({"norm.weight": torch.ones(64).long()}), "'norm.weight' is a .* of torch.int64"),
    ("m2d", lambda s: s.update({"norm.weight": torch.ones(64).to_sparse()}), "'norm.weight' is a torch.sparse_coo"),
    ("m2d", lambda s: s["norm.weight"].fill_(torch.nan), "'norm.weight' has values that are not finite"),
    ("encoder", lambda s: s.update(norm_stats=torch.tensor(-7.1)), r"norm_stats is \[\], expected \[2\]"),
    ("encoder", lambda s: s.update(norm_stats=torch.tensor([[-7.1, 4.2]])), r"norm_stats is \[1, 2\], expected \[2\]"),
    ("encoder", lambda s: s.update(norm_stats=torch.tensor([-7, 4])), "'norm_stats' is a .* of torch.int64"),
    ("encoder", lambda s: s.update(norm_stats=torch.tensor([-7.1, 0.0])), "norm_stats is -7.1 and 0, expected a mean"),
    ("encoder", lambda s: s.update(norm_stats=torch.tensor([torch.nan, 4.2])), "norm_stats is nan and 4.2"),
])
def test_wrong_published_files_name_the_first_mismatch(published, kind, change, message):
    path = published(kind, change)
    with pytest.raises(UserError, match=message) as caught:
        read_published(path, 4)
    assert str(caught.value).startswith(f"{path}: ")


class Evil:
    def __reduce__(self):
        return (print, ("code was run",))


def test_files_that_are_no_checkpoints(published, tmp_path, capsys):
    path = published("m2d")
    path.write_bytes(path.read_bytes()[:50000])
    with pytest.raises(UserError, match="cut off"):
        read_published(path)
    text = tmp_path / "text.pth"
    text.write_text("hello")
    with pytest.raises(UserError, match=r"text\.pth: not a readable checkpoint"):
        read_published(text)
    with pytest.raises(UserError, match="no such checkpoint file"):
        read_published(tmp_path / "none.pth")
    for content in ({"model": {"x": 1}}, {"model": {0: torch.zeros(1)}}, {"model": None}, [torch.zeros(1)], {}):
        torch.save(content, text)
        with pytest.raises(UserError, match="holds no state dict"):
            read_published(text)
    torch.save({"model": {}, "args": Evil()}, text)
    with pytest.raises(UserError, match="not a readable checkpoint"):
        read_published(text)
    assert "code was run" not in capsys.readouterr().out
    with pytest.raises(UserError, match="it holds 'print', which could run code") as caught:
        read_published(text)
    assert "weights_only" not in str(caught.value) and caught.value.__context__ is None


def test_a_flipped_byte_is_found(published, tmp_path):
    """Anywhere in the tensors: by the archive's CRC, in a file of ours by the checksum beside it too."""
    path = published("encoder")
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        record = max(archive.infolist(), key=lambda info: info.file_size)
    for offset in (record.header_offset + 200, record.header_offset + record.file_size // 2):
        flipped = bytearray(whole)
        flipped[offset] ^= 4
        path.write_bytes(flipped)
        with pytest.raises(UserError, match="damaged"):
            read_published(path, 4)
    path.write_bytes(whole)
    checkpoint = read_published(path, 4)
    write_published(tmp_path / "own.pth", checkpoint.state, checkpoint.encoder, (-7.1, 4.2))
    (tmp_path / "own.pth").write_bytes(whole)
    with pytest.raises(UserError, match=r"SHA-256 is not the one in own\.pth\.sha256"):
        read_published(tmp_path / "own.pth")


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_truncated_files_are_refused(published, share):
    path = published("encoder")
    path.write_bytes(path.read_bytes()[:int(share * path.stat().st_size)])
    with pytest.raises(UserError, match="cut off"):
        read_published(path, 4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_files_load(published, vectors, dtype):
    def halve(state):
        for name in state:
            state[name] = state[name].to(dtype)
    arrays, _ = vectors("encoder")
    model = load_pretrained(published("encoder", halve), heads=4)
    assert model.encoder.cls_token.dtype == torch.float32
    output = model.encode([arrays["lms_norm"][0, 0]]).frames
    assert (output - arrays["encode"]).abs().mean() < 0.02 * arrays["encode"].abs().mean()


@pytest.mark.parametrize("options", [
    {}, {"objective": "m2d_all_patches"}, {"objective": "mae"}, {"lambda_off": 0.5, "teacher_width": 24},
    {"lambda_m2d": 0.0, "lambda_off": 1.0, "teacher_width": 24}],
    ids=["m2d", "all_patches", "mae", "m2ds", "distillation"])
def test_published_round_trip(tmp_path, options):
    """Every objective written under the published names and read back: the same parameters, bit for bit."""
    config = ModelConfig(input_size=[80, 208], patch_size=[40, 4], **TINY, **options)
    objective = build_objective(config)
    path = tmp_path / "out.pth"
    write_published(path, objective.state_dict(), config.encoder, (-6.5, 4.0))
    checkpoint = read_published(path)  # whose heads lie beside the weights
    with pytest.raises(UserError, match="heads=2: the file says 4"):
        read_published(path, heads=2)
    assert checkpoint.encoder == config.encoder and checkpoint.statistics == (-6.5, 4.0)
    again = build_objective(config)
    load_objective(again, checkpoint, "checkpoint")
    for name, value in objective.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    names = torch.load(path, weights_only=True)["model"]
    assert names["pos_embed"].shape == (1, 105, 64) and not names["pos_embed"][0, 0].any()
    assert names["decoder_pos_embed"].shape == (1, 105, 32)
    assert {name.split(".")[0] for name in names} <= {
        theirs.split(".")[0] for _, theirs in RENAMES} | {"pos_embed", "decoder_pos_embed", "norm_stats"}


def test_parameters_without_a_published_name_are_left_out(tmp_path, caplog):
    config = ModelConfig(input_size=[80, 208], patch_size=[40, 4], **TINY)
    state = {**build_objective(config).state_dict(), "another_part.weight": torch.zeros(1)}
    write_published(tmp_path / "out.pth", state, config.encoder, (-6.5, 4.0))
    assert "no place for another_part" in caplog.text
    assert not read_published(tmp_path / "out.pth").encoder_only


def test_from_a_training_checkpoint():
    from dataclasses import asdict

    config = ModelConfig(input_size=[80, 208], patch_size=[80, 4], **TINY)
    objective = build_objective(config)
    model = from_checkpoint({"model": objective.state_dict(), "config": {"model": asdict(config)},
                             "statistics": {"mean": -6.0, "std": 4.0}})
    assert (model.mean, model.std) == (-6.0, 4.0)
    assert torch.equal(model.encoder.cls_token, objective.encoder.cls_token)
    assert model(wav()).frames.shape == (1, 32, 64)
