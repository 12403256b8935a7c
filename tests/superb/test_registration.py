import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from m2d.common.errors import UserError
from m2d.superb.config import resolve_model


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_users_code_finds_our_upstreams_on_the_hub_after_register(model):
    out = python(f"""
        import m2d.superb
        m2d.superb.register()
        import torch
        from s3prl.nn import S3PRLUpstream
        wavs = torch.randn(2, 16000)
        model = S3PRLUpstream("m2d_local", {model!r}).eval()
        with torch.no_grad():
            layers, lengths = model(wavs, torch.tensor([16000, 8000]))
        print(len(layers), layers[0].shape[-1], lengths[0].tolist(), model.downsample_rates)
        other = S3PRLUpstream("m2d_logmel", extra_conf={{"model_config": {{"mean": -8.0, "std": 4.0}}}})
        names = S3PRLUpstream.available_names()
        print(other.hidden_sizes, "m2d_random_local" in names, "fbank" in names)
        try:
            S3PRLUpstream("m2d_local")
        except Exception as error:
            print(type(error).__name__, error)
    """)
    assert out.splitlines() == [
        "2 32 [25, 13] [640, 640]", "[160] True True",
        "UserError upstream m2d_local needs a model: -k MODEL on the command line, path_or_url= in S3PRLUpstream"]


def test_importing_changes_and_loads_nothing():
    assert python("""
        import sys
        finders = list(sys.meta_path)
        import m2d.superb
        print(sorted({"torch", "s3prl", "torchaudio", "huggingface_hub"} & set(sys.modules)), finders == sys.meta_path)
    """) == "[] True\n"


@pytest.mark.parametrize(("text", "upstream", "ckpt"), [
    ("logmel", "m2d_logmel", "2"), ("logmel:4", "m2d_logmel", "4"), ("s3prl:fbank", "fbank", None),
    ("s3prl:hubert", "hubert", None),
    ("hf:facebook/hubert-base-ls960", "m2d_hubert_local", "facebook/hubert-base-ls960"),
    ("s3prl:hf_hubert_custom:facebook/hubert-base-ls960", "hf_hubert_custom", "facebook/hubert-base-ls960"),
])
def test_models_are_resolved(text, upstream, ckpt):
    model = resolve_model(text)
    assert (model.upstream, model.ckpt) == (upstream, ckpt)
    assert model.ours == upstream.startswith("m2d_")


def test_model_directories_become_absolute(model, tmp_path, monkeypatch):
    monkeypatch.chdir(model)
    monkeypatch.chdir("..")
    assert resolve_model("model").ckpt == resolve_model("random:./model").ckpt == model


def test_a_seed_in_the_name_of_random_weights_is_theirs(model):
    assert resolve_model(f"random:{model}").settings(3, 1.0) == {"cache_gib": 1.0, "seed": 3}
    assert resolve_model(f"random:{model}:5").settings(3, 1.0) == {"cache_gib": 1.0, "seed": 5}


def test_a_name_of_the_hub_is_fetched_before_any_run(model, monkeypatch):
    monkeypatch.setattr("m2d.pretrained.files.download", lambda name: Path(model) if name == "owner/name" else None)
    assert resolve_model("owner/name").ckpt == model


@pytest.mark.parametrize(("text", "words"), [
    ("exp/none/model", "neither a model directory"), (".", "no model directory"), ("logmel:x", "write logmel"),
    ("random:", "model 'random:': not a model directory"), ("what is this", "not a model directory"),
    ("fbank", "s3prl:NAME"),
])
def test_what_is_no_model_is_said(text, words):
    with pytest.raises(UserError, match=words):
        resolve_model(text)
