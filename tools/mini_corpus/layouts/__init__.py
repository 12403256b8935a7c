"""The sets by name, and which of them a recipe needs."""

import importlib
from typing import TYPE_CHECKING

from m2d.common.config import nearest
from m2d.common.errors import UserError

if TYPE_CHECKING:
    from mini_corpus.plan import SetPlan

# module and function of each plan; imported on demand, so that a complete corpus is recognised at once
SETS = {
    "librispeech": ("librispeech", "plan"),
    "audioset": ("audioset", "plan"),
    "speech_commands_v1": ("speech_commands", "plan_v1"),
    "fluent": ("fluent", "plan"),
    "voxceleb": ("voxceleb", "plan"),
    "iemocap": ("emotion", "plan_iemocap"),
    "esc50": ("environment", "plan_esc50"),
    "urbansound8k": ("environment", "plan_urbansound8k"),
    "gtzan": ("musical", "plan_gtzan"),
    "nsynth": ("musical", "plan_nsynth"),
    "surge": ("musical", "plan_surge"),
    "speech_commands_v2": ("speech_commands", "plan_v2"),
    "voxforge": ("languages", "plan"),
    "crema_d": ("emotion", "plan_crema_d"),
    "teacher_speech": ("teacher_speech", "plan"),
}
# what egs/librispeech_m2ds uses up to SUPERB, and what egs/audioset_m2d uses
GROUPS = {
    "speech": ("librispeech", "audioset", "speech_commands_v1", "fluent", "voxceleb", "iemocap"),
    "general": ("audioset", "esc50", "urbansound8k", "gtzan", "nsynth", "surge", "speech_commands_v2", "voxceleb",
                "voxforge", "crema_d"),
}


def plan_set(name: str, scale: float) -> "SetPlan":
    """The plan of a set of `SETS`."""
    module, function = SETS[name]
    return getattr(importlib.import_module(f"{__name__}.{module}"), function)(scale)


def choose_sets(parts: list[str]) -> list[str]:
    """Names of sets, in the order they are made, from names of sets and groups. Raises `UserError` for others."""
    wanted = set()
    for part in parts:
        if part not in SETS and part not in GROUPS:
            known = [*GROUPS, *SETS]
            raise UserError(f"parts: unknown part '{part}'{nearest(part, known)} (known: {', '.join(known)})")
        wanted.update(GROUPS.get(part, (part,)))
    return [name for name in SETS if name in wanted]
