"""Working settings, mutated: they load and can be planned and built, or they are refused in one line."""

import random
import re
from pathlib import Path

import pytest

from m2d.common.config import known_keys, load_config, to_yaml
from m2d.common.errors import UserError
from m2d.evaluation.runs import FinetuneConfig, LinearConfig
from m2d.nn import build_objective
from m2d.superb.task import read_settings
from m2d.training.config import PretrainConfig
from m2d.training.optim import Schedule, build_optimizer
from m2d.training.plan import PlanOptions, cost, load_settings, setting_lines

EGS = Path(__file__).parents[2] / "egs"
TASK = ["model=a", "task=b", "out=c", "tuning=d"]
BASES = {  # file: options it needs besides, the table of its options
    "librispeech_m2ds/conf/pretrain_mini_m2ds.yaml": ([], PretrainConfig),
    "audioset_m2d/conf/pretrain_m2d_r0.6.yaml": ([], PretrainConfig),
    "audioset_m2d/conf/pretrain_mini_mae.yaml": ([], PretrainConfig),
    "imagenet_m2d/conf/pretrain_mini_m2d.yaml": ([], PretrainConfig),
    "audioset_m2d/conf/linear_mini.yaml": (["model=a", "tasks=[b]", "out=c"], LinearConfig),
    "audioset_m2d/conf/finetune_mini_esc50.yaml": (TASK, FinetuneConfig),
    "librispeech_m2ds/conf/superb/mini.yaml": (["pr", "ks", "ic", "sid", "er"], None),
}
VALUES = [
    "", "null", "~", "nan", ".nan", "inf", "-.inf", "-1", "0", "0.5", "1", "2", "3", "1e-300", "1e300", "1e999",
    "10000000", "9" * 23, "'1'", "text", "true", "[]", "[1]", "[1, 2, 3]", "[80, 208]", "[a, b]", "[[1]]", "[-1, 0]",
    "[.nan, 1]", "{}", "{a: 1}", "{1: 2}", "!!binary AAECAw==", "!!python/object/apply:os.system [false]",
    "!!python/name:os.system", "!!set {a, b}", "!!timestamp 2001-01-01", "!own tag", "&a [*a]", "*nowhere",
    "${run.seed}", "${oc.env:HOME}", "${nowhere}", "${", "0x1F", "1_000", "1:30", "é", "\t", "\x00", "???", "|",
    "- 1", "a: b: c", "'", "[", "}", "%", "@", "2" * 5000, "[" * 3000]
KEYS = ["", "nosuch", "model", "optim", "data.speech", "1", "true", "null", "é", "a.b.c", "model.width.x", "<<", "[a]",
        "seeds"]


def mutated_text(rng, text):
    """One change to the text of a YAML file, of one of ten kinds."""
    lines = text.splitlines()
    at = rng.randrange(len(lines))
    keyed = [i for i, line in enumerate(lines) if re.match(r" *[\w-]+:", line)]
    line = rng.choice(keyed)
    kind = rng.randrange(10)
    if kind <= 3:  # another value
        lines[line] = f"{lines[line].partition(':')[0]}: {rng.choice(VALUES)}"
    elif kind == 4:  # another key
        lines[line] = re.sub(r"[\w-]+:", f"{rng.choice(KEYS)}:".replace("\\", ""), lines[line], count=1)
    elif kind == 5:
        lines.insert(rng.choice(keyed), lines[line])  # twice
    elif kind == 6:
        lines[line] = " " * rng.randrange(8) + lines[line].lstrip()
    elif kind == 7:
        del lines[at:at + rng.randrange(1, 5)]
    elif kind == 8:  # settings of another recipe
        lines += (EGS / rng.choice(list(BASES))).read_text(encoding="utf-8").splitlines()
    else:  # bytes
        data = bytearray("\n".join(lines).encode())
        for _ in range(rng.randrange(1, 20)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        return bytes(data)
    return "\n".join(lines).encode("utf-8", "surrogatepass") + b"\n"


def look_at(path, table, needed, changes=()):
    """What commands do with settings before they read data; a small model is built."""
    if table is None:
        for task in needed:
            read_settings(EGS / "librispeech_m2ds/conf/superb", [str(path)], task)
        return
    if table is PretrainConfig:
        config = load_settings(str(path), list(changes))
        rows = dict(cost(config, PlanOptions(config=str(path))))
        setting_lines(config)
        if float(rows["parameters, trainable / all"].split()[-2]) < 2:
            build_optimizer(build_objective(config.model), config.optim)
            assert Schedule(config.optim, 10).lr(5) >= 0
    else:
        config = load_config(table, path, [*needed, *changes])
    again = path.with_suffix(".again")
    again.write_text(to_yaml(config), encoding="utf-8")
    assert load_config(table, again) == config, again.read_text(encoding="utf-8")


def is_refused(path, table, needed, changes=()):
    """Whether settings are refused, which takes one line; they are taken otherwise."""
    try:
        look_at(path, table, needed, changes)
    except UserError as error:
        text = str(error)
        assert text and "\n" not in text and len(text) < 6000, text
        return True
    return False


def file_trial(rng, path):
    name = rng.choice(list(BASES))
    needed, table = BASES[name]
    path.write_bytes(mutated_text(rng, (EGS / name).read_text(encoding="utf-8")))
    return is_refused(path, table, needed)


def override_trial(rng, path):
    name = rng.choice([name for name, (_, table) in BASES.items() if table])
    needed, table = BASES[name]
    path.write_bytes((EGS / name).read_bytes())
    key = rng.choice([*known_keys(table), *KEYS]) + rng.choice(["", "", "", "", "+"])
    return is_refused(path, table, needed, [f"{key}={rng.choice(VALUES)}"])


@pytest.mark.parametrize("trial", [file_trial, override_trial])
def test_mutated_settings(tmp_path, trial):
    rng = random.Random(1)
    refused = sum(trial(rng, tmp_path / f"{number}.yaml") for number in range(150))
    assert 60 < refused < 145
