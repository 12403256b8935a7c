"""Our upstreams on s3prl's hub.

s3prl has no plug-in mechanism: it looks an upstream up by `getattr(s3prl.hub, NAME)` and calls it with `ckpt` (`-k`),
`model_config` (`-g`) and `refresh`. `register` sets our names there.
"""

from collections.abc import Callable
from typing import Any

from m2d.common.errors import UserError

UPSTREAMS = {"m2d_local": "M2DUpstream", "m2d_random_local": "RandomUpstream", "m2d_logmel": "LogMelUpstream",
             "m2d_hubert_local": "HubertUpstream"}
"""Name on the hub -> class of `m2d.superb.upstream`, whose docstring says what `ckpt` is."""


def _entry(name: str) -> Callable[..., Any]:
    def entry(ckpt: str | None = None, model_config: Any = None, **_: Any) -> Any:
        from m2d.superb import upstream

        if not ckpt and name != "m2d_logmel":
            raise UserError(f"upstream {name} needs a model: -k MODEL on the command line, path_or_url= in "
                            "S3PRLUpstream")
        return getattr(upstream, UPSTREAMS[name])(ckpt, upstream.Settings.read(model_config))
    return entry


def register() -> None:
    """Set our upstreams on `s3prl.hub`, which then lists them in `options()`. Calling it again is harmless.

    Before s3prl is imported, `before_s3prl` adds to the installed libraries what it needs and they lack.
    """
    from m2d.pretrained.s3prl_compat import before_s3prl

    before_s3prl()
    from s3prl import hub

    for name in UPSTREAMS:
        setattr(hub, name, _entry(name))
