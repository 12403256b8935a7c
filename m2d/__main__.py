"""`m2d COMMAND ...`, also `python -m m2d COMMAND ...`: the entry points of `m2d.bin` under one name."""

import ast
import re
import runpy
import sys
from pathlib import Path

from m2d import __version__
from m2d.common.cli import quiet_at_closed_pipe
from m2d.common.options import nearest

COMMANDS = {
    "use a model": ("info", "embed", "tag", "predict", "import_published", "export", "export_onnx"),
    "prepare data": ("download", "prepare_data", "extract_logmel", "extract_teacher", "extract_features",
                     "merge_features", "prepare_images", "index_images"),
    "pre-train": ("plan", "pretrain", "compare_runs"),
    "evaluate": ("prepare_task", "linear_eval", "finetune", "finetune_images", "probe_images", "report_general",
                 "report_own", "report_images", "report", "show_results", "superb", "superb_corpora", "superb_check",
                 "superb_downstream", "superb_results"),
}


def main() -> None:
    """List the commands, or run `m2d.bin.COMMAND` with the words that follow."""
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help", "help"):
        with quiet_at_closed_pipe():
            print(listing())
        return
    if words[0] == "--version":
        print(__version__)
        return
    name = words[0].replace("-", "_")
    known = [name for group in COMMANDS.values() for name in group]
    if name not in known:
        print(f"error: m2d has no command '{words[0]}'{nearest(name, known)} (m2d --help lists them)", file=sys.stderr)
        raise SystemExit(2)
    sys.argv = [f"m2d {name}", *words[1:]]
    runpy.run_module(f"m2d.bin.{name}", run_name="__main__", alter_sys=True)


def listing() -> str:
    """All commands, each with the first sentence of its module, which is not imported for that."""
    width = max(len(name) for group in COMMANDS.values() for name in group)
    lines = ["Masked Modeling Duo. usage: m2d COMMAND --help | m2d COMMAND [key=value ...]"]
    for title, group in COMMANDS.items():
        lines += ["", f"{title}:"]
        for name in group:
            source = Path(__file__).with_name("bin") / f"{name}.py"
            about = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8")))
            lines.append(f"  {name:<{width}}  {re.split(r'[.](?: |$)', about, maxsplit=1, flags=re.MULTILINE)[0]}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
