"""`Row`: one measured figure beside its floors, with its aim and whether it is met."""

from __future__ import annotations

from foundation.frozen import Frozen


class Floor(Frozen):
    """The same figure of another program that does less, measured in the same run."""

    name: str
    figure: float
    """in the unit of its row"""


class Aim(Frozen):
    """The bound that a figure must keep: a figure in the row's unit, or a multiple of one of its floors."""

    bound: float
    at_least: bool = False
    """False: the figure may be at most `bound`; True: it must be at least `bound`"""
    floor: str | None = None
    """the name of the floor of which `bound` is a multiple; None: `bound` is a figure in the row's unit"""


class Row(Frozen):
    """One line of the table: a figure of the station."""

    name: str
    """as given to `--only`, and in the JSON file"""
    title: str
    """what was measured, for people"""
    figure: float
    unit: str
    """of the figure and of its floors; empty: a number"""
    floors: tuple[Floor, ...] = ()
    aim: Aim | None = None
    note: str = ""
    """how the measurement differs from the one that the aim is about, as in a short run; empty: not at all"""

    @property
    def met(self) -> bool | None:
        """Whether the figure keeps its aim; None without an aim.

        Raises:
            KeyError: the aim is a multiple of a floor that was not measured.
        """
        if self.aim is None:
            return None
        bound = self.aim.bound
        if self.aim.floor is not None:
            bound *= {floor.name: floor.figure for floor in self.floors}[self.aim.floor]
        return self.figure >= bound if self.aim.at_least else self.figure <= bound

    @property
    def verdict(self) -> str:
        """`met`, `NOT MET`, or nothing without an aim."""
        return {None: "", True: "met", False: "NOT MET"}[self.met]

    @property
    def aim_text(self) -> str:
        """The aim, as in `≤ 45 MiB` or `≤ 1 × ocpp client`; empty without one."""
        if self.aim is None:
            return ""
        unit = f"× {self.aim.floor}" if self.aim.floor is not None else self.unit
        return f"{'≥' if self.aim.at_least else '≤'} {self.aim.bound:,.15g} {unit}".rstrip()

    def ratio(self, floor: Floor) -> float | None:
        """The figure as a multiple of the floor's; None if the floor's is 0."""
        return self.figure / floor.figure if floor.figure else None


def figure_text(figure: float) -> str:
    """A figure with three significant digits, or as a whole number."""
    size = abs(figure)
    if size >= 100:
        return f"{figure:,.0f}"
    if size >= 10:
        return f"{figure:.1f}"
    return f"{figure:.2f}" if size >= 1 else f"{figure:.3g}"


def floor_text(row: Row, floor: Floor) -> str:
    """A floor with its name and the ratio of the row's figure to it, as in `34.4, ocpp client (× 1.66)`."""
    ratio = row.ratio(floor)
    multiple = "" if ratio is None else f" (× {figure_text(ratio)})"
    return f"{figure_text(floor.figure)}, {floor.name}{multiple}"


def line(row: Row) -> str:
    """A row as one line of text."""
    beside = "; ".join(floor_text(row, floor) for floor in row.floors)
    aim = f"aim {row.aim_text}: {row.verdict}" if row.aim is not None else ""
    note = f"({row.note})" if row.note else ""
    parts = (f"{row.title:62} {figure_text(row.figure):>9} {row.unit:5}", beside, aim, note)
    return "   ".join(part for part in parts if part).rstrip()
