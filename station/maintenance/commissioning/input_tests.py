"""The tests of commissioning at the living station: each looks at the real inputs and says what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from energy.grid import OrderReason
from energy.sources.ct import CtConfig
from metering.reading import Phases
from station.core.hardware.board import SelfTest
from station.core.model import Fault
from station.maintenance.commissioning.problems import Cause, Evidence, Problem
from station.maintenance.commissioning.steps import (
    Finding,
    Installation,
    Outcome,
    Step,
    Trial,
    basis,
    clamps_left,
    clamps_seen,
    clamps_trial,
    contact_trial,
)

if TYPE_CHECKING:
    from borne.life import Life
    from station.charging.evse import Evse
    from station.configuration.installation_file import Configuration

_FRESH_S = 30.0
_SHOWN_FRAMES = 4
_FLOWS_A = 1.0


class CommissioningTests:
    """What can be tried at a station."""

    def __init__(self, life: Life, configuration: Configuration) -> None:
        self._life = life
        self._configuration = configuration

    @property
    def installation(self) -> Installation:
        """What is installed."""
        configuration = self._configuration
        grid, contact = configuration.grid, configuration.grid_order
        profile = self._life.network.profile
        limits = None
        if grid is not None:
            limits = f"{grid.max_current_a} {grid.safe_current_a} {grid.breaker} {grid.sharing}"
        return Installation(
            identity=configuration.station.identity,
            selector_a=self._life.load.controller.station_limit_a,
            csms_url=profile.url if profile is not None else None,
            meter=f"{grid.phases} {grid.source.model_dump_json()}" if grid is not None else None,
            clamps=len(grid.source.clamps) if grid is not None and isinstance(grid.source, CtConfig) else 0,
            contact=f"{contact.polarity} {contact.line} {contact.opposite_line}" if contact is not None else None,
            limits=limits,
            shunt_trip=configuration.protection.shunt_trip != "none",
            learns=tuple(
                evse.id
                for evse in self._life.station.evses.values()
                if evse.layout.rotation is None and grid is not None and grid.phases == 3
            ),
        )

    async def keep(self, step: Step, trial: Trial, by: str) -> Finding:
        """Keep what a trial came to.

        Raises:
            StorageError: it is not kept.
        """
        finding = Finding(step, trial, self._life.clock.now(), by, basis(step, self.installation))
        await self._life.commissioning.keep(finding)
        return finding

    def network(self) -> Trial:
        """Whether the CSMS is reached now."""
        profile, link = self._life.network.profile, self._life.link
        evidence: Evidence = {
            "url": profile.url if profile is not None else None,
            "security_profile": profile.security_profile if profile is not None else None,
        }
        if link is None or not link.connected:
            return Trial.failed(evidence, Problem(Cause.CSMS_NOT_CONNECTED, "the CSMS is not connected"))
        return Trial(Outcome.PASSED, evidence)

    def meter(self, *, plausible: bool) -> Trial:
        """The live values of the smart meter, which the installer has compared with its display."""
        evidence = self.live_meter()
        age_s = self._life.load.controller.sample_age_s
        if (jumpers := evidence["jumpers_mismatch"]) is not None:
            stand: Evidence = {"position": evidence["jumpers"], "expected": evidence["jumpers_expected"]}
            return Trial.failed(evidence, Problem(Cause.JUMPERS, str(jumpers), stand))
        if age_s is None or age_s > _FRESH_S:
            return Trial.failed(evidence, Problem(Cause.METER_SILENT, "the meter is silent"))
        if not plausible:
            told = "the values are not those of the meter's display"
            return Trial.failed(evidence, Problem(Cause.METER_IMPLAUSIBLE, told))
        return Trial(Outcome.PASSED, evidence)

    def live_meter(self) -> Evidence:
        """What the grid meter shows now, where the jumpers stand, and the last raw bytes of the wires."""
        life, grid = self._life, self._configuration.grid
        sample = life.load.controller.last_sample
        jumpers = life.jumpers() if life.jumpers is not None else None
        frames = life.wires.since(0)[-_SHOWN_FRAMES:]
        return {
            "source": grid.source.type if grid is not None else None,
            "currents_a": [*sample.currents_a] if sample is not None else None,
            "voltages_v": [*sample.voltages_v] if sample is not None else None,
            "power_w": sample.power_w if sample is not None else None,
            "age_s": life.load.controller.sample_age_s,
            "limit_a": life.load.controller.grid_limit_a,
            "jumpers": jumpers.position if jumpers is not None else None,
            "jumpers_expected": jumpers.expected if jumpers is not None else None,
            "jumpers_mismatch": jumpers.mismatch if jumpers is not None else None,
            "frames": [f"{frame.wire} {'>' if frame.sent else '<'} {frame.data[:64].hex(' ')}" for frame in frames],
        }

    def clamps(self, load_a: list[float] | None) -> Trial:
        """First without the load (None), then with it: amperes on each phase of the connection."""
        sample = self._life.load.controller.last_sample
        if sample is None or (self._life.load.controller.sample_age_s or 0.0) > _FRESH_S:
            return Trial.failed({}, Problem(Cause.CLAMPS_SILENT, "the current transformers show nothing"))
        clamps = self.installation.clamps
        if None in list(sample.currents_a)[:clamps]:
            return Trial.failed({}, Problem(Cause.CLAMPS_SILENT, "a current transformer shows nothing"))
        now_a = [current_a if current_a is not None else 0.0 for current_a in sample.currents_a]
        before = self._clamps_begun()
        if load_a is None:
            evidence: Evidence = {"without_a": [*now_a], "car_a": [*self._car_a()]}
            if before is not None:
                evidence["clamps_seen"] = [*clamps_seen(before)]
            return Trial(Outcome.BEGUN, evidence)
        if before is None:
            first = "look at the clamps without the load first"
            return Trial.failed({}, Problem(Cause.CLAMPS_WITHOUT_FIRST, first))
        signed = any(current_a < 0.0 for current_a in now_a)
        trial = clamps_trial(_numbers(before["without_a"]), now_a, load_a, signed=signed)
        return clamps_left(trial, before, load_a, clamps)

    def _clamps_begun(self) -> Evidence | None:
        """The look without the load, with what was seen since; None: it is to be made, of these clamps."""
        before = self._life.commissioning.findings.get(Step.CLAMPS)
        if before is None or before.trial.outcome is not Outcome.BEGUN:
            return None
        return before.trial.evidence if before.basis == basis(Step.CLAMPS, self.installation) else None

    def car_load_a(self) -> list[float]:
        """What the vehicles draw more than at the first look, on each phase of the connection."""
        before = self._life.commissioning.findings.get(Step.CLAMPS)
        then_a = _numbers(before.trial.evidence.get("car_a")) if before is not None else [0.0] * 3
        return [max(0.0, now_a - was_a) for was_a, now_a in zip(then_a, self._car_a(), strict=True)]

    def contact(self, *, dims: bool) -> Trial:
        """One way of the grid operator's contact."""
        life = self._life
        order = life.grid_orders.order if life.grid_orders is not None else None
        if order is not None and order.reason is not OrderReason.ORDERED:
            reason = order.reason.value
            untold = Problem(Cause.CONTACT_UNTOLD, f"the contact cannot be told: {reason}", {"reason": reason})
            return Trial.failed({"reason": reason}, untold)
        before = life.commissioning.findings.get(Step.GRID_CONTACT)
        rests = before is not None and before.basis == basis(Step.GRID_CONTACT, self.installation)
        return contact_trial(
            before.trial if before is not None and rests else None,
            dims=dims,
            seen=order is not None,
            limited="grid-order" in life.load.controller.shared,
            at=life.clock.now(),
        )

    def limits(self) -> Trial:
        """What load management keeps to."""
        grid, known_a = self._configuration.grid, self._life.load.controller.grid_limit_a
        if grid is None:
            return Trial.failed({}, Problem(Cause.NO_LOAD_MANAGEMENT, "there is no load management"))
        evidence: Evidence = {
            "max_current_a": grid.max_current_a,
            "safe_current_a": grid.safe_current_a,
            "breaker": grid.breaker,
            "sharing": grid.sharing,
            "in_force_a": known_a,
        }
        if known_a is None:
            untold = "neither the meter nor a setting tells what the connection carries"
            return Trial.failed(evidence, Problem(Cause.CONNECTION_UNKNOWN, untold))
        if grid.safe_current_a > known_a:
            high = "the safe current is more than the connection carries"
            values: Evidence = {"safe_a": grid.safe_current_a, "connection_a": known_a}
            return Trial.failed(evidence, Problem(Cause.SAFE_CURRENT_TOO_HIGH, high, values))
        return Trial(Outcome.PASSED, evidence)

    async def residual(self, *, external: bool) -> Trial:
        """The self-test of every monitor; `external`: where there is none, a device of type B upstream protects."""
        evidence: Evidence = {"external_type_b": external}
        for evse_id, evse in self._life.station.evses.items():
            result = await self._life.residual.test(evse_id)
            evidence[f"evse_{evse_id}"] = result.value if result is not None else "busy"
            problem = _monitor_problem(evse_id, result, external=external)
            if problem is None and Fault.DC_RESIDUAL_CURRENT in evse.state.faults:
                tripped = f"the monitor of EVSE {evse_id} has found a residual current, which nobody has cleared yet"
                problem = Problem(Cause.MONITOR_TRIPPED, tripped, {"evse": evse_id})
            if problem is not None:
                return Trial.failed(evidence, problem)
        return Trial(Outcome.PASSED, evidence)

    def shunt_trip(self, *, tripped: bool) -> Trial:
        """What the installer saw of the breaker after the coil was energised."""
        tried_at = self._life.residual.shunt_trip_tried_at
        evidence: Evidence = {
            "energised_at": tried_at.isoformat() if tried_at is not None else None,
            "tripped": tripped,
        }
        if tried_at is None:
            return Trial.failed(evidence, Problem(Cause.COIL_FIRST, "energise the coil first"))
        if not tripped:
            return Trial.failed(evidence, Problem(Cause.BREAKER_STAYS, "the breaker did not fall"))
        return Trial(Outcome.PASSED, evidence)

    def test_session(self, evse: Evse) -> Trial:
        """Whether energy flows now."""
        latest = evse.meter.latest
        currents_a = (
            [current_a for current_a in latest.currents_a if current_a is not None] if latest is not None else []
        )
        evidence: Evidence = {
            "evse": evse.id,
            "transaction": evse.transaction_id,
            "contactor_closed": evse.state.seen.contactor_closed,
            "currents_a": [*currents_a],
            "offered_a": evse.offered_a,
            "meter_serial": self._life.metrology.meters.serial_of(evse.id),
        }
        if not evse.state.seen.contactor_closed or max(currents_a, default=0.0) < _FLOWS_A:
            none = "no energy flows: begin the session and plug a vehicle in"
            return Trial.failed(evidence, Problem(Cause.NO_ENERGY, none))
        return Trial(Outcome.PASSED, evidence)

    def phases(self) -> Trial:
        """What was learnt of each EVSE's phases while a vehicle charged.

        The phase behind terminal L1 is enough: one-phase vehicles load that one, and what three equal phases draw shows
        nobody which is which. Where they are not told apart, load management reckons with both possibilities.
        """
        evidence: Evidence = {}
        unknown: list[int] = []
        maps = {one.charge.evse_id: self._life.load.controller.rotation_of(one) for one in self._life.load.demands()}
        for evse_id in self.installation.learns:
            found, first = maps[evse_id], maps[evse_id].terminals[0]
            if first is None:
                unknown.append(evse_id)
            evidence[f"evse_{evse_id}"] = found.name or (f"L1 = L{first + 1}" if first is not None else None)
        if unknown:
            listed = ", ".join(map(str, unknown))
            reason = f"not learnt yet at EVSE {listed}: let a one-phase vehicle charge there"
            return Trial.failed(evidence, Problem(Cause.PHASES_UNKNOWN, reason, {"evses": listed}))
        return Trial(Outcome.PASSED, evidence)

    def _car_a(self) -> Phases[float]:
        """What all vehicles draw on each phase of the connection, as far as their phases are known."""
        total = [0.0] * 3
        for demand in self._life.load.demands():
            sure_a, _ = self._life.load.controller.rotation_of(demand).to_grid(demand.currents_a)
            for phase, current_a in enumerate(sure_a):
                total[phase] += current_a
        return Phases(*total)


def _monitor_problem(evse_id: int, result: SelfTest | None, *, external: bool) -> Problem | None:
    """What is wrong with the monitor of an EVSE; None: nothing. `result` None: it could not be tested."""
    values: Evidence = {"evse": evse_id}
    if result is None:
        return Problem(Cause.EVSE_BUSY, f"EVSE {evse_id} is in use", values)
    if result is SelfTest.FAILED:
        return Problem(Cause.MONITOR_FAILED, f"the monitor of EVSE {evse_id} fails", values)
    if result is SelfTest.ABSENT and not external:
        reason = f"EVSE {evse_id} has no monitor, and no device of type B is told"
        return Problem(Cause.MONITOR_ABSENT, reason, values)
    return None


def _numbers(kept: object) -> list[float]:
    """Three currents as the record keeps them."""
    listed = cast("list[object]", kept) if isinstance(kept, list) else []
    found = [float(one) for one in listed if isinstance(one, int | float)]
    return [*found, 0.0, 0.0, 0.0][:3]
