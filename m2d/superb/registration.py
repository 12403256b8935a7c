"""Our upstreams on s3prl's hub.

s3prl has no plug-in mechanism: it looks an upstream up by `getattr(s3prl.hub, NAME)`. `watch` therefore waits for
s3prl to be imported, cures what the installed libraries lack, and sets our names on the hub; nothing is imported
before s3prl is, so `import m2d.superb` costs nothing by itself.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from typing import Any


def m2d_local(ckpt: str, model_config: Any = None, **_: Any) -> Any:
    """A model directory made by `m2d.save_pretrained` (`ckpt`); `model_config`: see `m2d.superb.upstream.Settings`."""
    from m2d.superb import upstream

    return upstream.M2DUpstream(ckpt, upstream.Settings.read(model_config))


def m2d_random_local(ckpt: str, model_config: Any = None, **_: Any) -> Any:
    """The network of a model directory with random weights: the baseline of the same architecture."""
    from m2d.superb import upstream

    return upstream.RandomUpstream(ckpt, upstream.Settings.read(model_config))


def m2d_logmel(ckpt: str | None = None, model_config: Any = None, **_: Any) -> Any:
    """Log-mel patches of `ckpt` frames (2 unless given), normalised with the statistics of the task."""
    from m2d.superb import upstream

    return upstream.LogMelUpstream(int(ckpt or 2), upstream.Settings.read(model_config))


def m2d_hubert_local(ckpt: str, model_config: Any = None, **_: Any) -> Any:
    """HuBERT, wav2vec 2.0 or WavLM from transformers, by folder or hub id, every layer, each clip as if alone."""
    from m2d.superb import upstream

    return upstream.HubertUpstream(ckpt, upstream.Settings.read(model_config))


ENTRIES: dict[str, Callable[..., Any]] = {
    entry.__name__: entry for entry in (m2d_local, m2d_random_local, m2d_logmel, m2d_hubert_local)
}


def register(hub: types.ModuleType) -> None:
    """Set our upstreams on the given hub module; `hub.options()` lists them from then on."""
    for name, entry in ENTRIES.items():
        setattr(hub, name, entry)


def light_hub() -> None:
    """Put a hub with our upstreams alone in the place of `s3prl.hub`, in this process.

    Importing the real one imports all of s3prl's forty upstreams: 14 s of CPU for names that this process does not
    use. Call it before s3prl's runner is imported.
    """
    watch()
    import s3prl

    hub = types.ModuleType("s3prl.hub", "Our upstreams only; see m2d.superb.registration.light_hub.")
    register(hub)
    hub.options = lambda only_registered_ckpt=False: list(ENTRIES)
    sys.modules["s3prl.hub"] = s3prl.hub = hub


def watch() -> None:
    """Cure and register now if s3prl is there already, otherwise when it is imported. Calling again is free."""
    if "s3prl" in sys.modules:
        from m2d.pretrained import s3prl_compat

        s3prl_compat.before_s3prl()
        if "s3prl.hub" in sys.modules:
            register(sys.modules["s3prl.hub"])
            return
    if not any(isinstance(finder, _Watcher) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watcher())


class _Watcher(importlib.abc.MetaPathFinder):
    """Finds `s3prl` and `s3prl.hub` as Python would, and adds what has to happen before and after."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> ModuleSpec | None:
        if name == "s3prl":
            from m2d.pretrained import s3prl_compat

            s3prl_compat.before_s3prl()
        if name != "s3prl.hub":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _HubLoader(spec.loader)
        return spec


class _HubLoader(importlib.abc.Loader):
    """Runs the hub module, then registers."""

    def __init__(self, inner: importlib.abc.Loader) -> None:
        self.inner = inner

    def create_module(self, spec: ModuleSpec) -> types.ModuleType | None:
        return self.inner.create_module(spec)

    def exec_module(self, module: types.ModuleType) -> None:
        self.inner.exec_module(module)
        register(module)
