"""The two drawings of the concepts as SVG: M2D, and M2D-S."""

import random
from html import escape

STYLE = """<style>
text { font: 14px system-ui, sans-serif; fill: #1c2330; text-anchor: middle; }
.small { font-size: 12px; fill: #4a5462; }
.net { fill: #dbe8f8; stroke: #2563b0; } .frozen { fill: #eceff3; stroke: #5c6675; stroke-dasharray: 5 3; }
.loss { fill: #fdebdd; stroke: #c2571a; } .arrow { stroke: #1c2330; fill: none; marker-end: url(#tip); }
.slow { stroke: #5c6675; fill: none; stroke-dasharray: 4 3; marker-end: url(#tip); }
.seen { fill: #2e8b57; } .masked { fill: #8a4fb3; } .noisy { fill: #7a6a1f; } .cell { stroke: #ffffff; }
</style><defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto"><path d="M0 0 8 4 0 8z"
fill="#1c2330"/></marker></defs>"""
ROWS, COLUMNS, CELL = 4, 9, 14


def m2d() -> str:
    """M2D: the online network predicts what the target network makes of the masked patches."""
    masked = _masked()
    return _picture(800, 300, "M2D: visible patches go to the online network, masked patches to the target network", [
        _patches(20, 110, dict.fromkeys(range(ROWS * COLUMNS), "seen") | dict.fromkeys(masked, "masked")),
        _label(83, 100, "log-mel patches"), _label(83, 185, "green: visible", "small"),
        _label(83, 202, "purple: masked", "small"),
        _arrow(152, 122, 205, 70), _arrow(152, 150, 205, 220),
        _box(210, 45, 130, 50, "online encoder", "visible patches", "net"),
        _arrow(340, 70, 395, 70), _box(400, 45, 130, 50, "predictor", "and mask tokens", "net"),
        _box(210, 200, 130, 50, "target encoder", "masked patches", "frozen"),
        _arrow(340, 225, 395, 225), _box(400, 200, 130, 50, "standardise", "no gradient", "frozen"),
        _arrow(275, 95, 275, 195, "slow"), _label(325, 140, "EMA decay", "small"),
        _label(332, 156, "of the weights", "small"),
        _arrow(530, 70, 625, 125), _arrow(530, 225, 625, 165),
        _box(630, 115, 150, 60, "loss", "at the masked patches", "loss"),
        _label(590, 75, "prediction", "small"), _label(590, 225, "target", "small")])


def m2ds() -> str:
    """M2D-S: M2D on noisy speech, and a frozen speech model's frames of the clean speech as second target."""
    masked = _masked()
    return _picture(800, 420, "M2D-S: M2D on noisy speech, with the frames of a frozen speech model as second target", [
        _box(20, 60, 110, 40, "noise", "", "frozen"), _box(20, 300, 110, 40, "clean speech", "", "frozen"),
        _arrow(75, 100, 75, 148), _arrow(75, 300, 75, 196), _box(35, 152, 80, 40, "mix", "", "net"),
        _arrow(115, 172, 150, 172),
        _patches(155, 144, dict.fromkeys(range(ROWS * COLUMNS), "noisy") | dict.fromkeys(masked, "masked")),
        _label(218, 218, "noisy log-mel", "small"),
        _arrow(283, 155, 320, 95), _arrow(283, 180, 320, 225),
        _box(325, 60, 125, 50, "online encoder", "visible patches", "net"),
        _arrow(450, 85, 485, 85), _box(490, 60, 110, 50, "predictor", "", "net"),
        _box(325, 200, 125, 50, "target encoder", "masked patches", "frozen"),
        _arrow(387, 110, 387, 195, "slow"), _label(418, 155, "EMA", "small"),
        _arrow(450, 225, 655, 205), _arrow(600, 95, 655, 170),
        _box(660, 160, 125, 55, "M2D loss", "masked patches", "loss"),
        _arrow(130, 320, 320, 320), _box(325, 295, 155, 50, "HuBERT, layer 9", "frozen teacher", "frozen"),
        _arrow(480, 320, 655, 320), _box(660, 295, 125, 55, "offline loss", "all frames", "loss"),
        _arrow(545, 110, 545, 245), _box(490, 250, 110, 40, "linear", "", "net"), _arrow(600, 275, 655, 305),
        _label(400, 385, "Noisy speech goes in, the teacher hears the clean speech: the encoder learns to denoise.")])


def _masked() -> list[int]:
    """The same patches in both drawings, 60% of all."""
    return random.Random(1).sample(range(ROWS * COLUMNS), round(0.6 * ROWS * COLUMNS))


def _picture(width: int, height: int, title: str, parts: list[str]) -> str:
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">'
            f'<title>{escape(title)}</title>{STYLE}<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>\n'
            + "\n".join(parts) + "\n</svg>\n")


def _box(x: int, y: int, width: int, height: int, title: str, below: str, kind: str) -> str:
    middle, line = x + width // 2, y + height // 2
    text = _label(middle, line - 3 if below else line + 5, title)
    if below:
        text += _label(middle, line + 15, below, "small")
    return f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>{text}'


def _label(x: int, y: int, text: str, kind: str = "") -> str:
    return f'<text x="{x}" y="{y}"{f" class={kind!r}" if kind else ""}>{escape(text)}</text>'


def _arrow(x1: int, y1: int, x2: int, y2: int, kind: str = "arrow") -> str:
    return f'<path class="{kind}" d="M{x1} {y1} {x2} {y2}"/>'


def _patches(x: int, y: int, kinds: dict[int, str]) -> str:
    return "".join(f'<rect class="cell {kind}" x="{x + index % COLUMNS * CELL}" y="{y + index // COLUMNS * CELL}" '
                   f'width="{CELL}" height="{CELL}"/>' for index, kind in kinds.items())
