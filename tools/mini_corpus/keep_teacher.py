"""Put a trained mini teacher into the repository, with the record of how it was made."""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from m2d.common import cli
from m2d.common.config import option
from m2d.common.files import atomic_directory, sha256
from m2d.common.markdown import table

_STEPS = re.compile(r"^(\S+ \S+) \(teacher_training:\d+\) INFO: (.*)$", re.MULTILINE)
_BEGIN = re.compile(r"\d+ clips, ")
README = """# The mini corpus's teacher

A 12-layer HuBERT of {parameters:.2f} million parameters (float16), trained on synthetic speech without labels: masked
prediction of clusters of MFCCs, then of its own layer {layer} (HuBERT, section 3). Its speakers occur nowhere
else in the mini corpus. `run.sh` takes it as the teacher where no other is named.

Made {begin} to {end} by the commands of `egs/librispeech_m2ds/local/train_mini_teacher.sh`, on one
processor ([train.log](train.log), settings in [training.json](training.json)). Masked units of unseen speakers
predicted right, round by round: {masked} % ({units} units).

SHA-256 of `model.safetensors`: `{checksum}`

Linear probes, per cent right on the mini corpus ([probe.json](probe.json)): phones by frame, of unseen speakers; words
and speakers by the mean over a clip. Random: the same network, untrained. Commonest class: {majority}.

{table}

![probes by layer](probe.png)
"""


@dataclass
class Options:
    model: str = option(help="folder that train_teacher wrote")
    probe: str = option(help="folder that probe_teacher wrote")
    log: str = option(help="log of the training")
    out: str = option(help="folder in the repository; it is replaced")


def main(options: Options) -> None:
    """Copy model, probe and log beside a README of them."""
    model, probe = Path(options.model), Path(options.probe)
    lines = _STEPS.findall(Path(options.log).read_text(encoding="utf-8"))
    begins = [i for i, (_, text) in enumerate(lines) if _BEGIN.match(text)]
    lines = [line for line in lines[begins[-1]:] if not line[1].endswith("trained before with these settings")]
    training = json.loads((model / "training.json").read_text(encoding="utf-8"))
    scores = json.loads((probe / "probe.json").read_text(encoding="utf-8"))["accuracy"]
    weights = model / "model.safetensors"
    columns = [(name, kind) for name in scores for kind in ("teacher", "random")]
    rows = [["log-mel", *(f"{100 * scores[name]['logmel']:.1f}" if kind == "teacher" else ""
                          for name, kind in columns)]]
    rows += [[str(k + 1), *(f"{100 * scores[name][kind][k]:.1f}" for name, kind in columns)]
             for k in range(len(scores["phones"]["teacher"]))]
    with atomic_directory(options.out) as folder:
        for file in (*sorted(model.iterdir()), probe / "probe.json", probe / "probe.png"):
            shutil.copyfile(file, folder / file.name)
        (folder / "train.log").write_text("".join(f"{time} {text}\n" for time, text in lines), encoding="utf-8")
        (folder / "README.md").write_text(README.format(
            parameters=weights.stat().st_size / 2e6, layer=training["layer"],
            begin=lines[0][0][:16], end=lines[-1][0][:16],
            masked=", ".join(f"{100 * share:.1f}" for share in training["masked_accuracy"]),
            units=" and ".join(map(str, training["units"])), checksum=sha256(weights),
            majority=", ".join(f"{name} {100 * found['majority']:.1f}" for name, found in scores.items()),
            table=table(["layer", *(f"{name}, {kind}" for name, kind in columns)], rows)), encoding="utf-8")


if __name__ == "__main__":
    cli.run(Options, main, __doc__)
