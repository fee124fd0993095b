"""Learns which grid phases feed an EVSE without a configured rotation, by stepping its vehicle's current.

Until then it is not known on which phase its steps must show; but if they show on none, a clamp does not measure.
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
_PROBE_INTERVAL_S = 24.0
_PROBE_DURATION_S = 12.0
_MAX_PROBES = 8
"""a probe reduces the current by `_PROBE_A` for `_PROBE_DURATION_S`, which is always allowed; up to `_MAX_PROBES`
in a row"""
_REPETITION_S = 3600.0
"""time after which unsuccessful probing is repeated: the house was restless, or its meter silent"""


class RotationProber:
    """Learns which grid phases feed each EVSE without a configured rotation, by probes of its vehicle's current.

    It also checks whether the grid meter shows the steps of a vehicle whose phase is not known. All in memory.
    """

    def __init__(self, connection_phases: int, safe_a: float = math.inf) -> None:
        self._connection_phases = connection_phases
        self._initial_checks = tuple(StepCheck(safe_a, phase_uncertain=True) for _ in range(connection_phases))
        self._step_checks: dict[int, tuple[StepCheck, ...]] = {}
        self._learners: dict[int, RotationLearner] = {}
        self._probes: dict[int, tuple[float, float]] = {}

    def phase_map_of(self, demand: Demand) -> PhaseMap:
        """The grid phase at each terminal of an EVSE, configured or learned, as far as known."""
        if self._connection_phases == 1:
            return RST_MAP  # a single phase has no rotation
        if demand.rotation is not None:
            return demand.rotation
        learner = self._learners.get(demand.evse_id)
        return learner.phase_map if learner is not None else UNKNOWN_MAP

    def phases_of(self, demand: Demand) -> frozenset[int]:
        """The grid phases, 0 to 2, that the EVSE's vehicle loads or would load: all possible ones if not known."""
        return self.phase_map_of(demand).grid_phases(demand.terminals)

    def learn(self, demand: Demand, sample: GridSample, now_s: float) -> None:
        """Compare the draw of an EVSE with a grid sample: which phase moves with its vehicle, and whether any does.

        Does nothing if the rotation is configured or the connection has one phase.
        """
        if demand.rotation is not None or self._connection_phases == 1:
            return
        grid_a = sample.currents_a.map(lambda current_a: current_a or 0.0)
        learner = self._learners.get(demand.evse_id, RotationLearner())
        self._learners[demand.evse_id] = learner.observe(demand.currents_a, grid_a, now_s)
        if demand.is_charging and self._is_learned(demand):
            self._step_checks.pop(demand.evse_id, None)
        elif can_check_steps(sample):
            steps = zip(self._step_checks.get(demand.evse_id, self._initial_checks), grid_a, strict=False)
            self._step_checks[demand.evse_id] = tuple(
                step.observe(demand.max_current_a, grid_current_a, now_s, signed=sample.signed)
                for step, grid_current_a in steps
            )

    @property
    def step_unseen(self) -> bool:
        """Whether the steps of a vehicle with unknown phase showed on no phase."""
        return any(all(step.doubted for step in steps) for steps in self._step_checks.values())

    def _is_learned(self, demand: Demand) -> bool:
        return len(self.phases_of(demand)) == len(demand.terminals)

    def probe_a(self, demand: Demand, now_s: float) -> float | None:
        """The reduced current, amperes per phase, of a probe of the vehicle's phase that runs now; None: no limit now.

        Starts a row of probes if the phase is not known, the vehicle draws enough, and the last row is an hour ago.
        """
        evse_id = demand.evse_id
        if demand.rotation is not None or self._is_learned(demand) or not demand.may_charge:
            self._probes.pop(evse_id, None)
            return None
        began_s, probe_a = self._probes.get(evse_id, (now_s - _REPETITION_S, math.inf))
        if now_s - began_s >= _REPETITION_S and demand.max_current_a >= MINIMUM_CURRENT_A + _PROBE_A:
            began_s, probe_a = self._probes[evse_id] = (now_s, demand.max_current_a - _PROBE_A)
        cycle, second = divmod(now_s - began_s, _PROBE_INTERVAL_S)
        return probe_a if cycle < _MAX_PROBES and second < _PROBE_DURATION_S else None
