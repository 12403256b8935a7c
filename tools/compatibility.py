#!/usr/bin/env python3
"""Try the package with several versions of Python, torch and transformers; write docs/compatibility.json.

usage: compatibility.py [PYTHON:TORCH:TRANSFORMERS]...    without words: all pairs below

Each combination gets a fresh environment (uv) with the newest torchaudio that goes with it, in which TESTS run: golden
vectors, log-mel and noise, teachers, published layouts, features, the model for transformers. Other lines stay in
the file.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs/compatibility.json"
TESTS = ("tests/nn", "tests/audio", "tests/teacher", "tests/pretrained/test_features.py",
         "tests/pretrained/test_layouts.py", "tests/pretrained/test_published.py", "tests/pretrained/test_hf_export.py")
ALL = ("3.10:2.8:4", "3.11:2.8:5", "3.12:2.9:5", "3.13:2.10:4", "3.12:2.11:4", "3.13:2.12:5")
NEEDED = ("pytest", "pytest-timeout", "hypothesis")


def attempt(python: str, torch: str, transformers: str) -> dict[str, str]:
    """One line of the table."""
    audio = min(torch, "2.11", key=lambda version: [int(part) for part in version.split(".")])
    with tempfile.TemporaryDirectory() as folder:
        uv = str(ROOT / "tools/uv/bin/uv")
        code = f"{folder}/env/bin/python"
        made = subprocess.run([uv, "venv", "-q", "--python", python, f"{folder}/env"], capture_output=True, text=True)
        if made.returncode == 0:
            made = subprocess.run(
                [uv, "pip", "install", "-q", "--python", code, "-e", f"{ROOT}[train,ffmpeg,containers,images]", *NEEDED,
                 f"torch=={torch}.*", f"torchaudio=={audio}.*", f"transformers=={transformers}.*"],
                capture_output=True, text=True)
        line = {"date": time.strftime("%Y-%m-%d"), "python": python, "torch": torch, "torchaudio": audio,
                "transformers": transformers}
        if made.returncode:
            return {**line, "result": f"no environment: {made.stderr.strip().splitlines()[0][:120]}"}
        names = "python", "torch", "torchaudio", "transformers"
        ask = ("import platform\nfrom importlib.metadata import version\n"
               f"print(platform.python_version(), *map(version, {names[1:]}))")
        found = subprocess.run([code, "-c", ask], capture_output=True, text=True, check=True).stdout.split()
        done = subprocess.run([code, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS], cwd=ROOT, text=True,
                              capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT / "tools")})
        if done.returncode:
            print(done.stdout[-3000:], file=sys.stderr)
        result = re.sub(r" in [\d.]+s.*", "", done.stdout.strip().splitlines()[-1].strip("= "))
        return {**line, **dict(zip(names, found, strict=True)), "result": result}


def main(words: list[str]) -> None:
    """Measure and write after each combination."""
    known = json.loads(OUT.read_text(encoding="utf-8"))["runs"] if OUT.is_file() else []
    for word in words or ALL:
        run = attempt(*word.split(":"))
        print(*run.values(), flush=True)

        def place(line: dict[str, str]) -> list[str]:
            return [line["python"].rpartition(".")[0] if line["python"].count(".") > 1 else line["python"],
                    ".".join(line["torch"].split(".")[:2]), line["transformers"].split(".")[0]]

        known = [line for line in known if place(line) != place(run)] + [run]
        OUT.write_text(json.dumps({"what": f"pytest of {', '.join(TESTS)}", "runs": sorted(known, key=place)}, indent=1)
                       + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
