"""Entries found by name, each in a module of its own."""

import sys

import pytest

from m2d.common.errors import UserError
from m2d.common.registry import Registry


@pytest.fixture
def fruits(tmp_path, monkeypatch):
    """A registry whose package has the modules apple and berries."""
    package = tmp_path / "fruits"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from m2d.common.registry import Registry\nFRUITS = Registry('fruit', __name__)\n")
    for module, names in (("apple", ["apple"]), ("berries", ["currant", "cherry"])):
        lines = [f"FRUITS.register({name!r})({name!r})" for name in names]
        (package / f"{module}.py").write_text("\n".join(["from fruits import FRUITS", *lines, ""]))
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("fruits", "fruits.apple", "fruits.berries"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import fruits
    yield fruits.FRUITS
    for name in ("fruits", "fruits.apple", "fruits.berries"):
        sys.modules.pop(name, None)


def test_a_name_is_found_by_the_module_called_so_or_in_any(fruits):
    assert fruits.get("apple") == "apple"
    assert "fruits.berries" not in sys.modules  # what it needs may not be installed
    assert fruits.get("currant") == "currant"
    assert list(fruits) == ["apple", "cherry", "currant"]


def test_an_unknown_name_is_told_the_nearest(fruits):
    with pytest.raises(UserError, match=r"unknown fruit 'chery', did you mean 'cherry'\? \(one of apple, cherry, cur"):
        fruits.get("chery")


def test_a_name_is_given_once():
    registry = Registry("fruit", "fruits")
    registry.register("fig")(1)
    with pytest.raises(ValueError, match="fruit 'fig' is registered twice"):
        registry.register("fig")(2)
