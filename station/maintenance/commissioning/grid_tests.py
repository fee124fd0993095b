"""The tests of commissioning at the grid connection: smart meter, current transformers, the operator's contact, limits.

Each reads the real inputs of the running station and says what came of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from typing_extensions import TypedDict

from energy.grid import OrderReason
from metering.reading import Phases
from station.core.hardware.back_plate import JumperPosition
from station.maintenance.commissioning.problems import Cause, Evidence, Problem
from station.maintenance.commissioning.steps import (
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
    from energy.grid_orders import GridOrders
    from foundation.byte_tap import Wiretap
    from foundation.clock import Clock
    from station.configuration.installation_file import Configuration
    from station.load.back_plate_monitor import BackPlateWatch
    from station.load.load_management import LoadManagement
    from station.maintenance.commissioning.installation_facts import InstallationFacts
    from station.maintenance.commissioning.record import CommissioningRecord

_FRESH_S = 30.0
_SHOWN_FRAMES = 4


class LiveMeter(TypedDict):
    """What the smart meter shows now, where the jumpers of its port stand, and the last raw bytes of the wires."""

    source: str | None
    """type of the meter; null: there is none"""
    currents_a: list[float | None] | None
    """on L1, L2, L3 of the connection; null: no reading, or none of this phase"""
    voltages_v: list[float | None] | None
    power_w: float | None
    """of the house connection; negative when it exports"""
    age_s: float | None
    """seconds since the last reading"""
    limit_a: float | None
    """what the connection carries, as meter or settings say"""
    jumpers: JumperPosition | None
    """null: their position cannot be read"""
    jumpers_expected: JumperPosition
    """where the meter of the settings needs them"""
    jumpers_mismatch: str | None
    """a sentence where they are in a wrong position"""
    frames: list[str]
    """each with the wire, `<` received or `>` sent, and bytes in hexadecimal"""


class GridTests:
    """Tests at the grid connection."""

    def __init__(
        self,
        configuration: Configuration,
        facts: InstallationFacts,
        load: LoadManagement,
        back_plate: BackPlateWatch,
        wires: Wiretap,
        grid_orders: GridOrders | None,
        record: CommissioningRecord,
        clock: Clock,
    ) -> None:
        """`grid_orders` is None where no contact of the grid operator is configured."""
        self._configuration = configuration
        self._facts = facts
        self._load = load
        self._back_plate = back_plate
        self._wires = wires
        self._grid_orders = grid_orders
        self._record = record
        self._clock = clock

    def meter(self, *, plausible: bool) -> Trial:
        """The live values of the smart meter, which the installer has compared with its display."""
        shown = self.live_meter()
        evidence = cast("Evidence", dict(shown))  # a JSON object as it is
        age_s = self._load.controller.sample_age_s
        if (jumpers := shown["jumpers_mismatch"]) is not None:
            stand: Evidence = {"position": shown["jumpers"], "expected": shown["jumpers_expected"]}
            return Trial.failed(evidence, Problem(Cause.JUMPERS, jumpers, stand))
        if age_s is None or age_s > _FRESH_S:
            return Trial.failed(evidence, Problem(Cause.METER_SILENT, "the meter is silent"))
        if not plausible:
            told = "the values are not those of the meter's display"
            return Trial.failed(evidence, Problem(Cause.METER_IMPLAUSIBLE, told))
        return Trial(Outcome.PASSED, evidence)

    def live_meter(self) -> LiveMeter:
        """What the grid meter shows now, where the jumpers stand, and the last raw bytes of the wires."""
        grid = self._configuration.grid
        sample = self._load.controller.last_sample
        jumpers = self._back_plate.jumpers
        frames = self._wires.since(0)[-_SHOWN_FRAMES:]
        return {
            "source": grid.source.type if grid is not None else None,
            "currents_a": [*sample.currents_a] if sample is not None else None,
            "voltages_v": [*sample.voltages_v] if sample is not None else None,
            "power_w": sample.power_w if sample is not None else None,
            "age_s": self._load.controller.sample_age_s,
            "limit_a": self._load.controller.grid_limit_a,
            "jumpers": jumpers.position,
            "jumpers_expected": jumpers.expected,
            "jumpers_mismatch": jumpers.mismatch,
            "frames": [f"{frame.wire} {'>' if frame.sent else '<'} {frame.data[:64].hex(' ')}" for frame in frames],
        }

    def clamps(self, load_a: list[float] | None) -> Trial:
        """First without the load (None), then with it: amperes on each phase of the connection."""
        sample = self._load.controller.last_sample
        if sample is None or (self._load.controller.sample_age_s or 0.0) > _FRESH_S:
            return Trial.failed({}, Problem(Cause.CLAMPS_SILENT, "the current transformers show nothing"))
        clamps = self._facts.read().clamps
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
        before = self._record.findings.get(Step.CLAMPS)
        if before is None or before.trial.outcome is not Outcome.BEGUN:
            return None
        return before.trial.evidence if before.basis == basis(Step.CLAMPS, self._facts.read()) else None

    def car_load_a(self) -> list[float]:
        """What the vehicles draw more than at the first look, on each phase of the connection."""
        before = self._record.findings.get(Step.CLAMPS)
        then_a = _numbers(before.trial.evidence.get("car_a")) if before is not None else [0.0] * 3
        return [max(0.0, now_a - was_a) for was_a, now_a in zip(then_a, self._car_a(), strict=True)]

    def contact(self, *, dims: bool) -> Trial:
        """One way of the grid operator's contact."""
        order = self._grid_orders.order if self._grid_orders is not None else None
        if order is not None and order.reason is not OrderReason.ORDERED:
            reason = order.reason.value
            untold = Problem(Cause.CONTACT_UNTOLD, f"the contact cannot be told: {reason}", {"reason": reason})
            return Trial.failed({"reason": reason}, untold)
        before = self._record.findings.get(Step.GRID_CONTACT)
        rests = before is not None and before.basis == basis(Step.GRID_CONTACT, self._facts.read())
        return contact_trial(
            before.trial if before is not None and rests else None,
            dims=dims,
            seen=order is not None,
            limited="grid-order" in self._load.controller.shared,
            at=self._clock.now(),
        )

    def limits(self) -> Trial:
        """What load management keeps to."""
        grid, known_a = self._configuration.grid, self._load.controller.grid_limit_a
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

    def phases(self) -> Trial:
        """What was learnt of each EVSE's phases while a vehicle charged.

        The phase behind terminal L1 is enough: one-phase vehicles load that one, and what three equal phases draw shows
        nobody which is which. Where they are not told apart, load management reckons with both possibilities.
        """
        evidence: Evidence = {}
        unknown: list[int] = []
        maps = {one.charge.evse_id: self._load.controller.rotation_of(one) for one in self._load.demands()}
        for evse_id in self._facts.read().learns:
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
        for demand in self._load.demands():
            sure_a, _ = self._load.controller.rotation_of(demand).to_grid(demand.currents_a)
            for phase, current_a in enumerate(sure_a):
                total[phase] += current_a
        return Phases(*total)


def _numbers(kept: object) -> list[float]:
    """Three currents as the record keeps them."""
    listed = cast("list[object]", kept) if isinstance(kept, list) else []
    found = [float(one) for one in listed if isinstance(one, int | float)]
    return [*found, 0.0, 0.0, 0.0][:3]
