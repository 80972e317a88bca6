"""A line chart as SVG: enough for the docs, and no library for it."""

import math
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 380
LEFT, RIGHT, TOP, BOTTOM = 76, 16, 40, 52


@dataclass
class Line:
    """points: (x, y), x > 0. dash: as in stroke-dasharray."""

    label: str
    color: str
    points: list[tuple[float, float]]
    width: float = 2
    dash: str = ""


def short(number: float) -> str:
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size and number % (size / 10) == 0:
            return f"{number / size:g} {suffix}"
    return f"{number:,g}"


def chart(
    title: str, x_label: str, y_label: str, lines: list[Line], y_ticks: list[float], *, y_log: bool = False
) -> str:
    """The document. x is logarithmic, a tick a decade; y runs from the first tick to the last."""
    xs = [x for line in lines for x, _ in line.points]
    first, last = math.floor(math.log10(min(xs))), math.ceil(math.log10(max(xs)))

    def scale(y: float) -> float:
        return math.log10(y) if y_log else y

    low, high = scale(y_ticks[0]), scale(y_ticks[-1])

    def at_x(x: float) -> float:
        return LEFT + (math.log10(x) - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def at_y(y: float) -> float:
        return HEIGHT - BOTTOM - (scale(y) - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><title>{escape(title)}</title><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="18" font-size="14" font-weight="bold">{escape(title)}</text>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">{escape(x_label)}</text>',
        f'<text transform="translate(16 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text>',
    ]
    for power in range(first, last + 1):
        x = at_x(10**power)
        out.append(f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#ddd"/>')
        out.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{short(10**power)}</text>')
    for tick in y_ticks:
        y = at_y(tick)
        out.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{"#888" if tick == 0 else "#ddd"}"/>')
        out.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{short(tick)}</text>')
    for i, line in enumerate(lines):
        path = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y in line.points)
        dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
        out.append(
            f'<polyline points="{path}" fill="none" stroke="{line.color}" stroke-width="{line.width}"{dash}/>'
            f'<path d="M{LEFT + 8} {TOP + 12 + 16 * i}h22" stroke="{line.color}" stroke-width="{line.width}"{dash}/>'
            f'<text x="{LEFT + 36}" y="{TOP + 16 + 16 * i}">{escape(line.label)}</text>'
        )
    return "\n".join([*out, "</svg>", ""])
