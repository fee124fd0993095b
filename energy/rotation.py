"""Finds out which grid phases feed an EVSE whose rotation nobody has noted: its vehicle's current is stepped.

Until then nobody knows where its steps have to show; but where no phase shows them, one has no clamp that sees.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from energy.demand import Demand
from energy.phase_map import RST_MAP, UNKNOWN_MAP, PhaseMap, RotationLearner
from energy.step_check import StepCheck, can_check_steps
from foundation.constants import MINIMUM_CURRENT_A

if TYPE_CHECKING:
    from energy.grid import GridSample

_PROBE_A = 4.0
_PROBE_EVERY_S = 24.0
_PROBE_S = 12.0
_MOST_PROBES = 8
"""to learn its phase a vehicle is told to take so much less, for so long, so often: down, where it is always allowed"""
_AGAIN_S = 3600.0
"""when that did not help, as the house was restless or its meter silent, it is tried again"""


class RotationProber:
    """What is known of each EVSE's phases."""

    def __init__(self, connection_phases: int, safe_a: float = math.inf) -> None:
        self._connection_phases = connection_phases
        self._unlearned = tuple(StepCheck(safe_a, phase_uncertain=True) for _ in range(connection_phases))
        self._steps: dict[int, tuple[StepCheck, ...]] = {}
        self._learners: dict[int, RotationLearner] = {}
        self._probes: dict[int, tuple[float, float]] = {}

    def phase_map_of(self, demand: Demand) -> PhaseMap:
        """Which grid phases feed the terminals of an EVSE, as far as that is known."""
        if self._connection_phases == 1:
            return RST_MAP  # there is nothing to confuse
        if demand.rotation is not None:
            return demand.rotation
        learner = self._learners.get(demand.evse_id)
        return learner.phase_map if learner is not None else UNKNOWN_MAP

    def phases_of(self, demand: Demand) -> frozenset[int]:
        """The grid phases that its vehicle loads, or would load."""
        return self.phase_map_of(demand).grid_phases(demand.terminals)

    def learn(self, demand: Demand, sample: GridSample, now_s: float) -> None:
        """Watch which phase of the house moves with its vehicle, and whether any does."""
        if demand.rotation is not None or self._connection_phases == 1:
            return
        grid_a = sample.currents_a.map(lambda current_a: current_a or 0.0)
        learner = self._learners.get(demand.evse_id, RotationLearner())
        self._learners[demand.evse_id] = learner.observe(demand.currents_a, grid_a, now_s)
        if demand.is_charging and self._knows(demand):
            self._steps.pop(demand.evse_id, None)
        elif can_check_steps(sample):
            steps = zip(self._steps.get(demand.evse_id, self._unlearned), grid_a, strict=False)
            self._steps[demand.evse_id] = tuple(
                step.observe(demand.max_current_a, shown_a, now_s, signed=sample.signed) for step, shown_a in steps
            )

    @property
    def step_unseen(self) -> bool:
        """Whether the steps of a vehicle, whose phase is not known, have shown on none."""
        return any(all(step.doubted for step in steps) for steps in self._steps.values())

    def _knows(self, demand: Demand) -> bool:
        return len(self.phases_of(demand)) == len(demand.terminals)

    def probe_a(self, demand: Demand, now_s: float) -> float | None:
        """What a vehicle may draw for the moment, so that its phase shows; None: there is nothing to learn."""
        evse_id = demand.evse_id
        if demand.rotation is not None or self._knows(demand) or not demand.wants:
            self._probes.pop(evse_id, None)
            return None
        began_s, probe_a = self._probes.get(evse_id, (now_s - _AGAIN_S, math.inf))
        if now_s - began_s >= _AGAIN_S and demand.max_current_a >= MINIMUM_CURRENT_A + _PROBE_A:
            began_s, probe_a = self._probes[evse_id] = (now_s, demand.max_current_a - _PROBE_A)
        cycle, second = divmod(now_s - began_s, _PROBE_EVERY_S)
        return probe_a if cycle < _MOST_PROBES and second < _PROBE_S else None
