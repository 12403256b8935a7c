"""How a model is named on the command line: one grammar for linear evaluation, fine-tuning and SUPERB."""

import re
from pathlib import Path
from typing import NamedTuple

from m2d.common.errors import UserError

FORMS = ("a model directory, a published checkpoint, OWNER/NAME on the hub, random: and one of these (with :SEED), "
         "logmel, s3prl:NAME[:CHECKPOINT], hf:ID_OR_FOLDER")


class ModelName(NamedTuple):
    """A name taken apart.

    `kind` is own, random, logmel, s3prl or hf; `source` the path, hub id or upstream (empty for logmel); `detail` the
    SEED of random weights, the FRAMES of a log-mel patch, the CHECKPOINT of an upstream of s3prl; empty if not given.
    """

    kind: str
    source: str
    detail: str = ""


def parse_model(text: str) -> ModelName:
    """Take a model's name apart; nothing is loaded. Raises `UserError` for text of no known form."""
    kind, _, rest = text.partition(":")
    if kind == "random" and rest:
        source, _, seed = rest.rpartition(":")
        return ModelName("random", source, seed) if source and seed.isdigit() else ModelName("random", rest)
    if kind == "logmel":
        if text != "logmel" and not re.fullmatch("[1-9][0-9]*", rest):
            raise UserError(f"model '{text}': write logmel or logmel:FRAMES, the frames of a patch")
        return ModelName("logmel", "", rest)
    if kind == "s3prl" and rest:
        return ModelName("s3prl", *rest.partition(":")[::2])
    if kind == "hf" and rest:
        return ModelName("hf", rest)
    if not text or (not Path(text).exists() and "/" not in text):
        raise UserError(f"model '{text}': not {FORMS}")
    return ModelName("own", text)
