"""Commissioning tests of CSMS link, protection and charging, and the storage of results; see also `grid_tests`.

Each test reads the inputs of the running station and returns a result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from station.core.hardware.board import SelfTest
from station.core.model import Fault
from station.maintenance.commissioning.problems import Evidence, Problem, ProblemCause
from station.maintenance.commissioning.steps import (
    CommissioningFinding,
    CommissioningStep,
    StepOutcome,
    StepResult,
    step_preconditions,
)

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.charging.billing_meters import BillingMeters
    from station.charging.charging_station import ChargingStation
    from station.charging.evse import Evse
    from station.load.residual_current import ResidualCurrentGuard
    from station.maintenance.commissioning.installation_facts import InstallationFacts
    from station.maintenance.commissioning.record import CommissioningRecord
    from station.security.network_profiles import NetworkProfiles

_MIN_CURRENT_A = 1.0


class CommissioningTests:
    """Commissioning tests of the CSMS link, protection and charging; `store_result` stores a result."""

    def __init__(
        self,
        facts: InstallationFacts,
        station: ChargingStation,
        network_profiles: NetworkProfiles,
        residual: ResidualCurrentGuard,
        meters: BillingMeters,
        record: CommissioningRecord,
        clock: Clock,
    ) -> None:
        self._facts = facts
        self._station = station
        self._network_profiles = network_profiles
        self._residual = residual
        self._meters = meters
        self._record = record
        self._clock = clock

    async def store_result(self, step: CommissioningStep, trial: StepResult, by: str) -> CommissioningFinding:
        """Store the result of a step with time, person and preconditions, in place of an earlier one.

        `by`: who did the step, as shown in the report.

        Raises:
            StorageError: not stored.
        """
        finding = CommissioningFinding(step, trial, self._clock.now(), by, step_preconditions(step, self._facts.read()))
        await self._record.store(finding)
        return finding

    def check_network(self, *, connected: bool) -> StepResult:
        """The result of the network step: passed if the CSMS is connected; opens no connection.

        `connected`: whether it is up now.
        """
        profile = self._network_profiles.profile
        evidence: Evidence = {
            "url": profile.url if profile is not None else None,
            "security_profile": profile.security_profile if profile is not None else None,
        }
        if not connected:
            return StepResult.failed(evidence, Problem(ProblemCause.CSMS_NOT_CONNECTED, "the CSMS is not connected"))
        return StepResult(StepOutcome.PASSED, evidence)

    async def test_residual_monitors(self, *, external_type_b: bool) -> StepResult:
        """Run the self-test of every EVSE's residual-current monitor; fails if an EVSE is in use.

        `external_type_b`: the installer confirms a type B device upstream, which protects EVSEs without a monitor.
        """
        evidence: Evidence = {"external_type_b": external_type_b}
        for evse_id, evse in self._station.evses.items():
            result = await self._residual.test_monitor(evse_id)
            evidence[f"evse_{evse_id}"] = result.value if result is not None else "busy"
            problem = _monitor_problem(evse_id, result, external_type_b=external_type_b)
            if problem is None and Fault.DC_RESIDUAL_CURRENT in evse.state.faults:
                reason = f"the monitor of EVSE {evse_id} has detected a residual current, and the fault is not cleared"
                problem = Problem(ProblemCause.MONITOR_TRIPPED, reason, {"evse": evse_id})
            if problem is not None:
                return StepResult.failed(evidence, problem)
        return StepResult(StepOutcome.PASSED, evidence)

    def shunt_trip_result(self, *, tripped: bool) -> StepResult:
        """The result of the shunt-trip step; energises nothing: that was done before.

        `tripped`: the installer saw the breaker trip.
        """
        tried_at = self._residual.shunt_trip_tested_at
        evidence: Evidence = {
            "energised_at": tried_at.isoformat() if tried_at is not None else None,
            "tripped": tripped,
        }
        if tried_at is None:
            return StepResult.failed(evidence, Problem(ProblemCause.COIL_FIRST, "energise the shunt trip first"))
        if not tripped:
            return StepResult.failed(evidence, Problem(ProblemCause.BREAKER_STAYS, "the breaker did not trip"))
        return StepResult(StepOutcome.PASSED, evidence)

    def test_session(self, evse: Evse) -> StepResult:
        """The result of the test-session step: passed if at least 1 A flows to this EVSE now; starts no session."""
        latest = evse.meter.latest
        currents_a = (
            [current_a for current_a in latest.currents_a if current_a is not None] if latest is not None else []
        )
        evidence: Evidence = {
            "evse": evse.id,
            "transaction": evse.transaction_id,
            "contactor_closed": evse.state.observation.contactor_closed,
            "currents_a": [*currents_a],
            "offered_a": evse.offered_a,
            "meter_serial": self._meters.serial_of(evse.id),
        }
        if not evse.state.observation.contactor_closed or max(currents_a, default=0.0) < _MIN_CURRENT_A:
            reason = "no energy flows: start the test session and connect a vehicle"
            return StepResult.failed(evidence, Problem(ProblemCause.NO_ENERGY, reason))
        return StepResult(StepOutcome.PASSED, evidence)


def _monitor_problem(evse_id: int, result: SelfTest | None, *, external_type_b: bool) -> Problem | None:
    """The problem with the monitor of an EVSE, or None; `result` None: it could not be tested."""
    values: Evidence = {"evse": evse_id}
    if result is None:
        return Problem(ProblemCause.EVSE_BUSY, f"EVSE {evse_id} is in use", values)
    if result is SelfTest.FAILED:
        return Problem(ProblemCause.MONITOR_FAILED, f"the monitor of EVSE {evse_id} failed its test", values)
    if result is SelfTest.ABSENT and not external_type_b:
        reason = f"EVSE {evse_id} has no monitor, and no type B device upstream is confirmed"
        return Problem(ProblemCause.MONITOR_ABSENT, reason, values)
    return None
