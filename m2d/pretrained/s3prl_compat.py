"""What s3prl 0.4.18 calls and today's libraries lack, supplied at run time; its own files stay as they are.

Each is supplied only where it is missing, so that a stack which still has it is left alone.
`before_s3prl` must run before any part of s3prl is imported.
"""

import argparse
import importlib.util
import sys
import types
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from m2d.audio.wave import read_audio
from m2d.common.errors import UserError

KS_EFFECTS = [["channels", "1"], ["rate", "16000"], ["gain", "-3.0"]]


def before_s3prl() -> None:
    """Fill the gaps that stop s3prl's modules from being imported or its checkpoints from being read."""
    _huggingface_hub()
    _torchaudio()
    _sox_effects()
    _catalyst()
    # s3prl's checkpoints hold its argparse options; torch >= 2.6 refuses unknown classes unless they are declared
    torch.serialization.add_safe_globals([argparse.Namespace])


def _huggingface_hub() -> None:
    """Two classes that huggingface_hub 1.0 dropped are imported by name; only s3prl's upload to the hub calls them."""
    import huggingface_hub

    for name in ("HfFolder", "Repository"):
        if not hasattr(huggingface_hub, name):
            setattr(huggingface_hub, name, None)


def _torchaudio() -> None:
    """Torchaudio 2.9 dropped backends and `info`; its `load` wants torchcodec with FFmpeg. Soundfile reads instead."""
    import torchaudio

    if not hasattr(torchaudio, "set_audio_backend"):
        torchaudio.set_audio_backend = lambda backend: None
    if not hasattr(torchaudio, "info"):
        torchaudio.info = _info
        if importlib.util.find_spec("torchcodec") is None:
            torchaudio.load = _load


def _sox_effects() -> None:
    """KS reads its audio through libsox, which torchaudio >= 2.9 lacks and most machines have not installed."""
    import torchaudio

    module = sys.modules.get("torchaudio.sox_effects") or types.ModuleType("torchaudio.sox_effects")
    if getattr(module, "apply_effects_file", None) is _apply_effects_file or libsox_works():
        return
    module.apply_effects_file = _apply_effects_file
    if not hasattr(module, "apply_effects_tensor"):  # imported by the hub, called by its MOS predictor alone
        module.apply_effects_tensor = _no_libsox
    sys.modules["torchaudio.sox_effects"] = torchaudio.sox_effects = module


def libsox_works() -> bool:
    """Whether torchaudio has libsox's effects and finds the library."""
    try:
        from torchaudio import sox_effects

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torchaudio 2.8 announces that it will drop them
            sox_effects.effect_names()
    except (ImportError, OSError, RuntimeError):
        return False
    return True


def _catalyst() -> None:
    """KS imports one class of catalyst, which it needs under DDP only."""
    if "catalyst" not in sys.modules and importlib.util.find_spec("catalyst") is None:
        for name in ("catalyst", "catalyst.data", "catalyst.data.sampler"):
            sys.modules[name] = types.ModuleType(name)
        sys.modules["catalyst.data.sampler"].DistributedSamplerWrapper = _no_catalyst


def _no_catalyst(*_: Any, **__: Any) -> None:
    raise UserError("keyword spotting on several GPUs needs the package catalyst: pip install catalyst")


def _no_libsox(*_: Any, **__: Any) -> None:
    raise UserError("this needs libsox: install libsox-dev, and torchaudio before 2.9")


def _load(path: str | Path, frame_offset: int = 0, num_frames: int = -1, **_: Any) -> tuple[torch.Tensor, int]:
    """`torchaudio.load` by soundfile: samples [channels, N] float32 in -1 to 1, and the sampling rate."""
    import soundfile

    wav, rate = soundfile.read(str(path), num_frames, frame_offset, dtype="float32", always_2d=True)
    return torch.from_numpy(np.ascontiguousarray(wav.T)), rate


def _info(path: str | Path, **_: Any) -> types.SimpleNamespace:
    """`torchaudio.info` by soundfile, with the fields s3prl reads."""
    import soundfile

    found = soundfile.info(str(path))
    return types.SimpleNamespace(sample_rate=found.samplerate, num_frames=found.frames, num_channels=found.channels)


def _apply_effects_file(path: str, effects: list[list[str]], **_: Any) -> tuple[torch.Tensor, int]:
    """Sox's chain of the KS task: mono, 16 kHz, 3 dB down. Samples [1, N] and the rate. On 16 kHz mono files it differs
    from libsox by 6e-8. Raises `UserError` for any other chain.
    """
    if effects != KS_EFFECTS:
        _no_libsox()
    wav = read_audio(path, 16000) * np.float32(10 ** (-3 / 20))
    return torch.from_numpy(wav)[None], 16000
