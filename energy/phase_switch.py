"""Whether a vehicle charges on one phase or on three, where the board can take two away while the contactor is open.

Where three phases have no 6 A each, one of them may still have: 1.4 kW begin there, and 4.1 kW on three. Each change
interrupts the charge and wears contacts, so it goes down before a shortage becomes a pause, and up again only when
that has been worth it for long. A charging profile may also order one phase, and name it: that holds at once.
"""

from __future__ import annotations

from dataclasses import replace

from energy.charging_profile import Period
from energy.demand import CHARGING_THRESHOLD_A, Demand
from energy.pausing import PAUSE_AFTER_S, RESUME_A, RESUME_AFTER_S
from foundation.constants import MINIMUM_CURRENT_A
from foundation.frozen import frozen

DOWN_AFTER_S = PAUSE_AFTER_S - 2.0
"""a shortage on three phases that lasts longer becomes one phase, before it becomes a pause"""
UP_AFTER_S = RESUME_AFTER_S
"""so long three phases must promise more energy than one"""
STAYS_S = 600.0
"""so long it stays on one phase at least"""
_SHOWS_S = 15.0
"""after a change a vehicle's draw does not tell at once which phases it uses"""


@frozen
class PhaseChoice:
    """On how many phases a vehicle charges. A value: each look makes a new one."""

    phases: int = 3
    changed_at_s: float | None = None
    other_since_s: float | None = None
    """since when the other choice would be the better one"""
    phase: int = 1
    """which one it is, where it is one"""


def choose_phases(before: PhaseChoice, three_a: float, one_a: float, now_s: float) -> PhaseChoice:
    """The choice after a look at what there would be on each of three phases and on one; A, s (monotonic)."""
    if before.phases == 3:
        better, after_s = three_a < MINIMUM_CURRENT_A <= one_a, DOWN_AFTER_S
    else:
        better, after_s = three_a >= RESUME_A and 3.0 * three_a > one_a, UP_AFTER_S
    if not better:
        return replace(before, other_since_s=None)
    since_s = now_s if before.other_since_s is None else before.other_since_s
    stayed = before.phases == 3 or before.changed_at_s is None or now_s - before.changed_at_s >= STAYS_S
    if now_s - since_s < after_s or not stayed:
        return replace(before, other_since_s=since_s)
    return PhaseChoice(1 if before.phases == 3 else 3, now_s)


def apply_phase_order(before: PhaseChoice, phase: int | None, now_s: float) -> PhaseChoice:
    """The choice where a profile orders one phase, and perhaps says which (K01.FR.43, K01.FR.46, K01.FR.47)."""
    phase = before.phase if phase is None else phase
    if (before.phases, before.phase) == (1, phase):
        return replace(before, other_since_s=None)
    return PhaseChoice(1, now_s, phase=phase)


class PhaseSwitches:
    """The choices of all EVSEs whose boards can switch."""

    def __init__(self) -> None:
        self._choices: dict[int, PhaseChoice] = {}

    def apply_choice(self, demand: Demand, now_s: float) -> Demand:
        """The demand as it is with what was chosen; the next vehicle begins on three phases again."""
        if not demand.can_switch_phases:
            return demand
        if not demand.wants:
            self._choices.pop(demand.evse_id, None)
        choice = self._choices.get(demand.evse_id, PhaseChoice())
        shows = choice.changed_at_s is None or now_s - choice.changed_at_s >= _SHOWS_S
        return replace(with_phases(demand, choice.phases), phase=choice.phase, shows_phases=shows)

    def order_single_phase(self, demand: Demand, period: Period, now_s: float) -> None:
        """A profile lets a vehicle that wants energy use one phase."""
        named = period.phase_to_use if period.phase_to_use in demand.selectable_phases else None
        self._choices[demand.evse_id] = apply_phase_order(
            self._choices.get(demand.evse_id, PhaseChoice()), named, now_s
        )

    def update_choice(self, demand: Demand, three_a: float, one_a: float, now_s: float) -> None:
        """What there would be for a vehicle that wants energy, on three phases and on one."""
        if demand.phases == 3 and len(demand.terminals) < 3:
            return  # the vehicle itself uses one only
        before = self._choices.get(demand.evse_id, PhaseChoice())
        self._choices[demand.evse_id] = choose_phases(before, three_a, one_a, now_s)


def with_phases(demand: Demand, phases: int) -> Demand:
    """The same demand with the vehicle on `phases` phases; a shared limit in watts is then a different current."""
    return replace(demand, phases=phases, target=replace(demand.target, phases=phases))


def while_still_drawing(demand: Demand) -> Demand:
    """The demand as long as its vehicle draws on phases that were taken away: that ends when the contactor opens."""
    drawn = {terminal for terminal, current_a in enumerate(demand.currents_a) if current_a >= CHARGING_THRESHOLD_A}
    return with_phases(demand, 3) if demand.can_switch_phases and drawn - demand.terminals else demand
