"""Linear probe of image models and the report that sets them beside table 6."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from m2d import save_pretrained
from m2d.common.errors import UserError
from m2d.data.images.folder import find_images
from m2d.data.images.index import index_images
from m2d.evaluation.images import ProbeOptions, image_model, probe
from m2d.evaluation.images_report import ReportOptions, write_report
from m2d.evaluation.linear import LinearOptions
from m2d.nn.config import EncoderConfig
from m2d.nn.encoder import Encoder
from m2d.pretrained.images import ImageFeatures


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Indexed lists of two classes, stripes that lie and that stand, and a model with random weights."""
    top, random = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    stripes = np.tile([[0], [255]], (8, 16))
    for part in ("train", "val"):
        for label, pattern in enumerate((stripes, stripes.T)):
            path = top / "imagenet" / part / f"n0000000{label}"
            path.mkdir(parents=True)
            for number in range(8):
                noisy = (pattern[..., None] + random.normal(0, 30, (16, 16, 3))).clip(0, 255)
                Image.fromarray(noisy.astype(np.uint8)).save(path / f"{number}.PNG")
    for part, images in find_images(top / "imagenet").items():
        index_images(images, top / part, workers=0)
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig((16, 16), (4, 4), 3, 32, 1, 2))
    save_pretrained(ImageFeatures(encoder, [0.5] * 3, [0.5] * 3), top / "model")
    return top


def probed(folder, out, **options):
    probe(ProbeOptions(**{
        "model": f"{folder}/model", "train": f"{folder}/train", "valid": f"{folder}/val", "out": str(out), "workers": 0,
        "device": "cpu", "label_counts": [3, 0], **options,
        "linear": LinearOptions(lr=1e-2, batch_size=4, epochs=30, seeds=[0, 1])}))
    return json.loads((out / "linear" / "result.json").read_text())


def test_probe_tells_what_it_can_and_not_what_it_can_not(folder, tmp_path):
    result = probed(folder, tmp_path / "a", label="mine", seed=3)
    assert (result["label"], result["seed"]) == ("mine", 3) and set(result["scores"]) == {"3", "0"}
    assert result["scores"]["0"] == [100.0, 100.0] and len(result["scores"]["3"]) == 2
    shuffled = folder / "shuffled"
    shuffled.mkdir()
    for name in ("images.json", "stats.json"):
        (shuffled / name).write_bytes((folder / "train" / name).read_bytes())
    rows = [line.split("\t")[0] for line in (folder / "train" / "index.tsv").read_text().splitlines()]
    (shuffled / "index.tsv").write_text("".join(f"{row}\tn0000000{i % 2}\n" for i, row in enumerate(rows)))
    chance = probed(folder, tmp_path / "b", train=str(shuffled))["scores"]["0"]
    assert np.mean(chance) < 95


def test_random_weights_are_those_of_the_seed(folder):
    first, again, other = (image_model(f"random:{folder}/model:{seed}").encoder.cls_token for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    with pytest.raises(UserError, match="does not take images"):
        image_model("logmel")


def written(exp, name, kind, label, seed, scores):
    path = exp / name / kind / "result.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"label": label, "seed": seed, "scores": scores, "environment": {
        "command": f"run {name} {kind}", "versions": {"torch": "2"}, "source": {"git": "abc"}}}))


def test_report(tmp_path):
    exp = tmp_path / "exp"
    with pytest.raises(UserError, match="evaluate a model first"):
        write_report(ReportOptions(exp=str(exp), out=str(exp / "RESULTS.md")))
    for seed, (own, floor) in enumerate([(90.0, 80.0), (92.0, 81.0)]):
        written(exp, f"m2d{seed}", "linear", "m2d", seed, {"10": [own - 1, own + 1], "30": [own]})
        written(exp, f"random{seed}", "linear", "random weights", seed, {"10": [floor], "30": [own - 1]})
        written(exp, f"m2d{seed}", "finetune", "m2d", seed, {"0": [own]})
    write_report(ReportOptions(exp=str(exp), out=str(exp / "RESULTS.md"), baseline="random weights", mini=True))
    text = (exp / "RESULTS.md").read_text()
    assert "| m2d | 0, 1 | 91.0 ± 1.4 | 91.0 ± 1.4 |" in text and "digits stood in" in text
    claim = "- m2d beats random weights with {} labels a class by more than the spread over seeds: **{}** ({}, "
    assert claim.format(10, "yes", "+10.5") in text and claim.format(30, "no", "+1.0") in text
    assert "| *M2D, ViT-Base, ImageNet-1K* | - | 83.35 ± 0.211 |" in text
    assert "run m2d0 linear  # torch 2; git abc" in text
