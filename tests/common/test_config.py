"""The option table: defaults, YAML, command line, and what a wrong word says."""

import re
from dataclasses import dataclass, field

import pytest
from omegaconf import MISSING

from m2d.common import cli
from m2d.common.config import describe, load_config, option, to_yaml
from m2d.common.errors import UserError


@dataclass
class Inner:
    lr: float = option(3e-4, "base learning rate")
    betas: list[float] = field(default_factory=lambda: [0.9, 0.95])


@dataclass
class Table:
    name: str = option(help="a required name")
    steps: int = 10
    optim: Inner = field(default_factory=Inner)


def test_yaml_overrides_table_and_command_line_overrides_yaml(tmp_path):
    (tmp_path / "a.yaml").write_text("name: x\nsteps: 20\noptim: {lr: 1e-3}\n")
    config = load_config(Table, tmp_path / "a.yaml", ["steps=30"])
    assert (config.name, config.steps, config.optim.lr, config.optim.betas) == ("x", 30, 1e-3, [0.9, 0.95])
    assert isinstance(config.optim, Inner)


@pytest.mark.parametrize("text", ["(e) M2D-S: both losses", "[x", "007", "a=b", ""])
def test_text_is_taken_as_it_stands(text):
    assert load_config(Table, None, [f"name={text}"]).name == text


def test_resolved_yaml_reads_back_to_the_same(tmp_path):
    config = load_config(Table, None, ["name=x", "optim.lr=0.5"])
    (tmp_path / "b.yaml").write_text(to_yaml(config))
    assert load_config(Table, tmp_path / "b.yaml") == config


@pytest.mark.parametrize("override, words", [
    ("step=3", ["unknown option 'step'", "did you mean 'steps'"]),
    ("optim.rl=3", ["unknown option 'optim.rl'", "did you mean 'optim.lr'"]),
    ("steps=many", ["steps=many", "many"]),
    ("steps", ["key=value"]),
    ("optim.betas=[0.9", ["optim.betas=[0.9", "not a valid value"]),
])
def test_wrong_words_are_named(override, words):
    with pytest.raises(UserError) as error:
        load_config(Table, None, ["name=x", override])
    assert all(word in str(error.value) for word in words)


def test_unknown_yaml_key_names_the_file(tmp_path):
    (tmp_path / "a.yaml").write_text("name: x\noptim: {learning_rate: 1}\n")
    with pytest.raises(UserError, match=r"a\.yaml: unknown option 'optim\.learning_rate'"):
        load_config(Table, tmp_path / "a.yaml")


def test_missing_required_option_and_file(tmp_path):
    with pytest.raises(UserError, match="name=VALUE"):
        load_config(Table)
    with pytest.raises(UserError, match="no such configuration file"):
        load_config(Table, tmp_path / "none.yaml")


def test_help_lists_every_key(capsys):
    with pytest.raises(SystemExit):
        cli.parse(Table, "what it does", ["--help"])
    text = capsys.readouterr().out
    assert "name=required" in text and "optim.lr=0.0003" in text and "base learning rate" in text
    assert describe(Table) in text


def test_user_error_is_one_line_and_status_1(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["x", "name=y"])

    def fail(options):
        raise UserError("data/x: no such directory: run stage 0")

    with pytest.raises(SystemExit) as stop:
        cli.run(Table, fail, "what it does")
    assert stop.value.code == 1
    assert capsys.readouterr().err == "error: data/x: no such directory: run stage 0\n"


@dataclass
class Places:
    """Options with places on the command line."""

    model: str = option(help="needed")
    files: list[str] = option(factory=list)
    top: int = option(5)


def test_words_without_a_key_have_their_places(tmp_path, monkeypatch):
    """Words with a `=` too, where they name a file that is there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x=y.wav").touch()
    names = ["a b.wav", "x=y.wav", "${z}.wav", "[1,2].wav"]
    options = cli.parse(Places, "", ["top=3", "m", *names], positional=("model", "files"))
    assert (options.model, options.files, options.top) == ("m", names, 3)
    assert cli.parse(Places, "", ["model=m", "files=[a,b]"], positional=("model", "files")).files == ["a", "b"]
    with pytest.raises(UserError, match="'model' has no default"):
        cli.parse(Places, "", [], positional=("model", "files"))
    with pytest.raises(UserError, match="unexpected argument 'n'"):
        cli.parse(Places, "", ["m", "n"], positional=("model",))
    with pytest.raises(UserError, match="unknown option 'tops', did you mean 'top'"):
        cli.parse(Places, "", ["m", "tops=3"], positional=("model", "files"))
    with pytest.raises(UserError, match="--fast"):
        cli.parse(Places, "", ["m", "--fast"], positional=("model", "files"))


@dataclass
class Lists:
    names: list[str] = option(factory=lambda: ["a", "b"], help="names")
    seeds: list[int] = option(factory=list, help="numbers")
    path: str = option("", "a path")


@dataclass
class Required:
    names: list[str] = option(MISSING, "names, which must be given")


def test_items_of_a_list_are_taken_as_they_stand():
    """Names with commas, brackets, quotes or what looks like an interpolation."""
    strange = ["a,b", "[x]", "it's", '"q"', "${HOME}", "{y: 1}", "*", "- z", "line\nbreak", "#no"]
    found = load_config(Lists, None, ["names=[]", *(f"names+={name}" for name in strange), "seeds+=3", "seeds+=4",
                                      "path=/a/${b}/$(c)"])
    assert found == Lists(strange, [3, 4], "/a/${b}/$(c)")
    assert load_config(Lists, None, ["names+=c"]).names == ["a", "b", "c"]
    assert load_config(Required, None, ["names+=c", "names+=d"]).names == ["c", "d"]
    with pytest.raises(UserError, match="path is not a list"):
        load_config(Lists, None, ["path+=x"])
    with pytest.raises(UserError, match=re.escape("option 'seeds+=x'")):
        load_config(Lists, None, ["seeds+=x"])
