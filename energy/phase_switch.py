"""Switches charging between one and three phases, for boards that can do so while the contactor is open.

If three phases have less than 6 A each, one of them may still have them: one phase charges from 1.4 kW, three from
4.1 kW. Each change interrupts the charge and wears contacts, so it goes down before a shortage becomes a pause, and up
only after three phases have been better for long. A charging profile may also order one phase, and name it: at once.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from energy.charging_profile import SchedulePeriod
from energy.demand import CHARGING_THRESHOLD_A, Demand
from energy.pausing import PAUSE_AFTER_S, RESUME_A, RESUME_AFTER_S
from foundation.constants import MINIMUM_CURRENT_A
from foundation.frozen import Frozen

DOWN_AFTER_S = PAUSE_AFTER_S - 2.0
"""a longer shortage on three phases switches to one phase, before it becomes a pause"""
UP_AFTER_S = RESUME_AFTER_S
"""time for which three phases must give more energy than one before switching up"""
STAYS_S = 600.0
"""shortest time on one phase"""
_VISIBLE_AFTER_S = 15.0
"""time after a change during which the draw does not show yet which phases the vehicle uses"""


class PhaseChoice(Frozen):
    """The number of phases chosen for a vehicle, one or three. Immutable: each decision gives a new object."""

    phases: int = 3
    changed_at_s: float | None = None
    """monotonic; None: not changed yet"""
    other_since_s: float | None = None
    """time (monotonic) since which the other choice would be better; None: it is not"""
    phase: int = 1
    """the phase in use if it is only one"""


def choose_phases(before: PhaseChoice, three_phase_a: float, single_phase_a: float, now_s: float) -> PhaseChoice:
    """Return the next choice by the current available on each of three phases and on one, in A; monotonic time."""
    if before.phases == 3:
        better, after_s = three_phase_a < MINIMUM_CURRENT_A <= single_phase_a, DOWN_AFTER_S
    else:
        better, after_s = three_phase_a >= RESUME_A and 3.0 * three_phase_a > single_phase_a, UP_AFTER_S
    if not better:
        return replace(before, other_since_s=None)
    since_s = now_s if before.other_since_s is None else before.other_since_s
    stayed = before.phases == 3 or before.changed_at_s is None or now_s - before.changed_at_s >= STAYS_S
    if now_s - since_s < after_s or not stayed:
        return replace(before, other_since_s=since_s)
    return PhaseChoice(1 if before.phases == 3 else 3, now_s)


def apply_phase_order(before: PhaseChoice, phase: int | None, now_s: float) -> PhaseChoice:
    """Return the choice under a profile that orders one phase (K01.FR.43, K01.FR.46, K01.FR.47).

    `phase`: the one that it names, 1 to 3; None: the one of the choice before.
    """
    phase = before.phase if phase is None else phase
    if (before.phases, before.phase) == (1, phase):
        return replace(before, other_since_s=None)
    return PhaseChoice(1, now_s, phase=phase)


class PhaseSwitches:
    """Keeps the phase choice of each EVSE whose board can switch phases, between the decisions of the load controller.

    It switches nothing: a decision carries the choice to the board.
    """

    def __init__(self) -> None:
        self._choices: dict[int, PhaseChoice] = {}

    def apply_choice(self, demand: Demand, now_s: float) -> Demand:
        """Return a copy of the demand with the chosen phases; unchanged if its board cannot switch.

        Where nobody may charge, these are three, whatever was chosen for the vehicle before.
        """
        if not demand.can_switch_phases:
            return demand
        choice = self._choices.get(demand.evse_id, PhaseChoice()) if demand.may_charge else PhaseChoice()
        shows = choice.changed_at_s is None or now_s - choice.changed_at_s >= _VISIBLE_AFTER_S
        return replace(with_phases(demand, choice.phases), phase=choice.phase, shows_phases=shows)

    def forget_idle(self, demands: Iterable[Demand]) -> None:
        """Forget the choice for each EVSE that may not charge: its next vehicle starts on three phases."""
        for demand in demands:
            if not demand.may_charge:
                self._choices.pop(demand.evse_id, None)

    def order_single_phase(self, demand: Demand, period: SchedulePeriod, now_s: float) -> None:
        """Choose one phase for a vehicle that wants energy, as this period of a profile orders (monotonic time)."""
        named = period.phase_to_use if period.phase_to_use in demand.selectable_phases else None
        self._choices[demand.evse_id] = apply_phase_order(
            self._choices.get(demand.evse_id, PhaseChoice()), named, now_s
        )

    def update_choice(self, demand: Demand, three_phase_a: float, single_phase_a: float, now_s: float) -> None:
        """Update the choice for a vehicle by the current available on each of three phases and on one, in A."""
        if demand.phases == 3 and len(demand.terminals) < 3:
            return  # the vehicle itself uses one only
        before = self._choices.get(demand.evse_id, PhaseChoice())
        self._choices[demand.evse_id] = choose_phases(before, three_phase_a, single_phase_a, now_s)


def with_phases(demand: Demand, phases: int) -> Demand:
    """Return a copy of the demand with `phases` phases in use; a shared limit in watts is then a different current."""
    return replace(demand, phases=phases, target=replace(demand.target, phases=phases))


def while_still_drawing(demand: Demand) -> Demand:
    """Return the demand with all three phases while its vehicle still draws on a deselected one; else unchanged."""
    drawn = {terminal for terminal, current_a in enumerate(demand.currents_a) if current_a >= CHARGING_THRESHOLD_A}
    return with_phases(demand, 3) if demand.can_switch_phases and drawn - demand.terminals else demand
