"""The house rules that a program can check: sizes of files and functions, and imports that point one way."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAX_FILE, MAX_FUNCTION = 300, 60
FOLDERS = ("m2d/**", "utils/**", "tests/**", "tools/mini_corpus/**", "tools/bench", "egs/*", "egs/*/local")
SOURCES = sorted(path for folder in FOLDERS for suffix in ("py", "sh") for path in ROOT.glob(f"{folder}/*.{suffix}"))
# which rooms a room may import (CONTRIBUTING.md)
BELOW = {"common": set(), "audio": {"common"}, "nn": {"common"}, "report": {"common"}}
BELOW["data"] = {"audio", "common"}
BELOW["pretrained"] = BELOW["teacher"] = {"pretrained", "nn", "data", "audio", "common"}
BELOW["training"] = BELOW["evaluation"] = BELOW["superb"] = {"teacher", *BELOW["pretrained"]}


def test_files_and_functions_are_short():
    assert len(SOURCES) > 300
    too_long = []
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        if (lines := text.count("\n")) > MAX_FILE:
            too_long.append(f"{path}: {lines} lines")
        for node in ast.walk(ast.parse(text)) if path.suffix == ".py" else ():
            if isinstance(node, ast.FunctionDef) and (lines := node.end_lineno - node.lineno + 1) > MAX_FUNCTION:
                too_long.append(f"{path}:{node.lineno}: {node.name}: {lines} lines")
    assert not too_long, "\n".join(too_long)


@pytest.mark.parametrize("room", BELOW)
def test_imports_point_one_way(room):
    wrong = []
    for path in ROOT.joinpath("m2d", room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = ([alias.name for alias in node.names] if isinstance(node, ast.Import)
                     else [node.module or ""] if isinstance(node, ast.ImportFrom) else [])
            rooms = {name.split(".")[1] for name in names if name.startswith("m2d.")}
            wrong += [f"{path}:{node.lineno}: m2d.{name}" for name in rooms - BELOW[room] - {room}]
    assert not wrong, "\n".join(wrong)
