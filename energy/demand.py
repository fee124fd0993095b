"""What an EVSE asks of the controller, what limits all of them together, and what the controller answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from energy.composite import ProfileTarget
from energy.limit import Limit, LimitSource, tightest
from energy.phase_map import RST_MAP, PhaseMap
from foundation.constants import MINIMUM_CURRENT_A
from foundation.frozen import frozen
from metering.reading import Phases

CHARGING_THRESHOLD_A = 1.0
"""a vehicle that draws so much charges"""


@frozen
class Demand:
    """What an EVSE asks of the controller."""

    target: ProfileTarget
    phases: int
    wants: bool
    """a vehicle is there and may charge"""
    draw_a: Phases[float | None]
    """what its meter shows, at its own terminals"""
    own_limits: tuple[Limit, ...]
    """of this EVSE alone: selector, cable, rating, temperature, tariff"""
    offered_a: float = 0.0
    """what its pilot offers now"""
    read_at_s: float | None = None
    """when its meter showed that (monotonic); None: now"""
    rotation: PhaseMap | None = RST_MAP
    """which grid phases feed its terminals; None: to be learned"""
    priority: int = 0
    """the higher is served first where not all can be"""
    selectable_phases: frozenset[int] = frozenset()
    """the phases, 1 to 3, that its board can leave when it takes the other two away; empty: it takes none away"""
    phase: int = 1
    """which it charges on, where that is one of three"""
    shows_phases: bool = True
    """its draw tells which phases it uses; not so soon after they were switched"""

    @property
    def can_switch_phases(self) -> bool:
        """Whether its board can take two phases away."""
        return bool(self.selectable_phases)

    @property
    def evse_id(self) -> int:
        """Whose demand it is."""
        return self.target.evse_id

    @property
    def currents_a(self) -> Phases[float]:
        """What it draws, as far as that is known; a meter that is wired backwards shows it below zero."""
        return self.draw_a.map(lambda current_a: abs(current_a or 0.0))

    @property
    def max_current_a(self) -> float:
        """The highest phase current that it draws."""
        return max(self.currents_a)

    @property
    def is_charging(self) -> bool:
        """Whether its vehicle draws."""
        return self.max_current_a >= CHARGING_THRESHOLD_A

    @property
    def terminals(self) -> frozenset[int]:
        """The terminals, 0 to 2, that its vehicle loads, or would load: a one-phase vehicle leaves two alone."""
        connected = frozenset(range(self.phases)) if self.phases > 1 else frozenset({self.phase - 1})
        if not self.shows_phases:
            return connected
        drawn = {index for index, current_a in enumerate(self.currents_a) if current_a >= CHARGING_THRESHOLD_A}
        return connected & drawn or connected


@frozen
class SharedLimit:
    """A limit for all EVSEs together, in amperes per phase or in watts over all phases."""

    source: LimitSource
    current_a: float | None = None
    power_w: float | None = None
    plus_surplus: bool = False
    """what the house produces itself may be added"""
    until: datetime | None = None
    """when it ends by itself; None: never"""
    by: str | None = None

    def is_in_force(self, now: datetime) -> bool:
        """Whether it has not ended yet."""
        return self.until is None or now < self.until


@frozen
class Decision:
    """What an EVSE may offer, and every limit that was asked."""

    current_a: float
    """amperes per phase; 0 is a pause"""
    limits: tuple[Limit, ...]
    open_now: bool = False
    """the pilot is too slow: the contactor has to open under load"""
    phases: int | None = None
    """on how many it is to charge; None: its board cannot switch them"""
    phase: int = 1
    """on which, where that is one of three"""

    @classmethod
    def of(cls, limits: Sequence[Limit], *, open_now: bool = False) -> Decision:
        """The tightest limit holds; below 6 A no vehicle charges."""
        binding = tightest(limits)
        current_a = binding.current_a if binding is not None else 0.0
        return cls(current_a if current_a >= MINIMUM_CURRENT_A else 0.0, tuple(limits), open_now)

    @property
    def binding(self) -> Limit | None:
        """The limit that made it so: the reason."""
        return tightest(self.limits)
