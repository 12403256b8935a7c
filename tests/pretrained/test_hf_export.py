"""Folders for transformers: loaded without this package, features equal to ours; the card tells of the run."""

import ast
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml

from m2d import load_pretrained, save_pretrained
from m2d.audio.logmel import LogMelConfig
from m2d.bin import export
from m2d.common.cli import parse
from m2d.common.errors import UserError
from m2d.nn.encoder import Encoder
from m2d.nn.encoder_config import EncoderConfig
from m2d.pretrained.features import M2DFeatures
from m2d.pretrained.heads import Classifier

CONFIG = EncoderConfig((80, 98), (40, 4), 1, 32, 2, 4)
ALLOWED = {"torch", "torchaudio", "transformers", "numpy"} | set(sys.stdlib_module_names)

ELSEWHERE = """
import json, sys
sys.modules["m2d"] = None  # importing it is an error from here on, as where it is not installed
import torch
import transformers
from transformers import AutoFeatureExtractor, AutoModel, AutoModelForAudioClassification
transformers.utils.logging.disable_progress_bar()
folder, given, found = sys.argv[1:4]
waves = torch.load(given)
extractor = AutoFeatureExtractor.from_pretrained(folder, trust_remote_code=True)
batch = extractor([wave.numpy() for wave in waves], sampling_rate=extractor.sampling_rate, return_tensors="pt")
model = AutoModel.from_pretrained(folder, trust_remote_code=True)
out = model(**batch, output_hidden_states=True)
result = {"frames": out.last_hidden_state, "clip": out.pooler_output, "lengths": out.lengths,
          "layers": torch.stack(out.hidden_states)}
alone = extractor(waves[0].numpy(), return_tensors="pt")
result["alone"] = model(**alone).last_hidden_state
model.save_pretrained(folder + "/again")
result["again"] = AutoModel.from_pretrained(folder + "/again", trust_remote_code=True)(**batch).last_hidden_state
if "id2label" in json.load(open(folder + "/config.json")):
    tagger = AutoModelForAudioClassification.from_pretrained(folder, trust_remote_code=True)
    result["logits"] = tagger(**batch).logits
    result["names"] = [tagger.config.id2label[i] for i in range(tagger.config.num_labels)]
tuned = AutoModelForAudioClassification.from_pretrained(folder, trust_remote_code=True, num_labels=5,
                                                        problem_type="single_label_classification",
                                                        ignore_mismatched_sizes=True).train()
tuned(**batch, labels=torch.tensor([0, 3, 4])).loss.backward()
result["gradient"] = tuned.features.encoder.cls_token.grad
assert not any(name.split(".")[0] == "m2d" and module for name, module in sys.modules.items())
torch.save(result, found)
"""


@pytest.fixture(scope="module")
def waves():
    generator = torch.Generator().manual_seed(1)
    return [0.1 * torch.randn(n, generator=generator) for n in (5000, 47000, 300)]


@pytest.fixture(scope="module", params=["encoder", "frames", "patches_32k"])
def directory(request, tmp_path_factory):
    """Model directories: without a classifier; with one on frames; with one on patches, of a 32 kHz model."""
    torch.manual_seed(0)
    front_end, classifier = LogMelConfig(), None
    if request.param == "frames":
        classifier = Classifier(64, [f"class {i}" for i in range(12)])
    elif request.param == "patches_32k":
        front_end = LogMelConfig(32000, 800, 800, 320, f_max=16000.0)
        classifier = Classifier(32, [f"class {i}" for i in range(12)])
    path = tmp_path_factory.mktemp("model")
    save_pretrained(M2DFeatures(Encoder(CONFIG), front_end, -7.1, 4.2, classifier), path / "model")
    export.main(parse(export.Options, "", [f"source={path}/model", f"hf={path}/hf"]))
    return path


def test_loaded_where_this_package_is_not(directory, waves):
    torch.save(waves, directory / "waves.pt")
    done = subprocess.run([sys.executable, "-c", ELSEWHERE, directory / "hf", directory / "waves.pt",
                           directory / "found.pt"], cwd=directory, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found = torch.load(directory / "found.pt")
    model = load_pretrained(directory / "model")
    expected = model(waves)
    for name, value in (("frames", expected.frames), ("clip", expected.clip), ("layers", torch.stack(expected.layers)),
                        ("again", expected.frames)):
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-6)
    n = int(expected.lengths[0])
    torch.testing.assert_close(found["alone"], expected.frames[:1, :n], rtol=0, atol=2e-6)
    assert torch.equal(found["lengths"], expected.lengths)
    assert found["gradient"].abs().max() > 0
    if model.classifier is not None:
        torch.testing.assert_close(found["logits"].sigmoid(), model.tag(waves).probabilities, rtol=0, atol=1e-6)
        assert found["names"] == model.classifier.names


def test_loaded_by_this_package_as_well(directory, waves):
    ours, theirs = load_pretrained(directory / "model"), load_pretrained(directory / "hf")
    assert torch.equal(ours(waves).frames, theirs(waves).frames) and ours.logmel.config == theirs.logmel.config
    if ours.classifier is not None:
        assert ours.classifier.names == theirs.classifier.names
        assert torch.equal(ours.tag(waves).probabilities, theirs.tag(waves).probabilities)


def test_files_need_nothing_else(directory):
    sources = {path.stem: ast.parse(path.read_text()) for path in (directory / "hf").glob("*.py")}
    assert {"pretrained_hf_model", "pretrained_features", "nn_transformer", "audio_logmel"} <= sources.keys()
    for name, tree in sources.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                assert all(alias.name.split(".")[0] in ALLOWED for alias in node.names), name
            elif isinstance(node, ast.ImportFrom):
                known = sources if node.level else ALLOWED
                assert (node.module if node.level else node.module.split(".")[0]) in known, (name, node.module)


def test_wrong_input_is_named(directory, waves):
    from m2d.pretrained.hf_model import M2DFeatureExtractor

    extractor = M2DFeatureExtractor(sampling_rate=16000)
    with pytest.raises(ValueError, match="takes 16000 Hz, the audio has 8000"):
        extractor(waves[0], sampling_rate=8000)
    with pytest.raises(ValueError, match="a clip is"):
        extractor([np.zeros((400, 2))])


@pytest.fixture
def experiment(tmp_path):
    """What a finished run leaves, its evaluations beside it."""
    exp = tmp_path / "exp" / "m2d_mini"
    (exp / "images").mkdir(parents=True)
    (exp / "config.yaml").write_text("model: {objective: m2d, mask_ratio: 0.7}\noptim: {epochs: 3}\n"
                                     "data: {speech: /somewhere/private, noise_ratio: 0.2}\nrun: {seed: 5}\n")
    (exp / "data.json").write_text('{"speech": "120 utterances, content abc123"}')
    (exp / "environment.json").write_text('{"versions": {"torch": "2.8.0"}, "source": {"git": "f00"}}')
    (exp / "metrics.jsonl").write_text('{"step": 1, "valid_loss": 3.0}\n{"step": 2, "loss": 1.0}\n'
                                       '{"step": 2, "epoch": 2.0, "valid_loss": 1.25}\n')
    (exp / "images" / "losses.png").write_bytes(b"a figure")
    for name, content in {
            "linear/esc50": {"kind": "linear", "task": {"title": "ESC-50"}, "mean": 51.63, "ci": 1.44},
            "finetune/paper/us8k": {"kind": "finetune", "task": {"title": "US8K"}, "mean": 70.0, "ci": None}}.items():
        (exp / name).mkdir(parents=True)
        (exp / name / "result.json").write_text(json.dumps(content))
    (exp / "superb").mkdir()
    (exp / "superb" / "results.json").write_text(
        '{"corpus": "mini corpus", "tasks": {"ks": {"scores": {"ks": [60, 61]}}}}')
    save_pretrained(M2DFeatures(Encoder(CONFIG), LogMelConfig(), -7.1, 4.2), exp / "model")
    return exp


def test_the_card_tells_of_the_run(experiment, tmp_path):
    export.main(parse(export.Options, "", [
        f"source={experiment}/model", f"hf={tmp_path}/m2d-tiny", "license=cc-by-nc-4.0"]))
    _, head, text = (tmp_path / "m2d-tiny" / "README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(head) == {
        "license": "cc-by-nc-4.0", "library_name": "transformers", "pipeline_tag": "feature-extraction",
        "tags": ["audio", "m2d", "masked-modeling", "self-supervised"]}
    for line in ("# m2d-tiny", "It takes 16,000 Hz mono audio of any length and gives 64 features every 40 ms.",
                 "| speech | 120 utterances, content abc123 |", "  mask_ratio: 0.7", "seed: 5",
                 "Made with torch 2.8.0; commit f00.", "| pre-training, held-out data | loss | 1.2500 |",
                 "| SUPERB (mini corpus) | KS | 60.50 % |", "| linear evaluation | ESC-50 | 51.6 ± 1.4 % |",
                 "| fine-tuning | US8K | 70.0 % |", "![Losses of pre-training](losses.png)"):
        assert line in text.splitlines(), line
    assert "private" not in text
    assert (tmp_path / "m2d-tiny" / "losses.png").read_bytes() == b"a figure"


def test_the_card_of_weights_alone(directory):
    text = (directory / "hf" / "README.md").read_text()
    assert "## Licence\n\nThe author of the weights has not stated one." in text and "license:" not in text
    assert "## Settings" not in text and "\n## Results" not in text


def test_a_target_is_needed(experiment):
    with pytest.raises(UserError, match="give out=, published= or hf="):
        export.main(parse(export.Options, "", [f"source={experiment}/model"]))
    with pytest.raises(UserError, match="no run with checkpoints"):
        export.main(parse(export.Options, "", [f"source={experiment}/model", "published=x.pth"]))
