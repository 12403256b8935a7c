"""Registries of objectives, teachers, tasks, corpora ...: each entry is one module and is found by name."""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from m2d.common.errors import UserError
from m2d.common.options import nearest

T = TypeVar("T")


class Registry(Generic[T]):
    """Entries of one kind, by name. A new entry is a new module in `package` with `@REGISTRY.register(NAME)`.

    Looking up a name imports only the module of that name, if there is one; listing the names imports all modules.
    """

    def __init__(self, kind: str, package: str):
        self.kind, self.package = kind, package
        self._entries: dict[str, T] = {}
        self._is_loaded = False

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that registers a class or function under `name`. Raises ValueError if the name is taken."""
        def enter(entry: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.kind} '{name}' is registered twice")
            self._entries[name] = entry
            return entry
        return enter

    def get(self, name: str) -> T:
        """The entry called `name`. Raises `UserError` with the nearest name if there is none."""
        if name not in self._entries and name in self._modules():
            importlib.import_module(f"{self.package}.{name}")
        if name not in self._entries and name not in (known := list(self)):
            raise UserError(f"unknown {self.kind} '{name}'{nearest(name, known)} (one of {', '.join(known)})")
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        if not self._is_loaded:
            for module in self._modules():
                importlib.import_module(f"{self.package}.{module}")
            self._is_loaded = True
        return iter(sorted(self._entries))

    def _modules(self) -> list[str]:
        return [module.name for module in pkgutil.iter_modules(importlib.import_module(self.package).__path__)]
