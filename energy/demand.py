"""The load controller's input and output: demands of EVSEs, limits shared by all, and decisions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from energy.composite import ProfileTarget
from energy.limit import Limit, LimitSource, tightest
from energy.phase_map import RST_MAP, PhaseMap
from foundation.constants import MINIMUM_CURRENT_A
from foundation.frozen import Frozen
from metering.reading import Phases

CHARGING_THRESHOLD_A = 1.0
"""a vehicle that draws at least this is charging"""


class Demand(Frozen):
    """The state of an EVSE, with or without a vehicle that wants energy, as input of the load controller."""

    target: ProfileTarget
    """the EVSE and its transaction, to find its charging profiles"""
    phases: int
    """phases in use: those connected, or chosen by phase switching"""
    may_charge: bool
    """a vehicle is there and may charge"""
    draw_a: Phases[float | None]
    """current by its meter, at its own terminals"""
    own_limits: tuple[Limit, ...]
    """limits of this EVSE alone: selector, cable, rating, temperature, tariff"""
    offered_a: float = 0.0
    """current that its pilot offers now"""
    read_at_s: float | None = None
    """time of `draw_a` (monotonic); None: now"""
    rotation: PhaseMap | None = RST_MAP
    """grid phases that feed its terminals; None: to be learned"""
    priority: int = 0
    """higher is served first if not all can be"""
    selectable_phases: frozenset[int] = frozenset()
    """phases, 1 to 3, on which its board can charge alone; empty: it cannot switch phases"""
    phase: int = 1
    """the phase in use if it is only one"""
    shows_phases: bool = True
    """whether its draw shows which phases the vehicle uses; False shortly after switching"""

    @property
    def can_switch_phases(self) -> bool:
        """Whether its board can switch from three phases to one."""
        return bool(self.selectable_phases)

    @property
    def evse_id(self) -> int:
        """The id of the EVSE, from 1."""
        return self.target.evse_id

    @property
    def currents_a(self) -> Phases[float]:
        """The magnitude of the current per phase, 0 if unknown: a meter wired in reverse shows it negative."""
        return self.draw_a.map(lambda current_a: abs(current_a or 0.0))

    @property
    def max_current_a(self) -> float:
        """The highest phase current drawn, in amperes."""
        return max(self.currents_a)

    @property
    def is_charging(self) -> bool:
        """Whether its vehicle draws a charging current."""
        return self.max_current_a >= CHARGING_THRESHOLD_A

    @property
    def terminals(self) -> frozenset[int]:
        """The terminals, 0 to 2, on which its vehicle draws; all connected ones while its draw shows no phases."""
        connected = frozenset(range(self.phases)) if self.phases > 1 else frozenset({self.phase - 1})
        if not self.shows_phases:
            return connected
        drawn = {index for index, current_a in enumerate(self.currents_a) if current_a >= CHARGING_THRESHOLD_A}
        return connected & drawn or connected


class SharedLimit(Frozen):
    """A limit for all EVSEs together, in amperes per phase or in watts over all phases."""

    source: LimitSource
    current_a: float | None = None
    power_w: float | None = None
    plus_surplus: bool = False
    """add the house's own surplus to the limit"""
    until: datetime | None = None
    """end of the limit; None: none"""
    by: str | None = None
    """who set it, if there are several"""

    def is_in_force(self, now: datetime) -> bool:
        """Return whether the limit has not ended yet."""
        return self.until is None or now < self.until


class Decision(Frozen):
    """Result of the load controller for one EVSE: the current that it may offer, with all limits that led to it."""

    current_a: float
    """amperes per phase; 0 is a pause"""
    limits: tuple[Limit, ...]
    open_now: bool = False
    """open the contactor under load at once: the pilot would be too slow"""
    phases: int | None = None
    """number of phases to charge on; None: its board cannot switch them"""
    phase: int = 1
    """the phase to use if it is only one"""

    @classmethod
    def of(cls, limits: Sequence[Limit], *, open_now: bool = False) -> Decision:
        """Make a decision from limits: the tightest applies; below 6 A, or without any limit, it is a pause."""
        binding = tightest(limits)
        current_a = binding.current_a if binding is not None else 0.0
        return cls(current_a if current_a >= MINIMUM_CURRENT_A else 0.0, tuple(limits), open_now)

    @property
    def binding(self) -> Limit | None:
        """The tightest limit, which is the reason for the current; None if there are no limits."""
        return tightest(self.limits)
