"""SD: speaker diarization of two speakers on Libri2Mix (s3prl downstream diarization)."""

from pathlib import Path
from typing import Any

from m2d.common.files import existing_file
from m2d.superb.diarization import lowest_rate, read_rttm
from m2d.superb.task import TASKS, Corpora, Measure, Task, folder

TABLES = ("wav.scp", "segments", "utt2spk", "spk2utt", "reco2dur")
SAMPLE_RATE = 16000


def prepare(corpora: Corpora, tables: Path, config: dict[str, Any]) -> list[str]:
    """Three Kaldi data directories, of which `test` has the reference `rttm`."""
    root = folder(corpora.libri2mix, "libri2mix", "Kaldi data directories train, dev, test")
    recordings = []
    for part in ("train", "dev", "test"):
        directory = folder(str(root / part), "libri2mix", ", ".join(TABLES))
        for name in (*TABLES, "rttm") if part == "test" else TABLES:
            existing_file(directory / name, f"file; s3prl's diarization needs {', '.join(TABLES)}")
        audio = [line.split(maxsplit=1)[1] for line in (directory / "wav.scp").read_text().splitlines()]
        lacking = [path for path in audio if not Path(path).is_file()]
        if lacking:
            raise ValueError(f"{directory / 'wav.scp'}: there is no file {lacking[0]} (paths must be absolute)")
        recordings += audio
        config["downstream_expert"]["loaderrc"][f"{part}_dir"] = str(directory)
    read_rttm(root / "test" / "rttm")
    return [*(str(root / part) for part in ("train", "dev", "test")), *recordings]


def score(exp: Path, config: dict[str, Any], printed: str) -> dict[str, float]:
    """The diarization error rate of the test set; what s3prl prints is a mean over chunks of frames."""
    frame_shift = int((exp / "frame_shift").read_text())
    rttm = Path(config["downstream_expert"]["loaderrc"]["test_dir"]) / "rttm"
    return {"sd": 100 * lowest_rate(exp / "scoring" / "predictions", rttm, frame_shift / SAMPLE_RATE)}


TASKS.register("sd")(Task("SD", "diarization", (Measure("sd", "DER", None, lower_is_better=True),), prepare,
                          best="best-states-dev.ckpt", score=score))
