"""What an installed package owes its user: quick imports, types, and only the packages that it declares."""

import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest
import torch

from m2d import M2DFeatures, save_pretrained
from m2d.audio.logmel import LogMelConfig
from m2d.nn.encoder import Encoder
from m2d.nn.encoder_config import EncoderConfig

ROOT = Path(__file__).parents[2]
USER = '''
import numpy as np
import torch

from m2d import FeatureOutput, ImageFeatures, M2DFeatures, Tags, load_pretrained, save_pretrained

model = load_pretrained("exp/m2d/model", labels=["a", "b"])
assert isinstance(model, M2DFeatures)
out: FeatureOutput = model(torch.zeros(2, 16000), sampling_rate=16000)
frames: torch.Tensor = out.frames
features = model([np.zeros(16000)], lengths=[16000])
lengths: torch.Tensor = features.lengths
tags: Tags = model.tag([torch.zeros(16000)], frame_wise=True)
embedding: torch.Tensor = model.clap_audio([torch.zeros(16000)])
save_pretrained(model, "copy", {"by": "me"})
images = load_pretrained("mae_pretrain_vit_base.pth")
assert isinstance(images, ImageFeatures)
patches: torch.Tensor = images(torch.zeros(1, 3, 224, 224)).patches
wrong: int = load_pretrained("exp/m2d/model")
'''


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)


def test_importing_the_package_imports_nothing_heavy():
    done = run("import sys, m2d; sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'omegaconf')))")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name, heads", [("model", None), ("published.pth", 2)])
def test_a_model_loads_without_what_it_does_not_need(tmp_path, golden, name, heads):
    """Without packages of training and extras, with a torchaudio of another torch, and without torch's compiler, whose
    import (sympy) takes seconds."""
    if name == "model":
        save_pretrained(M2DFeatures(Encoder(EncoderConfig((80, 64), (80, 4), 1, 32, 2, 2)), LogMelConfig(), 0, 1),
                        tmp_path / name)
    else:
        arrays, _ = golden("h_asft_flat")
        torch.save({key[8:]: value for key, value in arrays.items() if key.startswith("weights.")}, tmp_path / name)
    others = ["torchaudio", "tensorboard", "matplotlib", "transformers", "scipy", "sklearn", "s3prl", "av", "h5py",
              "pyarrow", "onnx", "timm", "torchvision", "datasets", "lhotse", "huggingface_hub"]
    done = run(f"import sys; sys.modules.update(dict.fromkeys({others})); import m2d, numpy\n"
               "from m2d.common.errors import UserError\n"
               f"model = m2d.load_pretrained({str(tmp_path / name)!r}, heads={heads})\n"
               "assert model([numpy.zeros(16000)]).clip.isfinite().all() and 'sympy' not in sys.modules\n"
               "try: model([numpy.zeros(8000)], sampling_rate=8000)\n"
               "except UserError as error: assert 'needs a torchaudio of the version of torch' in str(error)\n"
               "else: raise AssertionError")
    assert done.returncode == 0, done.stderr


def test_user_code_is_checked_by_mypy(tmp_path):
    """Right code passes in strict mode; the last line, which is wrong, does not."""
    (tmp_path / "user.py").write_text(USER)
    done = subprocess.run([sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--cache-dir",
                           str(tmp_path / "cache"), "user.py"], cwd=tmp_path, capture_output=True, text=True,
                          env={"MYPYPATH": str(ROOT), "PATH": ""}, check=False)
    assert done.stdout.count("error:") == 1 and "user.py:19" in done.stdout, done.stdout + done.stderr


def test_the_wheel_is_typed_and_declares_its_command():
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert (ROOT / "m2d" / "py.typed").is_file() and "py.typed" in setup["options.package_data"]["m2d"]
    assert "m2d = m2d.__main__:main" in setup["options.entry_points"]["console_scripts"]
    core = setup["options"]["install_requires"].lower()
    assert "tensorboard" not in core and "matplotlib" not in core
