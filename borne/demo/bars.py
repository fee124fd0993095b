"""A bar and a chart of currents against a limit, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.measure import Measurement
from rich.text import Text

from foundation.frozen import Frozen

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_SAMPLES_PER_COLUMN = 4


class Bar(Frozen):
    """A horizontal bar of stacked currents on the terminal, with a mark at the limit."""

    parts: Sequence[tuple[float, str]]
    """amperes and colour (of `rich`) of each section, from the left"""
    limit_a: float
    most_a: float
    """amperes at the right end"""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        text, drawn, sum_a = Text(no_wrap=True), 0, 0.0
        for current_a, colour in self.parts:
            sum_a += current_a
            until = min(width, round(sum_a / self.most_a * width))
            text.append("█" * (until - drawn), colour)
            drawn = max(drawn, until)
        text.append("·" * (width - drawn), "grey30")
        mark = min(width - 1, round(self.limit_a / self.most_a * width))
        over = text.plain[mark] == "█"
        marked = text[:mark] + Text("┃", "bold white on red" if over else "bold red") + text[mark + 1 :]
        marked.no_wrap = True
        yield marked

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(10, options.max_width)


class Chart(Frozen):
    """A chart of the grid current on the terminal, one column per second: the car stacked on the house."""

    history: Sequence[tuple[float, float]]
    """amperes of the house without the car, and of both, for each sample (4 per second); the newest last"""
    limit_a: float
    most_a: float
    """amperes at the upper edge"""
    house: str
    """colour of the house"""
    car: str
    """colour of the car"""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = options.max_width - 5, options.height or 8
        columns = self._column_samples(width)
        limit_row = int(self.limit_a / self.most_a * height)
        for row in reversed(range(height)):
            label = f"{self.limit_a:.0f} A" if row == limit_row else "0 A" if row == 0 else ""
            text = Text(f"{label:>4} ", "red" if row == limit_row else "grey62", no_wrap=True)
            text.append("╌" * (width - len(columns)) if row == limit_row else " " * (width - len(columns)), "red3")
            for house_a, total_a in columns:
                text.append(*self._cell_text(row, height, house_a, total_a, row == limit_row))
            yield text

    def _column_samples(self, width: int) -> list[tuple[float, float]]:
        """The highest sample of each second."""
        # In whole seconds from the beginning, so that a drawn column does not change.
        seconds = [
            self.history[at : at + _SAMPLES_PER_COLUMN] for at in range(0, len(self.history), _SAMPLES_PER_COLUMN)
        ]
        return [max(second, key=lambda sample: sample[1]) for second in seconds][-width:]

    def _cell_text(self, row: int, height: int, house_a: float, total_a: float, limit: bool) -> tuple[str, str]:
        house = self._filled_eighths(house_a, row, height)
        total = self._filled_eighths(total_a, row, height)
        over = total_a > self.limit_a and row * self.most_a / height >= self.limit_a - self.most_a / height
        car = "red1" if over else self.car
        if house == 8:
            return "█", self.house
        if house > 0:
            return _EIGHTHS[house], f"{self.house} on {car}" if total == 8 else self.house
        if total > 0:
            return _EIGHTHS[total], car
        return ("╌", "red3") if limit else (" ", "")

    def _filled_eighths(self, current_a: float, row: int, height: int) -> int:
        """Filled eighths of the cell in this row."""
        return max(0, min(8, round((current_a / self.most_a * height - row) * 8)))
