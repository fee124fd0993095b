"""The pictures of a replay (matplotlib): an evening, the scores, and the elements of the control law."""

# pyright: reportUnknownMemberType=false
# Matplotlib leaves the types of its keyword arguments open.

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import matplotlib as mpl

from bench.replay.models import ReplayScore, ReplaySite
from bench.replay.run import NAMES, ORACLE, OURS, PATIENT, Scores, replay
from bench.replay.traces import HOUR_S, LoadTrace
from energy.failsafe import FailsafeSteps
from energy.trip import BREAKER_C, LINKY, Protection

mpl.use("Agg")
import matplotlib.pyplot as plt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_OURS_COLOUR, _PEER_COLOUR, _ORACLE_COLOUR = "#00785a", "#9aa5b1", "#3b6ea5"
_DPI = 80


def draw(
    folder: Path,
    sites: Sequence[ReplaySite],
    traces_of: Callable[[ReplaySite, int], Sequence[LoadTrace]],
    found: dict[str, Scores],
) -> None:
    """Write all pictures into a folder."""
    _scores(folder, found)
    _evening(folder, sites[0], traces_of(sites[0], 1)[0])
    _budget(folder)
    _ladder(folder)


def _new_figure(rows: int, columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    figure, axes = plt.subplots(rows, columns, figsize=(width, height), squeeze=False, layout="constrained")
    flat = [cast("Axes", axes_of_plot) for row in axes for axes_of_plot in row]
    for axes_of_plot in flat:
        axes_of_plot.spines[["top", "right"]].set_visible(False)
    return figure, flat


def _save_figure(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=_DPI)
    plt.close(figure)


def _scores(folder: Path, found: dict[str, Scores]) -> None:
    """Draw four scores of each controller, over all sites."""
    seconds = {name: sum(scores[name].seconds for scores in found.values()) for name in NAMES}
    best_wh = sum(scores[ORACLE].energy_wh for scores in found.values())
    figure, axes = _new_figure(1, 4, 11.0, 3.2)
    plots: tuple[tuple[str, Callable[[ReplayScore], float], bool], ...] = (
        ("trips", lambda score: score.trips, False),
        ("above the limit, seconds an hour", lambda score: score.above_s * HOUR_S, True),
        ("energy, % of the oracle's", lambda score: score.energy_wh / best_wh * 100.0, False),
        ("pauses a day of 24 h", lambda score: score.pauses * 24.0 * HOUR_S, True),
    )
    for axis, (title, value_of, by_time) in zip(axes, plots, strict=True):
        values = [
            sum(value_of(scores[name]) for scores in found.values()) / (seconds[name] if by_time else 1)
            for name in NAMES
        ]
        colours = [
            {OURS: _OURS_COLOUR, ORACLE: _ORACLE_COLOUR, PATIENT: _ORACLE_COLOUR}.get(name, _PEER_COLOUR)
            for name in NAMES
        ]
        bars = axis.barh(list(NAMES), values, color=colours)
        axis.bar_label(bars, [f"{value:.1f}" if value < 1000 else f"{value:.0f}" for value in values], padding=2)
        axis.invert_yaxis()
        axis.set_title(title, fontsize=9)
        axis.margins(x=0.25)
        axis.tick_params(axis="y", labelleft=axis is axes[0])
        axis.set_xticks([])
    _save_figure(figure, folder / "scores.png")


def _evening(folder: Path, site: ReplaySite, trace: LoadTrace) -> None:
    """Draw two hours of an evening: currents and offers, with this project's controller and with a peer."""
    last = min(HOUR_S * 9 // 4, len(trace))
    first = min(HOUR_S // 4, last // 2)
    figure, axes = _new_figure(2, 1, 9.0, 4.6)
    hours = [(trace.begins_s + second) / HOUR_S for second in range(first, last)]
    house = trace.currents_a[0][first:last]
    for axis, name in zip(axes, (OURS, "evcc"), strict=True):
        score = replay(site, [trace], name, keep=True)
        axis.fill_between(hours, house, color="#d9dee4", label="house", linewidth=0)
        axis.plot(hours, score.flows[first:last], color="#5b6672", linewidth=0.7, label="house and vehicle")
        axis.plot(hours, score.offers[first:last], color=_OURS_COLOUR, linewidth=1.1, label="offered")
        axis.axhline(site.limit_a, color="#c0392b", linewidth=0.8, label="limit")
        axis.set_ylabel("A")
        axis.set_title(name, fontsize=9, loc="left")
        axis.set_ylim(0, site.limit_a * 1.6)
        axis.xaxis.set_major_formatter(lambda hour, _: f"{int(hour)}:{round(hour % 1 * 60):02d}")
    axes[0].legend(ncols=4, fontsize=8, frameon=False, loc="upper right")
    _save_figure(figure, folder / "evening.png")


def _budget(folder: Path) -> None:
    """Draw the seconds until a protection opens, from cold and from full load."""
    figure, (axis,) = _new_figure(1, 1, 5.5, 3.4)
    loads = [1.3 + step / 100 for step in range(1, 371)]
    for curve, colour in ((LINKY, _OURS_COLOUR), (BREAKER_C, _ORACLE_COLOUR)):
        for heat, style in ((0.0, "--"), (1.0, "-")):
            seconds = [Protection(curve, heat).seconds_left(load) for load in loads]
            label = f"{'Linky' if curve is LINKY else 'breaker C'}, {'from full load' if heat else 'cold'}"
            known = [(x, s) for x, s in zip(loads, seconds, strict=True) if math.isfinite(s) and s > 0]
            axis.plot([x for x, _ in known], [s for _, s in known], style, color=colour, label=label, linewidth=1.2)
    axis.axhline(5.0, color="#c0392b", linewidth=0.8)
    axis.text(4.95, 5.5, "a vehicle may take 5 s to follow", ha="right", fontsize=8, color="#c0392b")
    axis.set_yscale("log")
    axis.set_xlabel("load, multiples of the rating")
    axis.set_ylabel("seconds until it opens")
    axis.legend(fontsize=8, frameon=False)
    _save_figure(figure, folder / "budget.png")


def _ladder(folder: Path) -> None:
    """Draw the limit while the meter is silent, from 26 A with a safe current of 10 A."""
    figure, (axis,) = _new_figure(1, 1, 5.5, 2.6)
    ladder = FailsafeSteps(10.0)
    silences = [10 ** (step / 100) for step in range(400)]
    axis.step(silences, [ladder.limit_a(26.0, silent_s) for silent_s in silences], color=_OURS_COLOUR, where="post")
    axis.set_xscale("log")
    axis.set_xlabel("seconds of silence")
    axis.set_ylabel("A")
    for at_s, text in ((1.2, "held"), (12, "safe current"), (610, "6 A"), (3700, "pause")):
        axis.text(at_s, ladder.limit_a(26.0, at_s) + 0.7, text, fontsize=8)
    _save_figure(figure, folder / "ladder.png")
