"""The published layouts A to D: told by their tensors, with their heads, equal to the public loader (vectors h_*)."""

import pytest
import torch
from torch import nn

from m2d import load_pretrained, save_pretrained
from m2d.bin import import_published
from m2d.common.cli import parse
from m2d.common.errors import UserError
from m2d.nn.encoder_config import EncoderConfig
from m2d.nn.transformer import Block
from m2d.pretrained.heads import TokenProjection
from m2d.pretrained.published import published_folder, read_published
from m2d.pretrained.tagging import read_labels

VECTORS = {"h_32k_encoder": "B", "h_asft_flat": "D", "h_clap_mlp": "C"}
WAVE_TOLERANCE = 4e-4  # the two front ends differ by as much (conventions: log-mels by 4.3e-4 at most)


def weights(arrays):
    return {name[8:]: value.clone() for name, value in arrays.items() if name.startswith("weights.")}


@pytest.fixture
def published(golden, tmp_path):
    """Maker of a file as it is published: folder, wrapper; -> (path, arrays, meta)."""
    def make(name, change=None):
        arrays, meta = golden(name)
        state = weights(arrays)
        if change is not None:
            state = change(state)
        path = tmp_path / meta["published_folder"] / "checkpoint-10.pth"
        path.parent.mkdir(exist_ok=True)
        torch.save({"model": state} if meta["wrapped_in_model"] else state, path)
        return path, arrays, meta
    return make


def load(path, meta):
    return load_pretrained(path, heads=meta["encoder"]["heads"], sample_rate=meta["sample_rate"])


def imported(path, meta, out):
    import_published.main(parse(import_published.Options, "", [
        f"checkpoint={path}", f"out={out}", f"heads={meta['encoder']['heads']}", f"sample_rate={meta['sample_rate']}"]))
    return load_pretrained(out)


def close(ours, theirs, tolerance):
    torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance * max(1.0, theirs.abs().max().item()))


@pytest.mark.parametrize("way", ["loaded", "imported"])
@pytest.mark.parametrize("name", VECTORS)
def test_golden_vectors(published, tmp_path, name, way):
    """Features and heads, from the golden log-mel and from the waveform, before and after a model directory."""
    path, arrays, meta = published(name)
    model = load(path, meta) if way == "loaded" else imported(path, meta, tmp_path / "model")
    assert read_published(path, 2, meta["sample_rate"]).layout == VECTORS[name]
    assert (model.mean, model.std) == pytest.approx(tuple(meta["norm_stats"]), rel=1e-6)
    assert model.sample_rate == meta["sample_rate"]
    assert model.encoder.config.input_size == tuple(meta["input_size"])
    waves = arrays["waves"]
    close(torch.stack([model.logmel(wave) for wave in waves]), arrays["out.logmel"], WAVE_TOLERANCE)
    for output, tolerance in ((model.encode(list((arrays["out.logmel"] - model.mean) / model.std)), 1e-5),
                              (model(waves), WAVE_TOLERANCE)):
        close(output.frames.detach(), arrays["out.frames"], tolerance)
        if name == "h_32k_encoder":
            close(output.clip.detach(), arrays["out.scene"], tolerance)
        if name == "h_asft_flat":
            close(model.classify(output.clip).detach(), arrays["out.logits"], tolerance)
            close(model.classify(output.frames).detach(), arrays["out.frame_logits"], tolerance)
    if name == "h_asft_flat":
        tags = model.tag(waves)
        close(tags.probabilities, arrays["out.logits"].sigmoid(), WAVE_TOLERANCE)
        assert tags.names == [str(index) for index in range(7)]
        close(model.tag(waves, frame_wise=True).probabilities, arrays["out.frame_logits"].sigmoid(), WAVE_TOLERANCE)
    if name == "h_clap_mlp":
        close(model.clap_audio(waves), arrays["out.clap_audio"], WAVE_TOLERANCE)
        assert torch.equal(model.clap.text.weight, arrays["weights.text_proj.weight"])


def test_a_clip_is_tagged_alike_alone_and_in_a_batch(published):
    path, arrays, meta = published("h_asft_flat")
    model, wave = load(path, meta), arrays["waves"][0]
    together = model.tag([wave[:20000], wave])
    close(together.probabilities[0], model.tag([wave[:20000]]).probabilities[0], 2e-6)
    frames = model.tag([wave[:20000], wave], frame_wise=True)
    assert not frames.probabilities[0, frames.lengths[0]:].any() and frames.probabilities.shape == (2, 26, 7)


def test_a_wide_classifier_reads_concatenated_bins(published):
    """N_F * D wide: the mean over time of frames; its frame-wise logits see one frame each."""
    generator = torch.Generator().manual_seed(0)

    def widen(state):
        state["module.head.norm.running_mean"] = torch.randn(640, generator=generator)
        state["module.head.norm.running_var"] = 0.5 + torch.rand(640, generator=generator)
        state["module.head.mlp.mlp.0.weight"] = 0.05 * torch.randn(7, 640, generator=generator)
        return state
    path, arrays, meta = published("h_asft_flat", widen)
    model, frames = load(path, meta), arrays["out.frames"]
    norm = nn.BatchNorm1d(640, affine=False).eval()
    state = torch.load(path, weights_only=True)
    norm.load_state_dict({name: state[f"module.head.norm.{name}"]
                          for name in ("running_mean", "running_var", "num_batches_tracked")})
    weight, bias = (state[f"module.head.mlp.mlp.0.{name}"] for name in ("weight", "bias"))
    close(model.classify(frames.mean(dim=1)).detach(), norm(frames.mean(dim=1)) @ weight.T + bias, 1e-5)
    close(model.classify(frames)[:, 3].detach(), norm(frames[:, 3]) @ weight.T + bias, 1e-5)


def token_projection(width, depth):
    torch.manual_seed(depth)
    state = {"sem_token": torch.randn(1, 1, width), "norm.weight": torch.rand(width), "norm.bias": torch.randn(width)}
    for index in range(depth):
        block = Block(width, 1, 1 if depth < 3 else 2, 1e-5)
        state |= {f"sem_blocks.{index}.{name}": value + 0.1 * torch.randn(value.shape)
                  for name, value in block.state_dict().items()}
    return {f"audio_proj.{name}": value for name, value in state.items()}


def reference_projection(state, tokens, depth):
    """The 2025 audio projection by torch's own layers: token first, pre-LN blocks of one head, LayerNorm."""
    width = tokens.shape[-1]
    hidden = torch.cat([state["audio_proj.sem_token"], tokens[None]], dim=1)
    for index in range(depth):
        own = {name.split(f"sem_blocks.{index}.")[1]: value for name, value in state.items()
               if f"sem_blocks.{index}." in name}
        attention = nn.MultiheadAttention(width, 1, batch_first=True)
        attention.load_state_dict({
            "in_proj_weight": own["attn.qkv.weight"], "in_proj_bias": own["attn.qkv.bias"],
            "out_proj.weight": own["attn.proj.weight"], "out_proj.bias": own["attn.proj.bias"]})
        normed = nn.functional.layer_norm(hidden, (width,), own["norm1.weight"], own["norm1.bias"], 1e-5)
        hidden = hidden + attention(normed, normed, normed, need_weights=False)[0]
        normed = nn.functional.layer_norm(hidden, (width,), own["norm2.weight"], own["norm2.bias"], 1e-5)
        inner = nn.functional.gelu(normed @ own["mlp.fc1.weight"].T + own["mlp.fc1.bias"])
        hidden = hidden + inner @ own["mlp.fc2.weight"].T + own["mlp.fc2.bias"]
    return nn.functional.layer_norm(hidden[0, 0], (width,), state["audio_proj.norm.weight"],
                                    state["audio_proj.norm.bias"], 1e-5)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_clap_2025(published, tmp_path, depth):
    """A learnt token through N blocks; two layers for texts; a short clip beside a long one; kept by a directory."""
    text = {"text_proj.0.weight": torch.randn(128, 96), "text_proj.0.bias": torch.zeros(128),
            "text_proj.2.weight": torch.randn(128, 128), "text_proj.2.bias": torch.zeros(128)}
    head = token_projection(128, depth)
    path, arrays, meta = published("h_clap_mlp", lambda state: {
        **{name: value for name, value in state.items() if "_proj." not in name or "attn" in name}, **head, **text})
    model = load(path, meta)
    assert isinstance(model.clap.audio, TokenProjection)
    waves = [arrays["waves"][0], arrays["waves"][1][:9000]]
    frames = model(waves)
    expected = torch.stack([
        reference_projection(head, frames.frames[i, :frames.lengths[i]].reshape(-1, 128), depth) for i in range(2)])
    close(model.clap_audio(waves), expected.detach(), 1e-5)
    save_pretrained(model, tmp_path / "model")
    again = load_pretrained(tmp_path / "model")
    assert torch.equal(again.clap_audio(waves), model.clap_audio(waves))
    sentence = torch.randn(2, 96)
    hidden = (sentence @ text["text_proj.0.weight"].T).relu()
    close(again.clap.text(sentence).detach(), hidden @ text["text_proj.2.weight"].T, 1e-5)


def test_names_under_backbone_are_the_model(published):
    """Saved from a run-time wrapper: what lies beside the encoder is not the model's."""
    path, arrays, meta = published("h_32k_encoder", lambda state: {
        **{f"backbone.{name}": value for name, value in state.items()}, "to_spec.window": torch.zeros(3)})
    close(load(path, meta).encode(list((arrays["out.logmel"] + 6.3) / 3.9)).frames.detach(), arrays["out.frames"], 1e-5)


def test_an_offline_predictor_of_labels_is_left_out(published, caplog):
    path, arrays, meta = published("h_clap_mlp", lambda state: {
        **state, "offline_predictor.0.weight": torch.zeros(527, 128), "offline_predictor.0.bias": torch.zeros(527)})
    caplog.set_level("INFO")
    assert load(path, meta)(arrays["waves"]).frames.shape == arrays["out.frames"].shape
    assert "offline_predictor is not M2D-S's" in caplog.text


def test_32_khz_is_asked_for_never_guessed(published, tmp_path, monkeypatch):
    """Any part of the path that says p32k, the working directory's and a link's target too."""
    path, _, meta = published("h_32k_encoder")
    link = tmp_path / "model.pth"
    link.symlink_to(path)
    monkeypatch.chdir(path.parent)
    for given in (path, path.parent, link, "checkpoint-10.pth"):
        with pytest.raises(UserError, match=r"p32k.*give sample_rate=32000 \(16000 if the name is wrong\)"):
            load_pretrained(given, heads=2)
        assert load_pretrained(given, heads=2, sample_rate=32000).logmel.config.n_fft == 800
    assert load_pretrained(path, heads=2, sample_rate=16000).sample_rate == 16000
    with pytest.raises(UserError, match="published models take 16000 or 32000 Hz"):
        load_pretrained(path, heads=2, sample_rate=44100)
    assert meta["sample_rate"] == 32000


def test_names_of_published_folders():
    base = EncoderConfig((80, 608), (16, 16), 1, 768, 12, 12)
    assert published_folder(base, 16000, "221006-mr7") == "m2d_vit_base-80x608p16x16-221006_mr7"
    assert published_folder(base, 32000, "x") == "m2d_vit_base-80x608p16x16p32k-x"


def test_the_folder_of_one_checkpoint_is_its_file(published):
    path, arrays, meta = published("h_asft_flat")
    assert torch.equal(load(path.parent, meta)(arrays["waves"]).frames, load(path, meta)(arrays["waves"]).frames)
    (path.parent / "checkpoint-20.pth").write_bytes(path.read_bytes())
    with pytest.raises(UserError, match="holds 2 checkpoints: give one"):
        load(path.parent, meta)


def test_class_names_come_from_a_file_and_stay(published, tmp_path):
    path, arrays, _ = published("h_asft_flat")
    table = tmp_path / "class_labels_indices.csv"
    table.write_text("index,mid,display_name\n" + "".join(f'{i},/m/{i},"Sound, no. {i}"\n' for i in range(7)))
    names = [f"Sound, no. {i}" for i in range(7)]
    assert read_labels(table) == names
    model = load_pretrained(path, heads=2, labels=read_labels(table))
    save_pretrained(model, tmp_path / "model")
    assert load_pretrained(tmp_path / "model").tag(arrays["waves"]).names == names
    (tmp_path / "names.txt").write_text("one\n\ntwo\n")
    with pytest.raises(UserError, match="2 class names are given, the classifier has 7"):
        load_pretrained(path, heads=2, labels=read_labels(tmp_path / "names.txt"))
    with pytest.raises(UserError, match="class names can't be read"):
        read_labels(tmp_path / "none.txt")


@pytest.mark.parametrize(("name", "change", "message"), [
    ("h_asft_flat", {"module.head.mlp.mlp.2.weight": torch.zeros(7, 7)}, "belongs to no published classifier"),
    ("h_asft_flat", {"module.head.mlp.mlp.0.weight": torch.zeros(7, 100)}, "takes 100 features.*128 or 640"),
    ("h_asft_flat", {"module.head.mlp.mlp.0.bias": torch.zeros(8)}, r"'linear.bias' is \[8\], expected \[7\]"),
    ("h_asft_flat", {"module.head.norm.running_var": None}, "'norm.variance' is missing"),
    ("h_clap_mlp", {"audio_proj.2.weight": None}, "'audio.2.weight' of the head is missing"),
    ("h_clap_mlp", {"text_proj.weight": torch.zeros(0)}, "expected a matrix"),
])
def test_broken_heads(published, name, change, message):
    path, _, meta = published(name, lambda state: {
        key: value for key, value in (state | change).items() if value is not None})
    with pytest.raises(UserError, match=message) as caught:
        load(path, meta)
    assert str(caught.value).startswith(f"{path}: ")


def test_heads_that_are_not_there(published):
    path, arrays, meta = published("h_32k_encoder")
    model = load(path, meta)
    with pytest.raises(UserError, match="no classifier: tags need fine-tuned weights"):
        model.tag(arrays["waves"])
    with pytest.raises(UserError, match="no audio projection"):
        model.clap_audio(arrays["waves"])
    with pytest.raises(UserError, match="labels apply to a model with a classifier"):
        load_pretrained(path, heads=2, sample_rate=32000, labels=["a"])
