"""The report's two pictures, as SVG text: a load over time, and a count beside the bounds it had to meet."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

WIDTH, HEIGHT, LEFT = 720, 150, 44
COLOURS = ("var(--c0)", "var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)")
FAILED = "var(--bad)"


def timeline(seconds: Sequence[Mapping[str, Any]]) -> Markup:
    """Stacked bars, one a second: answers by label (or all together), failures on top in red; p50 and p99 as the bar's tool tip."""
    if not seconds:
        return Markup("")
    labels = sorted({label for second in seconds for label in second["labels"]})
    peak = max(1, *(second["ok"] + second["failed"] for second in seconds))
    bar = (WIDTH - LEFT) / len(seconds)
    parts = [_axis(peak)]
    for index, second in enumerate(seconds):
        stack = [(COLOURS[i % len(COLOURS)], second["labels"].get(label, 0)) for i, label in enumerate(labels)]
        if not labels:
            stack = [(COLOURS[0], second["ok"])]
        tip = f"{second['at_seconds']:.0f} s: {second['ok']} ok, {second['failed']} failed, "
        tip += f"p50 {second['p50_us'] / 1000:.2f} ms, p99 {second['p99_us'] / 1000:.2f} ms"
        parts.append(_bar(LEFT + index * bar, max(1.0, bar - 1.5), [*stack, (FAILED, second["failed"])], peak, tip))
    legend = "".join(
        f'<tspan fill="{COLOURS[i % len(COLOURS)]}" dx="12">■</tspan> <tspan>{escape(label or "(none)")}</tspan>'
        for i, label in enumerate(labels)
    )
    parts.append(f'<text x="{LEFT}" y="{HEIGHT + 34}" class="axis">{legend}</text>')
    return Markup(  # noqa: S704  # every text in it is escaped above
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT + 42}" role="img" aria-label="requests per second over time">{"".join(parts)}</svg>'
    )


def _axis(peak: int) -> str:
    line = f'<line x1="{LEFT}" y1="{HEIGHT + 12}" x2="{WIDTH}" y2="{HEIGHT + 12}" class="rule"/>'
    return f'{line}<text x="4" y="20" class="axis">{peak}/s</text><text x="4" y="{HEIGHT + 12}" class="axis">0</text>'


def _bar(x: float, width: float, stack: Sequence[tuple[str, int]], peak: int, tip: str) -> str:
    top, parts = float(HEIGHT + 12), []
    for colour, count in stack:
        height = count / peak * HEIGHT
        top -= height
        if count:
            parts.append(f'<rect x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>')
    return f"<g><title>{escape(tip)}</title>{''.join(parts)}</g>"


def bounds_bar(row: Mapping[str, Any], total: int) -> Markup:
    """A line from 0 to ``total``: the allowed range as a band, what was seen as a tick."""
    width, scale = 260, 260 / max(1, total)
    colour = "var(--good)" if row["ok"] else "var(--bad)"
    low, high, count = row["low"] * scale, row["high"] * scale, row["count"] * scale
    return Markup(  # noqa: S704  # numbers only
        f'<svg viewBox="0 0 {width} 14" class="bounds" role="img" aria-label="{int(row["count"])} of {int(total)}">'
        f'<line x1="0" y1="7" x2="{width}" y2="7" class="rule"/>'
        f'<rect x="{low:.1f}" y="3" width="{max(1.5, high - low):.1f}" height="8" fill="{colour}" opacity=".3"/>'
        f'<rect x="{count - 1:.1f}" y="0" width="2.5" height="14" fill="{colour}"/></svg>'
    )
