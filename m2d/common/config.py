"""Options: a dataclass holds the defaults, a YAML file overrides them, `key=value` on the command line overrides both.

`key+=item` appends an item to a list without parsing it, for names with commas or brackets. An unknown key is an error
that names the nearest known one.
"""

import dataclasses
import math
import re
import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import MISSING, DictConfig, ListConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException
from yaml import YAMLError

from m2d.common.errors import UserError
from m2d.common.files import existing_file
from m2d.common.options import contains, nearest, option

__all__ = ["describe", "known_keys", "load_config", "nearest", "option", "read_yaml", "refused", "to_yaml"]

T = TypeVar("T")


def known_keys(table: type, prefix: str = "") -> dict[str, dataclasses.Field]:
    """All dotted keys of an option table, nested tables included, in the order of their definition."""
    kinds = typing.get_type_hints(table)
    keys: dict[str, dataclasses.Field] = {}
    for field in dataclasses.fields(table):
        kind = kinds[field.name]
        if dataclasses.is_dataclass(kind):
            keys.update(known_keys(kind, f"{prefix}{field.name}."))
        else:
            keys[prefix + field.name] = field
    return keys


def load_config(table: type[T], yaml: str | Path | None = None, overrides: list[str] | tuple[str, ...] = ()) -> T:
    """The table's defaults, then the YAML file, then `key=value` overrides, as an instance of the dataclass.

    Raises `UserError` for a missing or unreadable file, an unknown key (naming the nearest), a value of the wrong type
    and one that the option's `within` or `choices` exclude.
    """
    merged = OmegaConf.structured(table)
    if yaml is not None:
        merged = _merge(table, merged, read_yaml(yaml), str(yaml))
    for text in overrides:
        key, sign, value = text.partition("=")
        if not sign:
            raise UserError(f"option '{text}': write it as key=value (see --help)")
        name = key.removesuffix("+")
        field = known_keys(table).get(name)
        if field is None:
            raise _unknown(table, name, "command line")
        extra = _override(field, key, value) if name == key else _longer(field, merged, name, value)
        merged = _merge(table, merged, extra, f"option '{text}'")
    with refused(str(yaml or "options")):
        missing = sorted(OmegaConf.missing_keys(merged))
        OmegaConf.to_container(merged, resolve=True)
    if missing:
        raise UserError(f"option '{missing[0]}' has no default: give it as {missing[0]}=VALUE")
    for key, field in known_keys(table).items():
        _check_value(key, OmegaConf.select(merged, key), field.metadata)
    with refused(str(yaml or "options")):
        return OmegaConf.to_object(merged)


def read_yaml(path: str | Path) -> DictConfig:
    """The keys and values of a YAML file. Raises `UserError` for a file that is not there or holds anything else."""
    existing_file(path, "configuration file")
    try:
        loaded = OmegaConf.load(path)
    except Exception as error:  # the YAML library raises several unrelated types
        raise UserError(f"{path}: not valid YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(loaded, DictConfig):
        raise UserError(f"{path}: expected 'key: value' lines at the top level")
    return loaded


def to_yaml(config: Any) -> str:
    """The resolved options as YAML text that `load_config` reads back to the same instance."""
    return OmegaConf.to_yaml(_literal(dataclasses.asdict(config)))


def describe(table: type) -> str:
    """The option table as text: key, default, help, one line each."""
    defaults = OmegaConf.to_container(OmegaConf.structured(table), resolve=False)
    rows = []
    for key, field in known_keys(table).items():
        value = defaults
        for name in key.split("."):
            value = value[name]
        rows.append((key, "required" if value == MISSING else str(value), field.metadata.get("help", "")))
    width = max(len(f"{key}={value}") for key, value, _ in rows)
    return "\n".join(f"  {f'{key}={value}':<{width}}  {text}".rstrip() for key, value, text in rows)


def _override(field: dataclasses.Field, key: str, value: str) -> DictConfig:
    """One `key=value` as a tree. The value is parsed as YAML, except for string options: `label=(a): x`."""
    kind = getattr(field.type, "__name__", str(field.type))
    if kind == "str" or (kind == "str | None" and value != "null"):
        return _tree(key, _literal(value))
    with refused(f"option '{key}={value}': not a valid value"):
        return OmegaConf.from_dotlist([f"{key}={value}"])


def _longer(field: dataclasses.Field, merged: DictConfig, key: str, item: str) -> DictConfig:
    """A list option with one more item, which is not parsed."""
    if not str(field.type).startswith("list"):
        raise UserError(f"option '{key}+={item}': {key} is not a list: write {key}=VALUE")
    return _tree(key, _literal([*(OmegaConf.select(merged, key) or ()), item]))


def _tree(key: str, value: Any) -> DictConfig:
    tree = OmegaConf.create()
    OmegaConf.update(tree, key, value)
    return tree


def _literal(value: Any) -> Any:
    """The value, in text with `${` escaped against OmegaConf's interpolation."""
    if isinstance(value, dict):
        return {key: _literal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_literal(item) for item in value]
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", value) if isinstance(value, str) else value


def _check_value(key: str, value: Any, rules: Mapping[str, Any]) -> None:
    least, most = rules.get("items", (0, math.inf))
    if isinstance(value, ListConfig) and not least <= len(value) <= most:
        raise UserError(f"option '{key}={value}': give {least} values" + (" or more" if most > least else ""))
    for item in value if isinstance(value, ListConfig) else [value]:
        if isinstance(item, (ListConfig, DictConfig)):
            raise UserError(f"option '{key}={value}': must be plain values, without lists in lists")
        if isinstance(item, (int, float)) and not contains(rules.get("within", ""), item):
            raise UserError(f"option '{key}={value}': must " + (
                f"lie in {rules['within']}" if math.isfinite(item) else "be a finite number"))
        if rules.get("choices") and item is not None and item not in rules["choices"]:
            raise UserError(f"option '{key}={value}': must be one of {', '.join(rules['choices'])}")


def _unknown(table: type, key: str, origin: str) -> UserError:
    return UserError(f"{origin}: unknown option '{key}'{nearest(key, list(known_keys(table)))}")


def _merge(table: type, base: DictConfig, extra: DictConfig, origin: str) -> DictConfig:
    try:
        with refused(origin):
            return OmegaConf.merge(base, extra)
    except UserError as error:
        if isinstance(error.__cause__, ConfigKeyError):
            raise _unknown(table, error.__cause__.full_key, origin) from None
        raise


@contextmanager
def refused(origin: str) -> Iterator[None]:
    """Errors of the libraries that read values, as one line."""
    try:
        yield
    except (YAMLError, OmegaConfBaseException, ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{origin[:300]}: {str(error).splitlines()[0][:300]}") from error
