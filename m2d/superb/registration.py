"""Our upstreams on s3prl's hub.

s3prl has no plug-in mechanism: it looks an upstream up by `getattr(s3prl.hub, NAME)` and calls it with `ckpt` (`-k`),
`model_config` (`-g`) and `refresh`. `register` sets our names there.
"""

from collections.abc import Callable
from typing import Any

from m2d.common.errors import UserError


def m2d_local(ckpt: str | None = None, model_config: Any = None, **_: Any) -> Any:
    """A model directory or published checkpoint; `model_config`: see `m2d.superb.upstream.Settings`."""
    from m2d.superb import upstream

    return upstream.M2DUpstream(_given("m2d_local", ckpt), upstream.Settings.read(model_config))


def m2d_random_local(ckpt: str | None = None, model_config: Any = None, **_: Any) -> Any:
    """The network of a model directory with random weights: the baseline of the same architecture."""
    from m2d.superb import upstream

    return upstream.RandomUpstream(_given("m2d_random_local", ckpt), upstream.Settings.read(model_config))


def m2d_logmel(ckpt: str | None = None, model_config: Any = None, **_: Any) -> Any:
    """Log-mel patches of `ckpt` frames (2 by default), normalised with the statistics in `model_config`."""
    from m2d.superb import upstream

    return upstream.LogMelUpstream(int(ckpt or 2), upstream.Settings.read(model_config))


def m2d_hubert_local(ckpt: str | None = None, model_config: Any = None, **_: Any) -> Any:
    """Every layer of a HuBERT, wav2vec 2.0 or WavLM of transformers, by folder or hub id."""
    from m2d.superb import upstream

    return upstream.HubertUpstream(_given("m2d_hubert_local", ckpt), upstream.Settings.read(model_config))


ENTRIES: dict[str, Callable[..., Any]] = {
    entry.__name__: entry for entry in (m2d_local, m2d_random_local, m2d_logmel, m2d_hubert_local)
}


def register() -> None:
    """Set our upstreams on `s3prl.hub`, which then lists them in `options()`. Calling it again is harmless.

    Before s3prl is imported, `before_s3prl` adds to the installed libraries what it needs and they lack.
    """
    from m2d.pretrained.s3prl_compat import before_s3prl

    before_s3prl()
    from s3prl import hub

    for name, entry in ENTRIES.items():
        setattr(hub, name, entry)


def _given(name: str, ckpt: str | None) -> str:
    if not ckpt:
        raise UserError(f"upstream {name} needs a model: -k MODEL on the command line, path_or_url= in S3PRLUpstream")
    return ckpt
