"""The benchmark of the data stages at a tiny size: every command runs, and the table holds."""

import json

from bench.stages import StagesBench, bench


def test_every_command_has_its_row(tmp_path, capsys):
    bench(StagesBench(files=400, lines=400, directory=str(tmp_path / "b"), json=str(tmp_path / "x.json")))
    rows = json.loads((tmp_path / "x.json").read_text())["rows"]
    assert [row["items"] for row in rows] == [400] * 11 and all(row["cpu_s"] > 0 for row in rows)
    assert all(10 < row["memory_mb"] < 2000 and row["growth"] > 0 for row in rows)
    assert "| fix_data_dir.sh | 400 |" in capsys.readouterr().out
    assert (tmp_path / "b/files1/logmel/stats.json").is_file()
    assert len(list((tmp_path / "b/tree").rglob("*.flac"))) == 400
