"""Tables of all measures on tasks that are not the papers'."""

from typing import Any

from m2d.common import markdown


def measure_table(results: list[dict[str, Any]]) -> str:
    """One task's results in Markdown: every measure with its 95% interval over clips, kNN, the best layer.

    Older results without measures are left out; empty if there is none.
    """
    results = [result for result in results if "measures" in result]
    names = list(dict.fromkeys(name for result in results for name in result["measures"]))
    if not results:
        return ""
    extra = [("kNN", _knn), ("best layer", _best_layer), ("best epochs", _epochs)]
    extra = [(title, cell) for title, cell in extra if any(cell(result) != "-" for result in results)]
    return markdown.table(["Model", *names, *(title for title, _ in extra)], (
        [result["label"], *(measured(result["measures"].get(name)) for name in names),
         *(cell(result) for _, cell in extra)] for result in results))


def measured(found: dict[str, float] | None) -> str:
    """A measure as `81.2 [74.0, 87.5]`, its value and its interval over clips; `-` for none."""
    if found is None:
        return "-"
    return f"{found['value']:.1f}" + ("" if found["low"] is None else f" [{found['low']:.1f}, {found['high']:.1f}]")


def _knn(result: dict[str, Any]) -> str:
    return f"{result['knn']['mean']:.1f}" if "knn" in result else "-"


def _best_layer(result: dict[str, Any]) -> str:
    """The layer of the best validation score, and its test score."""
    if "layers" not in result:
        return "-"
    best = max(result["layers"], key=lambda layer: layer["valid"])
    return f"{best['layer']} ({best['mean']:.1f})"


def _epochs(result: dict[str, Any]) -> str:
    """The range of the best epochs, counted from 0."""
    low, high = min(result["epochs"]), max(result["epochs"])
    return str(low) if low == high else f"{low}-{high}"
