"""Commissioning tests at the grid connection: smart meter, current transformers, the operator's contact, limits.

Each test reads the inputs of the running station and returns a result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from typing_extensions import TypedDict

from energy.grid import OrderReason
from foundation.json_values import is_list
from metering.reading import Phases
from station.core.hardware.back_plate import JumperPosition
from station.maintenance.commissioning.problems import Evidence, Problem, ProblemCause
from station.maintenance.commissioning.steps import (
    CommissioningStep,
    StepOutcome,
    StepResult,
    clamps_result,
    contact_result,
    step_preconditions,
    tested_clamps,
    with_untested_clamps,
)

if TYPE_CHECKING:
    from energy.grid_orders import RecordedGridOrders
    from foundation.byte_tap import ByteTap
    from foundation.clock import Clock
    from station.load.back_plate_monitor import BackPlateMonitor
    from station.load.load_management import LoadManagement
    from station.maintenance.commissioning.installation_facts import InstallationFacts
    from station.maintenance.commissioning.record import CommissioningRecord

_MAX_SAMPLE_AGE_S = 30.0
_DISPLAYED_FRAMES = 4


class LiveMeter(TypedDict):
    """What the page shows of the grid meter during commissioning: last sample, jumpers, last raw bytes of the wires."""

    source: str | None
    """type of the meter; null: none configured"""
    currents_a: list[float | None] | None
    """amperes on L1, L2, L3 of the house connection; negative: export, if the meter can tell; null: no reading, or
    none of this phase"""
    voltages_v: list[float | None] | None
    """volts from L1, L2, L3 to neutral; null: no reading, or none of this phase"""
    power_w: float | None
    """power of the house connection, W; negative: export; null: unknown"""
    age_s: float | None
    """seconds since the last reading; null: none yet"""
    limit_a: float | None
    """limit of the house connection, amperes per phase, from meter or settings; null: unknown"""
    jumpers: JumperPosition | None
    """position of the jumpers of the smart-meter port; null: not readable"""
    jumpers_expected: JumperPosition
    """position required by the configured meter"""
    jumpers_mismatch: str | None
    """a sentence if the position is wrong, else null"""
    frames: list[str]
    """the last bytes on the wires, each with the wire, `<` received or `>` sent, and bytes in hexadecimal"""


class GridTests:
    """Commissioning tests at the grid connection, from readings of the running station; results are not stored."""

    def __init__(
        self,
        facts: InstallationFacts,
        load: LoadManagement,
        back_plate: BackPlateMonitor,
        wires: ByteTap,
        grid_orders: RecordedGridOrders | None,
        record: CommissioningRecord,
        clock: Clock,
    ) -> None:
        """`grid_orders` is None if no contact of the grid operator is configured."""
        self._facts = facts
        self._load = load
        self._back_plate = back_plate
        self._wires = wires
        self._grid_orders = grid_orders
        self._record = record
        self._clock = clock

    def check_meter(self, *, plausible: bool) -> StepResult:
        """Test that the grid meter answers and its jumpers fit; uses the last sample, reads no device.

        `plausible`: the installer confirms that its values agree with its display.
        """
        meter = self.live_meter()
        evidence = cast("Evidence", dict(meter))  # already a JSON object
        age_s = self._load.grid.sample_age_s
        if (jumpers := meter["jumpers_mismatch"]) is not None:
            jumper_values: Evidence = {"position": meter["jumpers"], "expected": meter["jumpers_expected"]}
            return StepResult.failed(evidence, Problem(ProblemCause.JUMPERS, jumpers, jumper_values))
        if age_s is None or age_s > _MAX_SAMPLE_AGE_S:
            return StepResult.failed(evidence, Problem(ProblemCause.METER_SILENT, "the grid meter does not answer"))
        if not plausible:
            reason = "the values differ from the meter's display"
            return StepResult.failed(evidence, Problem(ProblemCause.METER_IMPLAUSIBLE, reason))
        return StepResult(StepOutcome.PASSED, evidence)

    def live_meter(self) -> LiveMeter:
        """The last sample of the grid meter with its age, the jumpers, and the last raw bytes of the wires.

        For the page; reads no device.
        """
        grid = self._facts.configuration.grid
        sample = self._load.grid.last_sample
        jumpers = self._back_plate.jumpers
        frames = self._wires.chunks_after(0)[-_DISPLAYED_FRAMES:]
        return {
            "source": grid.source.type if grid is not None else None,
            "currents_a": [*sample.currents_a] if sample is not None else None,
            "voltages_v": [*sample.voltages_v] if sample is not None else None,
            "power_w": sample.power_w if sample is not None else None,
            "age_s": self._load.grid.sample_age_s,
            "limit_a": self._load.grid.limit_a,
            "jumpers": jumpers.position,
            "jumpers_expected": jumpers.expected,
            "jumpers_mismatch": jumpers.mismatch,
            "frames": [f"{frame.wire} {'>' if frame.sent else '<'} {frame.data[:64].hex(' ')}" for frame in frames],
        }

    def check_clamps(self, load_a: list[float] | None) -> StepResult:
        """Test the current transformers by the last sample: first without load (None), then with a known load.

        `load_a`: amperes per grid phase. The result without load is BEGUN; it must be stored before the second part.
        """
        sample = self._load.grid.last_sample
        if sample is None or (self._load.grid.sample_age_s or 0.0) > _MAX_SAMPLE_AGE_S:
            return StepResult.failed(
                {}, Problem(ProblemCause.CLAMPS_SILENT, "the current transformers give no readings")
            )
        clamp_count = self._facts.read().clamps
        if None in list(sample.currents_a)[:clamp_count]:
            return StepResult.failed({}, Problem(ProblemCause.CLAMPS_SILENT, "a current transformer gives no reading"))
        now_a = [current_a if current_a is not None else 0.0 for current_a in sample.currents_a]
        before = self._clamps_baseline()
        if load_a is None:
            evidence: Evidence = {"without_a": [*now_a], "car_a": [*self._vehicle_currents_a()]}
            if before is not None:
                evidence["clamps_seen"] = [*tested_clamps(before)]
            return StepResult(StepOutcome.BEGUN, evidence)
        if before is None:
            reason = "read the current transformers without the load first"
            return StepResult.failed({}, Problem(ProblemCause.CLAMPS_WITHOUT_FIRST, reason))
        signed = any(current_a < 0.0 for current_a in now_a)
        trial = clamps_result(_three_currents(before["without_a"]), now_a, load_a, signed=signed)
        return with_untested_clamps(trial, before, load_a, clamp_count)

    def _clamps_baseline(self) -> Evidence | None:
        """The reading without load, with later findings; None if it is missing or of other transformers."""
        before = self._record.findings.get(CommissioningStep.CLAMPS)
        if before is None or before.result.outcome is not StepOutcome.BEGUN:
            return None
        return (
            before.result.evidence
            if before.preconditions == step_preconditions(CommissioningStep.CLAMPS, self._facts.read())
            else None
        )

    def car_load_a(self) -> list[float]:
        """How much the vehicles' current has risen since the stored reading without load, amperes per grid phase.

        The load for the second part of `check_clamps` if a vehicle is that load; only currents whose phase is known
        count.
        """
        before = self._record.findings.get(CommissioningStep.CLAMPS)
        baseline_a = _three_currents(before.result.evidence.get("car_a")) if before is not None else [0.0] * 3
        return [
            max(0.0, now_a - before_a) for before_a, now_a in zip(baseline_a, self._vehicle_currents_a(), strict=True)
        ]

    def check_contact(self, *, dims: bool) -> StepResult:
        """Test the grid operator's contact in the position that the installer has set; both must be tested.

        `dims`: that position limits the power. PASSED once the other position is in the stored result, until then
        BEGUN.
        """
        order = self._grid_orders.order if self._grid_orders is not None else None
        if order is not None and order.reason is not OrderReason.ORDERED:
            reason = order.reason.value
            problem = Problem(
                ProblemCause.CONTACT_UNTOLD, f"the state of the contact is uncertain: {reason}", {"reason": reason}
            )
            return StepResult.failed({"reason": reason}, problem)
        before = self._record.findings.get(CommissioningStep.GRID_CONTACT)
        still_valid = before is not None and before.preconditions == step_preconditions(
            CommissioningStep.GRID_CONTACT, self._facts.read()
        )
        return contact_result(
            before.result if before is not None and still_valid else None,
            dims=dims,
            observed=order is not None,
            limited="grid-order" in self._load.grid.shared_limits,
            at=self._clock.now(),
        )

    def check_limits(self) -> StepResult:
        """Check that load management is configured, and the connection's limit known and not below the safe current."""
        grid, connection_a = self._facts.configuration.grid, self._load.grid.limit_a
        if grid is None:
            return StepResult.failed({}, Problem(ProblemCause.NO_LOAD_MANAGEMENT, "load management is not configured"))
        evidence: Evidence = {
            "max_current_a": grid.max_current_a,
            "safe_current_a": grid.safe_current_a,
            "breaker": grid.breaker,
            "sharing": grid.sharing,
            "in_force_a": connection_a,
        }
        if connection_a is None:
            problem = "the limit of the grid connection is unknown: neither the meter nor a setting provides it"
            return StepResult.failed(evidence, Problem(ProblemCause.CONNECTION_UNKNOWN, problem))
        if grid.safe_current_a > connection_a:
            reason = "the safe current exceeds the limit of the grid connection"
            values: Evidence = {"safe_a": grid.safe_current_a, "connection_a": connection_a}
            return StepResult.failed(evidence, Problem(ProblemCause.SAFE_CURRENT_TOO_HIGH, reason, values))
        return StepResult(StepOutcome.PASSED, evidence)

    def check_phases(self) -> StepResult:
        """Check that the phase rotation of each EVSE that learns it was learnt while a vehicle charged.

        The phase behind terminal L1 is sufficient: one-phase vehicles load that one, and three equal currents cannot be
        distinguished. If the others are unknown, load management considers both possibilities.
        """
        evidence: Evidence = {}
        unknown: list[int] = []
        maps = {demand.target.evse_id: self._load.grid.phase_map_of(demand) for demand in self._load.demands.collect()}
        for evse_id in self._facts.read().learns:
            phase_map, first_phase = maps[evse_id], maps[evse_id].terminals[0]
            if first_phase is None:
                unknown.append(evse_id)
            evidence[f"evse_{evse_id}"] = phase_map.rotation or (
                f"L1 = L{first_phase + 1}" if first_phase is not None else None
            )
        if unknown:
            listed = ", ".join(map(str, unknown))
            reason = f"phase rotation not learnt yet at EVSE {listed}: charge a single-phase vehicle there"
            return StepResult.failed(evidence, Problem(ProblemCause.PHASES_UNKNOWN, reason, {"evses": listed}))
        return StepResult(StepOutcome.PASSED, evidence)

    def _vehicle_currents_a(self) -> Phases[float]:
        """The current of all vehicles on each phase of the connection, as far as their phases are known."""
        total = [0.0] * 3
        for demand in self._load.demands.collect():
            attributed_a, _ = self._load.grid.phase_map_of(demand).to_grid(demand.currents_a)
            for phase, current_a in enumerate(attributed_a):
                total[phase] += current_a
        return Phases(*total)


def _three_currents(stored: object) -> list[float]:
    """Three currents from stored evidence."""
    values = stored if is_list(stored) else []
    currents_a = [float(value) for value in values if isinstance(value, int | float)]
    return [*currents_a, 0.0, 0.0, 0.0][:3]
