"""The little SVG that the report's charts need: scales, ticks, shapes. Colours and fonts are the page's CSS."""

import math
from collections.abc import Iterable, Sequence
from datetime import timedelta
from html import escape
from typing import NamedTuple

from shared.clock import utc_from_us

_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)


class Scale(NamedTuple):
    """A straight line from values to pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        span = self.high - self.low
        return self.start + (value - self.low) / span * (self.end - self.start) if span else self.start


def svg(width: float, height: float, parts: Iterable[str], *, label: str) -> str:
    """A drawing of this size in pixels."""
    body = "".join(parts)
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    return f'<svg {size} role="img" aria-label="{escape(label)}">{body}</svg>'


def text(x: float, y: float, content: str, *, style: str = "", anchor: str = "start") -> str:
    """A line of text whose baseline is at `y`."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}" text-anchor="{anchor}">{escape(content)}</text>'


def line(start: tuple[float, float], end: tuple[float, float], *, style: str) -> str:
    """A straight line."""
    (x1, y1), (x2, y2) = start, end
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{style}"/>'


def rect(x: tuple[float, float], y: tuple[float, float], *, style: str, title: str = "", radius: float = 0) -> str:
    """A rectangle between two x and two y, in any order, with what a mouse is told over it."""
    left, right, top, bottom = *sorted(x), *sorted(y)
    told = f"<title>{escape(title)}</title>" if title else ""
    corners = f' rx="{radius:.1f}"' if radius else ""
    size = f'width="{max(right - left, 0.5):.1f}" height="{max(bottom - top, 0.8):.1f}"'
    return f'<rect x="{left:.1f}" y="{top:.1f}" {size}{corners} class="{style}">{told}</rect>'


def path(points: Sequence[tuple[float, float]], *, style: str) -> str:
    """A line through points, thinned to what one pixel column can show: its first, last, lowest and highest."""
    kept: list[tuple[float, float]] = []
    column: list[tuple[float, float]] = []
    for point in points:
        if column and int(point[0]) != int(column[0][0]):
            kept += _outline(column)
            column = []
        column.append(point)
    kept += _outline(column)
    moves = "L".join(f"{x:.1f} {y:.1f}" for x, y in kept)
    return f'<path d="M{moves}" class="{style}"/>' if kept else ""


def _outline(column: list[tuple[float, float]]) -> list[tuple[float, float]]:
    if len(column) <= 4:
        return column
    wanted = {0, len(column) - 1}
    wanted.add(min(range(len(column)), key=lambda index: column[index][1]))
    wanted.add(max(range(len(column)), key=lambda index: column[index][1]))
    return [column[index] for index in sorted(wanted)]


def ticks(low: float, high: float, *, count: int) -> list[float]:
    """About `count` round numbers within the range.

    >>> ticks(0.0, 10.0, count=5)
    [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    """
    if not high > low:
        return [low]
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(index * step, 12) for index in range(first, math.floor(high / step + 1e-9) + 1)]


def time_ticks(low_us: int, high_us: int, *, count: int) -> list[int]:
    """About `count` round UTC moments within the range."""
    rough_s = (high_us - low_us) / 1e6 / count
    step_us = next((step for step in _SECONDS if step >= rough_s), _SECONDS[-1]) * 1_000_000
    return list(range(-(-low_us // step_us) * step_us, high_us + 1, step_us))


def clock(us: int, *, places: int = 0) -> str:
    """The time of day in UTC.

    >>> clock(1_700_000_000_123_456, places=3)
    '22:13:20.123'
    """
    moment = utc_from_us(us)
    if not places:
        return f"{moment + timedelta(microseconds=500_000):%H:%M:%S}"
    return f"{moment:%H:%M:%S}.{moment.microsecond:06d}"[: 9 + places]
