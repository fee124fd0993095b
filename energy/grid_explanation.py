"""Explains the current that the house connection leaves an EVSE: the sum on the phase that decides, and what holds it.

Computed when asked for, from the values with which the control law and the pauses decided.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from typing_extensions import TypedDict

from energy.balancer import (
    CALM_S,
    IDLE_A,
    PEAK_S,
    RARE_PEAK_S,
    STEP_UP_EVERY_S,
    lasting_room_a,
)
from energy.limit import floor_tenths, tenths
from foundation.constants import MINIMUM_CURRENT_A
from foundation.frozen import Frozen

if TYPE_CHECKING:
    from energy.connection import ConnectionMonitor
    from energy.house_share import HouseAllocator
    from energy.phase_state import PhaseState
    from foundation.clock import Clock


class GridHold(StrEnum):
    """Why an EVSE does not get just the current that the house leaves on the phase that decides."""

    CALM_TIME = "calm-time"
    """the phase was overloaded shortly before: nothing is raised for 30 s"""
    STEP = "step"
    """the current rises in steps of at most 4 A, at most one every 5 s"""
    PEAK = "peak"
    """the house used more shortly before: only what was free during all of the last 25 s is given"""
    UNSEEN_PEAK = "unseen-peak"
    """the grid meter sends too rarely to show each peak of the house: one of the last 15 min may recur at any time"""
    CONNECTION = "connection"
    """the house feeds in, and no more is given than the connection carries"""
    SHORTAGE = "shortage"
    """less than 6 A is left: the vehicle keeps 6 A for a moment, then charging pauses"""
    PAUSE = "pause"
    """charging pauses for lack of current, and resumes when enough has been left for some minutes"""
    MINIMUM = "minimum"
    """less than 6 A is left, with which no vehicle charges"""
    SHARING = "sharing"
    """the current is divided among several EVSEs"""


class GridExplanation(Frozen):
    """Why the house connection leaves an EVSE its current, on the phase that decides; amperes in tenths.

    `limit_a` − `house_a` − `margin_a` = `room_a`, unless the house alone exceeds the limit; then `room_a` is 0.
    """

    phase: int | None
    """the phase of the connection that decides, 1 to 3; None: the connection has one phase"""
    limit_a: float
    house_a: float
    margin_a: float
    room_a: float
    current_a: float
    held_by: GridHold | None
    held_until: datetime | None
    peak_a: float | None


class GridExplanationValues(TypedDict):
    """Why the house connection leaves an EVSE its current, on the phase that decides; all amperes in tenths.

    `limit_a` − `house_a` − `margin_a` = `room_a`, unless the house alone exceeds the limit; then `room_a` is 0.
    """

    phase: int | None
    """the phase of the house connection that decides, 1 to 3; null: the connection has one phase"""
    limit_a: float
    """limit of the house connection on this phase, amperes, for house and EVSEs together"""
    house_a: float
    """current of the house on this phase without the EVSEs, amperes; negative when it feeds in"""
    margin_a: float
    """margin that stays free below the limit, amperes: for the resolution of the grid meter, and for rounding"""
    room_a: float
    """current that is left for all EVSEs together on this phase, amperes"""
    current_a: float
    """current that the house connection allows this EVSE, amperes per phase: `room_a` if nothing holds it"""
    held_by: GridHold | None
    """why `current_a` is not `room_a`; null: it is, the EVSE may use all that is left"""
    held_until: str | None
    """when this ends at the earliest (ISO 8601, UTC); null: not known, or within seconds"""
    peak_a: float | None
    """with `peak` and `unseen-peak`: the current that the house used at its peak, amperes; else null"""


def explanation_to_json(explanation: GridExplanation) -> GridExplanationValues:
    """Convert an explanation to plain JSON values."""
    until = explanation.held_until
    return {
        "phase": explanation.phase,
        "limit_a": explanation.limit_a,
        "house_a": explanation.house_a,
        "margin_a": explanation.margin_a,
        "room_a": explanation.room_a,
        "current_a": explanation.current_a,
        "held_by": explanation.held_by,
        "held_until": until.isoformat() if until is not None else None,
        "peak_a": explanation.peak_a,
    }


class _Hold(Frozen):
    by: GridHold
    until_s: float | None = None
    """when it ends at the earliest (monotonic)"""
    peak_a: float | None = None


class GridExplainer:
    """Explains the share of an EVSE in the house connection's current, by the last division of it."""

    def __init__(self, clock: Clock, monitor: ConnectionMonitor, allocator: HouseAllocator) -> None:
        self._clock = clock
        self._monitor = monitor
        self._allocator = allocator

    def explain(self, evse_id: int) -> GridExplanation | None:
        """Explain the share of an EVSE now; None: there is none, or the house's current is not known."""
        division = self._allocator.last_division
        if division is None or (part := division.shares.get(evse_id)) is None:
            return None
        state = self._monitor.deciding_phase(division.house.loaded_phases[evse_id])
        if state is None:
            return None
        current_a = floor_tenths(part.current_a)
        hold = self._pause_hold(evse_id) or _share_hold(state, current_a) or self._control_law_hold(state, current_a)
        limit_a, house_a = tenths(state.limit_a), tenths(state.house_a)
        room_a = floor_tenths(max(0.0, state.room_a))
        return GridExplanation(
            state.index + 1 if self._monitor.connection.phases > 1 else None,
            limit_a,
            house_a,
            max(0.0, tenths(limit_a - house_a - room_a)),
            room_a,
            current_a,
            hold.by if hold is not None else None,
            self._wall_time(hold.until_s) if hold is not None else None,
            tenths(hold.peak_a) if hold is not None and hold.peak_a is not None else None,
        )

    def _pause_hold(self, evse_id: int) -> _Hold | None:
        pause, now_s = self._allocator.pause_of(evse_id), self._clock.monotonic()
        if pause.paused:  # without enough current its end is not known
            return _Hold(GridHold.PAUSE, pause.next_change_s(now_s) if pause.enough_since_s is not None else None)
        if pause.short_since_s is not None:
            return _Hold(GridHold.SHORTAGE, pause.next_change_s(now_s))
        return None

    def _control_law_hold(self, state: PhaseState, current_a: float) -> _Hold | None:
        """What keeps the available current below the room, or an EVSE from starting with it."""
        room_a, capacity, sample = floor_tenths(max(0.0, state.room_a)), state.capacity, state.sample
        if current_a >= room_a:
            return None
        if room_a < MINIMUM_CURRENT_A:
            return _Hold(GridHold.MINIMUM)
        if floor_tenths(state.available_a) < floor_tenths(capacity.current_a):
            return _Hold(GridHold.CONNECTION)
        peak = _peak_hold(state)
        calm_at_s = capacity.overloaded_at_s + CALM_S
        if sample.max_draw_a >= IDLE_A and calm_at_s > max(self._clock.monotonic(), capacity.stepped_at_s):
            peak_ends_s = peak.until_s if peak is not None else None
            return _Hold(GridHold.CALM_TIME, max(calm_at_s, peak_ends_s or calm_at_s))
        return peak or _Hold(GridHold.STEP, capacity.stepped_at_s + STEP_UP_EVERY_S)

    def _wall_time(self, at_s: float | None) -> datetime | None:
        """The wall time of a moment of the monotonic clock, to the second; None when it is past."""
        ahead_s = at_s - self._clock.monotonic() if at_s is not None else 0.0
        if ahead_s <= 0.0:
            return None
        return (self._clock.now() + timedelta(seconds=ahead_s + 0.5)).replace(microsecond=0)


def _share_hold(state: PhaseState, current_a: float) -> _Hold | None:
    """Whether other EVSEs use a part of the available current, or all of it that a vehicle could charge with."""
    available_a = floor_tenths(state.available_a)
    if current_a >= available_a or (current_a == 0.0 and available_a < MINIMUM_CURRENT_A):
        return None
    return _Hold(GridHold.SHARING)


def _peak_hold(state: PhaseState) -> _Hold | None:
    """The peak of the house that keeps the capacity from rising, if it does."""
    capacity, sample = state.capacity, state.sample
    if floor_tenths(lasting_room_a(sample, capacity.peaks)) > floor_tenths(capacity.current_a):
        return None
    at_s, peak_a = next(peak for peak in capacity.peaks if peak[0] > sample.now_s - PEAK_S)
    rarely_at_s, rare_peak_a = capacity.peaks[0]
    high_a = sample.grid_a - sample.min_draw_a
    if sample.sustained_limit_a is not None and sample.sustained_limit_a - rare_peak_a < sample.limit_a - max(
        peak_a, high_a
    ):
        return _Hold(GridHold.UNSEEN_PEAK, rarely_at_s + RARE_PEAK_S, rare_peak_a)
    if high_a > peak_a:  # the draw of the vehicles is not known exactly: the house may use this now
        return _Hold(GridHold.PEAK, None, high_a)
    return _Hold(GridHold.PEAK, at_s + PEAK_S, peak_a)
