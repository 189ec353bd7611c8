"""A series of numbers as a small picture: SVG text, drawn without a library or a script."""

from __future__ import annotations

from html import escape
from typing import List, NamedTuple, Sequence, Tuple

_WIDTH, _HEIGHT = 320, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 8, 22, 18
BUCKETS = 160  # the lowest and the highest point of each are drawn
_INFINITY = float("inf")

Point = Tuple[float, float]


class Series(NamedTuple):
    """Numbers by step, or by position where they have none."""

    name: str
    points: Sequence[Point]


def draw(series: Series) -> str:
    """The chart. What is not finite is left out of the line."""
    finite = [(x, y) for x, y in series.points if -_INFINITY < y < _INFINITY]
    title = f'<text x="4" y="13" class="my-title">{escape(series.name)}</text>'
    if not finite:
        return _svg(series.name, title + f'<text x="4" y="{_HEIGHT // 2}">no finite value</text>')
    xs, ys = [x for x, _ in finite], [y for _, y in finite]
    x_scale = _Scale(min(xs), max(xs), _LEFT, _WIDTH - _RIGHT)
    y_scale = _Scale(min(ys), max(ys), _HEIGHT - _BOTTOM, _TOP)
    line = " ".join(f"{x_scale(x):.1f},{y_scale(y):.1f}" for x, y in reduced(finite))
    last_x, last_y = finite[-1]
    parts = [
        title,
        f'<text x="{_WIDTH - _RIGHT}" y="13" text-anchor="end" class="my-last">{shown(series.points[-1][1])}</text>',
        f'<path d="M{_LEFT} {_TOP}V{_HEIGHT - _BOTTOM}H{_WIDTH - _RIGHT}" class="my-axis"/>',
        _label(_LEFT - 4, _TOP + 4, "end", max(ys)),
        _label(_LEFT - 4, _HEIGHT - _BOTTOM, "end", min(ys)) if min(ys) < max(ys) else "",
        _label(_LEFT, _HEIGHT - 5, "start", min(xs)),
        _label(_WIDTH - _RIGHT, _HEIGHT - 5, "end", max(xs)) if min(xs) < max(xs) else "",
        f'<polyline points="{line}" class="my-line"/>',
        f'<circle cx="{x_scale(last_x):.1f}" cy="{y_scale(last_y):.1f}" r="2.5" class="my-dot"/>',
    ]
    return _svg(series.name, "".join(parts))


def reduced(points: List[Point]) -> List[Point]:
    """At most two points a bucket, so that a long series stays a small picture and keeps its peaks."""
    if len(points) <= 2 * BUCKETS:
        return points
    size = len(points) / BUCKETS
    found: List[Point] = []
    for bucket in range(BUCKETS):
        part = points[int(bucket * size) : int((bucket + 1) * size)]
        low, high = min(part, key=_height), max(part, key=_height)
        found += sorted({low, high})
    return found


def shown(value: float) -> str:
    """A number in few characters."""
    if not -_INFINITY < value < _INFINITY:
        return "NaN" if value != value else "∞" if value > 0 else "-∞"
    return f"{value:.5g}"


class _Scale:
    """From numbers to pixels; a single number lies in the middle. In halves, so that no difference overflows."""

    def __init__(self, low: float, high: float, first: float, last: float) -> None:
        self._low, self._span = low / 2, high / 2 - low / 2
        self._first, self._length = first, last - first

    def __call__(self, value: float) -> float:
        share = (value / 2 - self._low) / self._span if self._span else 0.5
        return self._first + self._length * share


def _height(point: Point) -> float:
    return point[1]


def _label(x: float, y: float, anchor: str, value: float) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{shown(value)}</text>'


def _svg(name: str, content: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img" '
        f'aria-label="{escape(name)}">{content}</svg>'
    )
