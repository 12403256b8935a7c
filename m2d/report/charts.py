"""Charts as SVG that takes the colours of its page."""

import math
from html import escape

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 420, 250, 66, 40, 12
POINTS = 300
"""Most points of one curve; more are averaged in groups."""


def line_chart(series: dict[str, list[tuple[float, float]]], x_label: str, y_label: str) -> str:
    """Curves of (x, y) with axes, ticks and a legend below; a name that begins with `valid_` is dashed."""
    series = {name: _thinned(points) for name, points in series.items() if points}
    if not series:
        return ""
    xs = [x for points in series.values() for x, _ in points]
    ys = [y for points in series.values() for _, y in points]
    x_ticks, y_ticks = ticks(min(xs), max(xs)), ticks(min(ys), max(ys))
    x0, x1, y0, y1 = min(xs + x_ticks), max(xs + x_ticks), min(ys + y_ticks), max(ys + y_ticks)

    def place(x: float, y: float) -> tuple[float, float]:
        return (LEFT + (x - x0) / (x1 - x0 or 1) * (WIDTH - LEFT - 12),
                HEIGHT - BOTTOM - (y - y0) / (y1 - y0 or 1) * (HEIGHT - BOTTOM - TOP))

    parts = []
    for tick in y_ticks:
        y = place(x0, tick)[1]
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - 12}" y1="{y:.1f}" y2="{y:.1f}"/>'
                     f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for tick in x_ticks:
        x = place(tick, y0)[0]
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{tick:g}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_label)}</text>'
                 f'<text transform="translate(11 {(HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">'
                 f'{escape(y_label)}</text>')
    legend = []
    for number, (name, points) in enumerate(series.items()):
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
        dash = ' stroke-dasharray="5 3"' if name.startswith("valid_") else ""
        parts.append(f'<polyline class="c{number % 8}" points="{line}"{dash}/>')
        legend.append(f'<span><i class="b{number % 8}"></i>{escape(name)}</span>')
    label = f"{escape(y_label)} over {escape(x_label)}: {escape(', '.join(series))}"
    return (f'<figure class="chart"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
            f'{"".join(parts)}</svg><figcaption class="legend">{"".join(legend)}</figcaption></figure>')


def bars(values: list[float], first: int, label: str) -> str:
    """Vertical bars with values in [0, 1], numbered from `first`, the largest at full height; its value on the axis."""
    step, height, left, top = 24, 60, 34, max([*values, 1e-9])
    width = max(left + len(values) * step, 100)
    parts = [f'<text x="{left - 4}" y="12" text-anchor="end">{top:.2f}</text>'
             f'<text x="{left - 4}" y="{height + 4}" text-anchor="end">0</text>'
             f'<text x="{left - 4}" y="{height + 18}" text-anchor="end">layer</text>']
    for index, value in enumerate(values):
        middle, tall = left + (index + 0.5) * step, value / top * height
        parts.append(f'<rect x="{middle - 9}" y="{height - tall + 4:.1f}" width="18" height="{tall:.1f}">'
                     f'<title>{first + index}: {value:.3f}</title></rect>'
                     f'<text x="{middle}" y="{height + 18}" text-anchor="middle">{first + index}</text>')
    return (f'<svg class="bars" viewBox="0 0 {width} {height + 24}" style="width:{width}px" role="img" '
            f'aria-label="{escape(label)}">{"".join(parts)}</svg>')


def ticks(low: float, high: float) -> list[float]:
    """About five round numbers from just below `low` to just above `high`."""
    if high <= low:
        return [low]
    raw = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw)
    return [round(index * step, 10) for index in range(math.floor(low / step), math.ceil(high / step) + 1)]


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    size = math.ceil(len(points) / POINTS)
    groups = [points[i:i + size] for i in range(0, len(points), size)]
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]
