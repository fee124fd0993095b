"""Charts as inline SVG, whose colours come from the style of the page. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Final

from foundation.frozen import Frozen

_WIDTH: Final = 640.0
_HEIGHT: Final = 220.0
_LEFT_MARGIN: Final = 56.0
_RIGHT_MARGIN: Final = 12.0
_TOP_MARGIN: Final = 12.0
_BOTTOM_MARGIN: Final = 28.0
_BAR_HEIGHT: Final = 22.0
_BAR_LEFT: Final = 190.0
_BAR_RIGHT: Final = 110.0


class ChartLine(Frozen):
    """One line of a chart."""

    name: str
    points: Sequence[tuple[float, float | None]]
    """x and y, in ascending x; a None interrupts the line"""


class ChartBar(Frozen):
    """One bar of a bar chart, with a second, shorter value drawn within it."""

    name: str
    value: float
    inner: float
    text: str
    """the values, for readers"""


class ChartMark(Frozen):
    """A time span that is marked in a line chart."""

    letter: str
    """label at the begin of the span"""
    meaning: str
    """tooltip of the span"""
    from_x: float
    """seconds"""
    until_x: float
    """seconds; equal to `from_x` for a moment"""


def line_chart(
    title: str, series: Sequence[ChartLine], show: Callable[[float], str], marks: Sequence[ChartMark] = ()
) -> str:
    """Draw series over time in seconds, with marked times; `show` formats a value of the y axis."""
    xs = [x for line in series for x, _ in line.points]
    ys = [y for line in series for _, y in line.points if y is not None]
    x_max, y_ticks = max([*xs, 1.0]), ticks(max([*ys, 0.0]))
    y_max = y_ticks[-1]

    def place(x: float, y: float) -> str:
        across = _LEFT_MARGIN + x / x_max * (_WIDTH - _LEFT_MARGIN - _RIGHT_MARGIN)
        down = _HEIGHT - _BOTTOM_MARGIN - y / y_max * (_HEIGHT - _TOP_MARGIN - _BOTTOM_MARGIN)
        return f"{across:.1f} {down:.1f}"

    parts = [f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" aria-label="{escape(title)}">']
    parts.extend(_svg_marks(marks, x_max))
    for tick in y_ticks:
        down = _HEIGHT - _BOTTOM_MARGIN - tick / y_max * (_HEIGHT - _TOP_MARGIN - _BOTTOM_MARGIN)
        parts.append(f'<path class="grid" d="M{_LEFT_MARGIN:g} {down:.1f}H{_WIDTH - _RIGHT_MARGIN:g}"/>')
        parts.append(f'<text class="y" x="{_LEFT_MARGIN - 6:g}" y="{down + 4:.1f}">{escape(show(tick))}</text>')
    for tick in ticks(x_max):
        if tick <= x_max:
            across = _LEFT_MARGIN + tick / x_max * (_WIDTH - _LEFT_MARGIN - _RIGHT_MARGIN)
            parts.append(f'<text class="x" x="{across:.1f}" y="{_HEIGHT - 8:g}">{tick:g} s</text>')
    for index, line in enumerate(series):
        if path := _svg_path(line.points, place):
            parts.append(f'<path class="line c{index}" d="{path}"><title>{escape(line.name)}</title></path>')
    legend = "".join(f'<span><i class="c{index}"></i>{escape(line.name)}</span>' for index, line in enumerate(series))
    return _svg_figure(title, "".join([*parts, "</svg>"]), f'<div class="legend">{legend}</div>' if legend else "")


def bar_chart(title: str, bars: Sequence[ChartBar], legend: str) -> str:
    """Draw horizontal bars; `legend` says what bar and inner bar are."""
    height = len(bars) * _BAR_HEIGHT + 8.0
    longest = max([bar.value for bar in bars] or [0.0]) or 1.0
    room = _WIDTH - _BAR_LEFT - _BAR_RIGHT
    parts = [f'<svg viewBox="0 0 {_WIDTH:g} {height:g}" role="img" aria-label="{escape(title)}">']
    for index, bar in enumerate(bars):
        down = index * _BAR_HEIGHT + 4.0
        for kind, value in (("bar", bar.value), ("bar inner", bar.inner)):
            width = max(1.0, value / longest * room)
            parts.append(f'<rect class="{kind}" x="{_BAR_LEFT:g}" y="{down:.1f}" width="{width:.1f}" height="14"/>')
        parts.append(f'<text class="y" x="{_BAR_LEFT - 8:g}" y="{down + 11:.1f}">{escape(bar.name)}</text>')
        end = _BAR_LEFT + max(1.0, bar.value / longest * room) + 6.0
        parts.append(f'<text x="{end:.1f}" y="{down + 11:.1f}">{escape(bar.text)}</text>')
    return _svg_figure(title, "".join([*parts, "</svg>"]), f'<div class="legend">{escape(legend)}</div>')


def ticks(highest: float) -> list[float]:
    """Values of an axis: 0 and up to five more at round steps, the last of which is at least `highest`."""
    if highest <= 0.0:
        return [0.0, 1.0]
    rough = highest / 4.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * power >= rough)
    return [index * step for index in range(math.ceil(highest / step - 1e-9) + 1)]


def _svg_marks(marks: Iterable[ChartMark], x_max: float) -> Iterable[str]:
    """Draw marked times behind the lines of a chart."""
    for mark in marks:
        left_x, right_x = (
            _LEFT_MARGIN + min(x, x_max) / x_max * (_WIDTH - _LEFT_MARGIN - _RIGHT_MARGIN)
            for x in (mark.from_x, max(mark.from_x, mark.until_x))
        )
        yield (
            f'<g class="mark"><title>{escape(mark.meaning)}</title><rect x="{left_x:.1f}" y="{_TOP_MARGIN:g}"'
            f' width="{max(1.0, right_x - left_x):.1f}" height="{_HEIGHT - _TOP_MARGIN - _BOTTOM_MARGIN:g}"/>'
            f'<text x="{left_x:.1f}" y="{_TOP_MARGIN - 2:g}">{escape(mark.letter)}</text></g>'
        )


def _svg_path(points: Iterable[tuple[float, float | None]], place: Callable[[float, float], str]) -> str:
    steps: list[str] = []
    begins = True
    for x, y in points:
        if y is None:
            begins = True
            continue
        steps.append(f"M{place(x, y)}h0" if begins else f"L{place(x, y)}")  # h0: a dot if nothing follows
        begins = False
    return "".join(steps)


def _svg_figure(title: str, drawing: str, legend: str) -> str:
    return f"<figure><figcaption>{escape(title)}</figcaption>{drawing}{legend}</figure>"
