"""Log-mel: times real time on one core, against torchaudio's own transform used file by file.

    python -m bench.logmel [clips=20 seconds=12.3]
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile
import torch
import torchaudio

from bench.measure import in_turns, machine, medians
from bench.report import leave
from bench.synthetic import write_audio
from m2d.audio.logmel import LOG_EPS, LogMel, LogMelConfig
from m2d.audio.wave import read_audio
from m2d.common.cli import run
from m2d.common.options import option

COLUMNS = {"what": "", "times_real_time": ".0f", "torchaudio_times_real_time": ".0f", "ratio": ".2f"}


@dataclass
class LogMelBench:
    clips: int = option(20, "16 kHz WAV files")
    seconds: float = option(12.3, "length of a clip (LibriSpeech's mean)")
    device: str = option("cpu", "cpu or cuda: the transforms alone, all clips at once, beside the same on a CPU",
                         choices=("cpu", "cuda"))
    turns: int = option(9, "timed turns of each way")
    directory: str = option("", "where the files are made (default: a temporary folder)")
    json: str = option("", "write machine, command and rows here as well")


def bench(options: LogMelBench) -> None:
    """One row for the transform alone, one from file to float16 frames."""
    torch.set_num_threads(1)
    ours, peer = LogMel(), torchaudio_logmel()
    with tempfile.TemporaryDirectory(dir=options.directory or None) as name:
        paths = write_audio(Path(name), [options.seconds] * options.clips)
        wavs = [torch.from_numpy(read_audio(path)) for path in paths]
        with torch.inference_mode():
            difference = max((ours(wav) - peer(wav)).abs().max().item() for wav in wavs)
            times = medians(in_turns({
                "transform": lambda: [ours(wav) for wav in wavs],
                "transform, torchaudio": lambda: [peer(wav) for wav in wavs],
                "file": lambda: [ours(torch.from_numpy(read_audio(path))).numpy() for path in paths],
                "file, torchaudio": lambda: [peer(torch.from_numpy(soundfile.read(path, dtype="float32")[0])).numpy()
                                             for path in paths],
            }, options.turns, clock="cpu"))
    audio = options.clips * options.seconds
    rows = [{"what": text, "times_real_time": audio / times[key],
             "torchaudio_times_real_time": audio / times[f"{key}, torchaudio"],
             "ratio": times[f"{key}, torchaudio"] / times[key]}
            for key, text in (("transform", "waveform to log-mel"), ("file", "file to log-mel in memory"))]
    if options.device == "cuda":
        rows += on_device(wavs, audio, options.turns)
    leave({**machine(torch.device(options.device)), "torchaudio": torchaudio.__version__,
           "largest_difference": f"{difference:.1e}"}, rows, COLUMNS, options.json)


def on_device(wavs: list[torch.Tensor], audio: float, turns: int) -> list[dict[str, Any]]:
    """Rows of a GPU: clips in one tensor, and a list of clips, which features and training have."""
    device = torch.device("cuda")
    ours, peer, whole = LogMel(), torchaudio_logmel().to(device), torch.stack(wavs).to(device)
    clips = list(whole)
    with torch.inference_mode():
        times = medians(in_turns({"tensor": lambda: ours(whole), "torchaudio": lambda: peer(whole),
                                  "list": lambda: ours.clips(clips)}, turns, device, calls=5))
    rates = {name: audio / spent for name, spent in times.items()}
    return [{"what": text, "times_real_time": rates[name], "torchaudio_times_real_time": rates["torchaudio"],
             "ratio": rates[name] / rates["torchaudio"]}
            for name, text in (("tensor", "one tensor to log-mel, GPU"), ("list", "list of clips to log-mel, GPU"))]


def torchaudio_logmel() -> torch.nn.Module:
    """The usual way: torchaudio's transform with the same settings, and the logarithm."""
    config = LogMelConfig()

    class Peer(torchaudio.transforms.MelSpectrogram):
        def forward(self, wav: torch.Tensor) -> torch.Tensor:
            return (super().forward(wav) + LOG_EPS).log()

    return Peer(config.sample_rate, config.n_fft, config.win_length, config.hop_length, config.f_min, config.f_max,
                n_mels=config.n_mels, power=2.0, norm="slaney", mel_scale="slaney")


if __name__ == "__main__":
    run(LogMelBench, bench, __doc__)
