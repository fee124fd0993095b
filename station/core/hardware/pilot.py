"""Conversions for control and proximity pilot: duty cycle ↔ current, voltage → state, resistance → cable rating.

Pure. Sources: IEC 61851-1 annex A (tables A.2, A.4, A.7 and A.8: voltages, duty cycles of the station and how a vehicle
reads them) and annex B (table B.2: resistors of cable assemblies). The figures were not checked against the text of
the standard; where editions differ, the narrower tolerance is used. Duty cycles are fractions from 0 to 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from foundation.constants import MAXIMUM_CURRENT_A, MINIMUM_CURRENT_A
from foundation.frozen import Frozen
from station.core.model import PilotState

if TYPE_CHECKING:
    from station.core.hardware.board import Outputs

STEADY: Final = 1.0
"""steady pilot at +12 V: no energy is offered"""

DIGITAL: Final = 0.05
"""the duty cycle that asks the vehicle to communicate (table A.8: 3 % to 7 %)"""
_KNEE_A: Final = 51.0
"""up to this current, duty cycle = current / 60 A"""
_KNEE_DUTY: Final = 0.85
_MAX_OFFERING_DUTY: Final = 0.97
"""table A.8: the highest duty cycle that offers current; a higher one offers none"""


def duty_cycle(current_a: float | None) -> float:
    """The duty cycle, 0 to 1, that offers a current in amperes per phase (table A.7); for None the steady pilot.

    Between 51 and 52.5 A both formulas of the table apply; the one that offers less is used.

    Raises:
        ValueError: a pilot cannot signal this current.
    """
    if current_a is None:
        return STEADY
    if not MINIMUM_CURRENT_A <= current_a <= MAXIMUM_CURRENT_A:
        raise ValueError(f"pilot current must be {MINIMUM_CURRENT_A:g} to {MAXIMUM_CURRENT_A:g} A, not {current_a:g} A")
    if current_a <= _KNEE_A:
        return current_a / 60.0
    return max(_KNEE_DUTY, current_a / 250.0 + 0.64)


def commanded_duty_cycle(outputs: Outputs) -> float:
    """The duty cycle, 0 to 1, for the outputs of a board: steady −12 V, 5 %, an offered current, or steady +12 V.

    Raises:
        ValueError: a pilot cannot signal this current.
    """
    if outputs.pilot_fault:
        return 0.0
    return DIGITAL if outputs.pilot_digital else duty_cycle(outputs.pilot_a)


class PilotOffer(Frozen):
    """What a duty cycle of the control pilot offers to a vehicle."""

    current_a: float
    """permitted current per phase; 0: none"""
    digital: bool = False
    """digital communication is required (ISO 15118)"""


NO_OFFER: Final = PilotOffer(0.0)


def read_duty_cycle(duty: float) -> PilotOffer:
    """Interpret a duty cycle, 0 to 1, as a vehicle does (table A.8)."""
    if 0.03 <= duty <= 0.07:
        return PilotOffer(0.0, digital=True)
    if duty < 0.08 or duty > _MAX_OFFERING_DUTY:
        return NO_OFFER
    if duty < 0.10:
        return PilotOffer(MINIMUM_CURRENT_A)
    if duty <= _KNEE_DUTY:
        return PilotOffer(duty * 60.0)
    return PilotOffer(min(MAXIMUM_CURRENT_A, (duty - 0.64) * 250.0))


_LOWER_LIMITS_V: Final = ((PilotState.A, 10.5), (PilotState.B, 7.5), (PilotState.C, 4.5), (PilotState.D, 1.5))
"""lower voltage limit of each state: the midpoint between the nominal voltages of table A.4"""
_LOWEST_V: Final = -10.5
"""at or below: state F (the station's −12 V); between this and 1.5 V: state E (short circuit)"""
HYSTERESIS_V: Final = 0.4
"""a voltage must exceed the limit of a state by this much before the state changes"""


def pilot_state(high_v: float, before: PilotState | None = None) -> PilotState:
    """The pilot state by the voltage of the pilot's positive level, with hysteresis.

    `high_v` is the plateau of the square wave, or the steady voltage. `before` is the previous state; it is kept while
    the voltage is within its limits plus the hysteresis.
    """
    if before is not None:
        lowest_v, highest_v = _voltage_range(before)
        if lowest_v - HYSTERESIS_V <= high_v <= highest_v + HYSTERESIS_V:
            return before
    for state, limit_v in _LOWER_LIMITS_V:
        if high_v >= limit_v:
            return state
    return PilotState.F if high_v <= _LOWEST_V else PilotState.E


def _voltage_range(state: PilotState) -> tuple[float, float]:
    """The lowest and highest voltage of a state, without hysteresis."""
    limits_v = [float("inf"), *(limit_v for _, limit_v in _LOWER_LIMITS_V), _LOWEST_V, float("-inf")]
    position = list(PilotState).index(state)
    return limits_v[position + 1], limits_v[position]


_WITH_VEHICLE: Final = frozenset({PilotState.B, PilotState.C, PilotState.D})
_DIODE_V: Final = -10.0
"""table A.4 allows −11.4 V at the station; the difference is measurement tolerance"""


def diode_fault(low_v: float | None, state: PilotState) -> bool:
    """Return whether the negative half of the square wave shows that the vehicle's diode is missing (A.2.3).

    With a diode the negative half stays at −12 V; `low_v` None: no square wave, or not measured.
    """
    return low_v is not None and state in _WITH_VEHICLE and low_v > _DIODE_V


CableRating = Literal[13, 20, 32, 63]
_CABLE_RESISTANCES: Final[tuple[tuple[float, float, CableRating], ...]] = (
    (1100.0, 2460.0, 13),
    (400.0, 936.0, 20),
    (164.0, 308.0, 32),
    (80.0, 140.0, 63),
)
"""lowest and highest resistance, rating; around nominal 1500, 680, 220 and 100 Ω. Between the bands: no rating"""
_ABSENT_OHM: Final = 4500.0
"""at or above: no cable plugged"""
_SHORT_OHM: Final = 60.0
"""below: a wiring fault, not a resistor"""


def cable_rating(resistance_ohm: float) -> CableRating | None:
    """The rating of a cable in amperes per phase by its proximity resistor; None: no valid rating."""
    for lowest, highest, rating in _CABLE_RESISTANCES:
        if lowest <= resistance_ohm <= highest:
            return rating
    return None


def cable_plugged(resistance_ohm: float) -> bool:
    """Return whether a cable is in the socket, by the resistance of the proximity contact."""
    return resistance_ohm < _ABSENT_OHM


UnratedCable = Literal["refuse", 10, 13]
"""the limit in amperes for a cable without a valid rating; refuse: no charging"""


def cable_limit_a(resistance_ohm: float, unrated: UnratedCable) -> float | None:
    """The current limit of the cable in the socket, amperes per phase; 0: cable refused, None: no cable.

    `resistance_ohm`: of the proximity contact. `unrated`: the limit for a cable without a valid rating.
    """
    if not cable_plugged(resistance_ohm):
        return None
    if (rating := cable_rating(resistance_ohm)) is not None:
        return float(rating)
    return 0.0 if unrated == "refuse" or resistance_ohm < _SHORT_OHM else float(unrated)
