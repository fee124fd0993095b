"""Applies the decisions of the load controller to the EVSEs and their pilots, and logs what changes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from energy.demand import Decision, Demand
    from energy.limit import LimitSource
    from station.charging.evse import Evse
    from station.load.pilot_sequence import PilotSequence

_log = logging.getLogger(__name__)


class AppliedDecisions:
    """Passes each decision to its EVSE, and the shares to the pilots in their safe order."""

    def __init__(self, evses: Mapping[int, Evse], pilots: PilotSequence) -> None:
        self._evses = evses
        self._pilots = pilots
        self._logged: dict[int, tuple[float, LimitSource, str | None]] = {}

    def apply(self, demands: Sequence[Demand], decisions: Mapping[int, Decision]) -> bool:
        """Apply the decisions for these demands; returns whether the current of an EVSE or its reason changed."""
        changed = [self._apply(self._evses[evse_id], decision) for evse_id, decision in decisions.items()]
        self._pilots.grant(
            {demand.evse_id: decisions[demand.evse_id].current_a if demand.may_charge else 0.0 for demand in demands}
        )
        return any(changed)

    def _apply(self, evse: Evse, decision: Decision) -> bool:
        binding = decision.binding
        if decision.phases not in {None, evse.state.phases}:
            _log.info("EVSE %d: number of phases for charging: %d", evse.id, decision.phases)
        evse.apply_decision(decision)
        if decision.open_now:
            _log.warning(
                "EVSE %d: contactor opens, because the breaker could trip before the vehicle reduces its current",
                evse.id,
            )
        if binding is None:
            return False
        current = (evse.state.offered_a, binding.source, binding.by)
        if self._logged.get(evse.id) == current:
            return False
        self._logged[evse.id] = current
        _log.info("EVSE %d may draw %.1f A: %s, %s", evse.id, current[0], binding.source, binding.source_text)
        return True
