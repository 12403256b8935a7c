"""ASV: refused without libsox; with it (a plain gate stands in here) each kept state is tested and the best counts."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from m2d.audio.wave import read_audio
from m2d.common.errors import UserError
from m2d.pretrained import s3prl_compat
from m2d.superb import compat
from m2d.superb.config import SuperbConfig
from m2d.superb.runner import plan
from m2d.superb.tasks import asv
from m2d.superb.worker import execute

CONF = Path(__file__).parents[2] / "egs" / "librispeech_m2ds" / "conf" / "superb"
TINY = {"runner": {"total_steps": 4, "gradient_accumulate_steps": 1, "log_step": 2, "eval_step": 4, "save_step": 2},
        "downstream_expert": {
            "datarc": {"vad_config": {"min_sec": 100}, "train_batch_size": 2, "num_workers": 0},
            "modelrc": {"input_dim": 16, "module_config": {"XVector": {"agg_dim": 16}}}}}


@pytest.fixture
def config(corpora, tmp_path, model) -> SuperbConfig:
    OmegaConf.save(OmegaConf.create({"asv": TINY}), tmp_path / "tiny.yaml")
    return SuperbConfig(model=model, exp=str(tmp_path / "m2d"), conf=str(CONF), overlays=[str(tmp_path / "tiny.yaml")],
                        tasks=["asv"], corpora=corpora, device="cpu")


def gate(path, effects):
    """Stands for libsox: 3 dB down, samples under 0.1% left out; three times, as X-vectors need 15 frames."""
    assert [effect[0] for effect in effects] == ["channels", "rate", "gain", "silence"]
    wav = read_audio(str(path), 16000) * np.float32(10 ** (-3 / 20))
    return torch.from_numpy(np.tile(wav[abs(wav) > 0.001], 3))[None], 16000


def test_without_libsox_it_is_refused_in_a_line(config, monkeypatch):
    monkeypatch.setattr(asv, "libsox_works", lambda: False)
    with pytest.raises(UserError, match=r"ASV trims silence with libsox .* install libsox-dev"):
        plan(config)


@pytest.mark.parametrize("lines, words", [
    ("1 id10001/c/00001.wav", ":1: expected '0|1 id10270"), ("1 id10001/c/1.wav id10002/c/1.wav\n", "of two .0. are"),
    ("", "of two .0. are")])
def test_a_bad_list_of_pairs_is_named(config, copy_of, monkeypatch, tmp_path, lines, words):
    monkeypatch.setattr(asv, "libsox_works", lambda: True)
    (tmp_path / "pairs.txt").write_text(lines)
    with pytest.raises(UserError, match=words):
        plan(dataclasses.replace(config, corpora=copy_of(voxceleb1_pairs=str(tmp_path / "pairs.txt"))))


def test_the_lowest_error_rate_of_the_kept_states_counts(config, monkeypatch, tmp_path):
    monkeypatch.setattr(asv, "libsox_works", lambda: True)
    (run,) = plan(config)
    s3prl_compat.before_s3prl()
    compat.before_downstream("sv_voxceleb1", run.config, tmp_path)
    from s3prl.downstream.sv_voxceleb1 import dataset

    monkeypatch.setattr(dataset, "apply_effects_file", gate)
    execute(run)
    result = json.loads((Path(run.folder) / "result.json").read_text())
    log = (Path(run.folder) / "test.log").read_text().splitlines()
    rates = [100 * float(line.split(": ")[1]) for line in log if "test-EER" in line]
    assert len(rates) == 2 and result["scores"]["asv"] == pytest.approx(min(rates)) and result["best_step"] in (2, 4)
    assert len(list((Path(config.exp) / "tables" / "asv").glob("*/.wav_lengths/Voxceleb1_length.pt"))) == 1
