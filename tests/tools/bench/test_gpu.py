"""The GPU's one command: its dry run goes through every benchmark; the README's part is what it writes."""

import json
from pathlib import Path

import pytest
from bench import gpu, online

README = Path(gpu.__file__).with_name("README.md")


@pytest.mark.timeout(1200)
def test_dry_run_of_all_benchmarks(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TORCHDYNAMO_DISABLE", "1")  # to compile takes a minute
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    gpu.main(["--dry_run", "--minutes", "15", "--json", str(tmp_path / "gpu.json")])
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["dry_run"] and list(found["jobs"]) == [job.title for job in gpu.JOBS]
    assert {title: result.get("note") for title, result in found["jobs"].items() if "rows" not in result} == {}
    assert f"{len(gpu.JOBS)} of {len(gpu.JOBS)} measured" in capsys.readouterr().out
    steps = found["jobs"][gpu.JOBS[0].title]["rows"]
    assert {row["setting"] for row in steps} == set(f"{gpu.GOALS},{gpu.OTHERS}".split(","))
    assert all(0 < row["time_by_kind"]["matmul"] < 1 and row["of_mm"] > 0 for row in steps)
    stored, *flying = found["jobs"][gpu.JOBS[1].title]["rows"]
    assert stored["way"] == online.STORED and stored["times_stored"] == 1
    assert [row["loss"] for row in flying] == pytest.approx([stored["loss"]] * 2, rel=1e-3)
    assert all(0 <= row["waits"] <= 1 and row["samples_per_s"] > 0 and row["peak_gib"] > 0 for row in (stored, *flying))


def test_what_fails_or_comes_too_late_is_named(tmp_path, monkeypatch):
    job = gpu.Job("a job", "bench.logmel", "", "cilps=3")
    monkeypatch.setattr(gpu, "JOBS", (job, job._replace(title="another")))
    found = gpu.measure_all(True, 1e-4, tmp_path / "gpu.json")["jobs"]
    assert "did you mean 'clips'" in found["a job"]["note"] and found["another"]["note"] == "out of time"


def test_rows_of_a_gpu_are_shown_and_others_are_not(tmp_path):
    rows = [{"setting": "s", "variant": "bf16", "batch": 512, "ms": 1.5, "time_by_kind": {"matmul": 0.75}}]
    (tmp_path / "gpu.json").write_text(json.dumps({"jobs": {gpu.JOBS[0].title: {
        "device": "H100", "torch": "2.8", "date": "today", "command": "c", "columns": {"setting": "", "ms": ".1f"},
        "rows": rows}, gpu.JOBS[1].title: {"note": "out of memory"}}}))
    text = gpu.block(tmp_path)
    assert "| s | 1.5 |" in text and "- s bf16, batch 512: matmul 75.0%" in text and "1 rows below" in text
    assert f"not measured (out of memory): `{gpu.JOBS[1].command}`" in text
    assert f"not measured: `{gpu.JOBS[2].command}`" in text


def test_the_readme_is_what_the_results_say():
    before, rest = README.read_text(encoding="utf-8").split(gpu.BEGIN)
    assert gpu.BEGIN + rest.split(gpu.END)[0] + gpu.END == gpu.block() and gpu.END not in before
