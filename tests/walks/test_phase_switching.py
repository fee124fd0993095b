"""Charging profiles on a board that takes two phases away: watts on what is left, and the phase that the CSMS names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from energy.demand import SharedLimit
from energy.limit import LimitSource
from tests.walk import Walk, walking
from tests.walks.steps import charge, variables
from tests.walks.test_profiles import clear, install, profile
from tests.walks.test_samples import periodic, samples

SWITCHING: dict[str, Any] = {"id": 1, "phases": 3, "max_current_a": 32.0, "phase_switching": True}


def watts(limit: float, **period: int) -> dict[str, Any]:
    """A default profile with a limit in watts."""
    wire = profile(limit)
    schedule = wire["chargingSchedule"][0]
    schedule["chargingRateUnit"] = "W"
    schedule["chargingSchedulePeriod"][0] |= period
    return wire


async def impose_w(walk: Walk, power_w: float) -> None:
    """An energy manager limits the power of all EVSEs, whatever phases they use."""
    walk.parts.load.limits.set_shared("user", SharedLimit(LimitSource.USER, power_w=power_w))
    walk.parts.load.decisions.request()
    await walk.settle()


async def most_w(walk: Walk, seconds: int) -> float:
    """The highest power of a time, looked at twice a second."""
    most = 0.0
    for _ in range(2 * seconds):
        await walk.advance(0.5)
        most = max(most, sum(walk.board.currents_a) * 230.0)
    return most


async def supported(walk: Walk, name: str, **place: Any) -> str | None:
    """The value of a variable of SmartChargingCtrlr."""
    component = {"name": "SmartChargingCtrlr", **place}
    request = {"getVariableData": [{"component": component, "variable": {"name": name}}]}
    answer = await walk.csms.call("GetVariables", request)
    value: str | None = answer["getVariableResult"][0].get("attributeValue")
    return value


async def test_a_limit_on_the_power_holds_through_both_changes_of_the_phases(tmp_path: Path) -> None:
    async with walking(tmp_path, evse=[SWITCHING]) as walk:
        await charge(walk)
        await impose_w(walk, 6900.0)
        await walk.advance(10)
        assert tuple(walk.board.currents_a) == pytest.approx((10.0, 10.0, 10.0), abs=0.1)
        await impose_w(walk, 3000.0)
        await walk.advance(6)
        assert await most_w(walk, 60) <= 3000.0
        assert tuple(walk.board.currents_a) == pytest.approx((13.04, 0.0, 0.0), abs=0.1)
        await impose_w(walk, 11_000.0)
        assert await most_w(walk, 900) <= 11_000.0
        assert tuple(walk.board.currents_a) == pytest.approx((15.94, 15.94, 15.94), abs=0.1)


async def test_a_profile_in_watts_holds_through_both_changes_of_the_phases(tmp_path: Path) -> None:
    """K01.FR.50: the CSMS says for how many phases its watts are."""
    async with walking(tmp_path, evse=[SWITCHING]) as walk:
        await charge(walk)
        await install(walk, watts(6900.0))
        await walk.advance(10)
        assert tuple(walk.board.currents_a) == pytest.approx((10.0, 10.0, 10.0), abs=0.1)
        await install(walk, watts(3000.0, numberPhases=1))
        await walk.advance(6)
        assert await most_w(walk, 60) <= 3000.0
        assert tuple(walk.board.currents_a) == pytest.approx((13.04, 0.0, 0.0), abs=0.1)
        await install(walk, watts(11_000.0))
        assert await most_w(walk, 900) <= 11_000.0
        assert tuple(walk.board.currents_a) == pytest.approx((15.94, 15.94, 15.94), abs=0.1)


async def test_watts_of_the_station_for_three_phases_are_not_triple_amperes_on_one(tmp_path: Path) -> None:
    """K01.FR.50 (errata 2025-09, 2.40): limit / (line voltage * numberPhases), whatever the board has connected."""
    async with walking(tmp_path, evse=[SWITCHING]) as walk:
        await charge(walk)
        assert (await install(walk, watts(7360.0, numberPhases=1)))["status"] == "Accepted"
        most = watts(6900.0, numberPhases=3)
        most |= {"id": 2, "chargingProfilePurpose": "ChargingStationMaxProfile", "chargingProfileKind": "Absolute"}
        most["chargingSchedule"][0]["startSchedule"] = walk.application.clock.now().isoformat()
        assert (await install(walk, most, 0))["status"] == "Accepted"
        await walk.advance(30)
        assert tuple(walk.board.currents_a) == pytest.approx((10.0, 0.0, 0.0), abs=0.1)


async def test_what_is_offered_on_one_phase_is_reported_as_the_power_of_one(tmp_path: Path) -> None:
    """Power.Offered (part 2, MeasurandEnumType)"""
    rows = variables(
        SampledDataCtrlr__TxUpdatedInterval=20,
        SampledDataCtrlr__TxUpdatedMeasurands="Power.Offered,Current.Offered",
    )
    async with walking(tmp_path, evse=[SWITCHING], variable=rows) as walk:
        await charge(walk)
        await install(walk, watts(3000.0, numberPhases=1))
        await walk.advance(70)
        values = {sample["measurand"]: sample["value"] for sample in samples(periodic(walk)[-1])}
        assert values == pytest.approx({"Power.Offered": 3000.0, "Current.Offered": 13.0}, rel=0.01)


async def test_a_board_that_only_takes_two_away_does_not_choose_and_says_so(tmp_path: Path) -> None:
    """K01.FR.43, K01.FR.47, K01.FR.48"""
    async with walking(tmp_path, evse=[SWITCHING]) as walk:
        await charge(walk)
        assert await supported(walk, "Phases3to1") == "true"
        assert await supported(walk, "ACPhaseSwitchingSupported") == "false"
        assert await supported(walk, "ACPhaseSwitchingSupported", evse={"id": 1}) == "false"
        request = {"evseId": 1, "chargingProfile": watts(4600.0, numberPhases=1, phaseToUse=2)}
        assert (await walk.csms.call("SetChargingProfile", request))["status"] == "Rejected"
        await install(walk, watts(4600.0, numberPhases=1))
        await walk.advance(20)
        assert tuple(walk.board.currents_a) == pytest.approx((20.0, 0.0, 0.0), abs=0.1)


async def test_a_board_that_chooses_uses_the_phase_that_the_csms_names(tmp_path: Path) -> None:
    """K01.FR.46, K01.FR.48"""
    async with walking(tmp_path, evse=[SWITCHING | {"phase_choice": True}, {"id": 2}]) as walk:
        await charge(walk)
        assert await supported(walk, "ACPhaseSwitchingSupported") == "false"  # the other EVSE cannot
        assert await supported(walk, "ACPhaseSwitchingSupported", evse={"id": 1}) == "true"
        assert await supported(walk, "ACPhaseSwitchingSupported", evse={"id": 2}) == "false"
        await install(walk, watts(4600.0, numberPhases=1, phaseToUse=2))
        await walk.advance(20)
        assert tuple(walk.board.currents_a) == pytest.approx((0.0, 20.0, 0.0), abs=0.1)
        await install(walk, watts(2300.0, numberPhases=1, phaseToUse=3))
        await walk.advance(20)
        assert tuple(walk.board.currents_a) == pytest.approx((0.0, 0.0, 10.0), abs=0.1)


async def test_relays_that_do_not_move_are_a_fault_and_the_next_vehicle_has_the_phases_that_there_are(
    tmp_path: Path,
) -> None:
    """K01.FR.43; E06.FR.16: limits are reckoned for the phases that were ordered, so that no others may be used."""
    async with walking(tmp_path, evse=[SWITCHING]) as walk:
        await charge(walk)
        walk.board.switching_s = 1e6
        await install(walk, watts(3000.0, numberPhases=1))
        await walk.until(lambda: sum(walk.board.currents_a) == 0.0)
        await walk.advance(8)
        assert walk.evse.state.faults == frozenset()
        await walk.until(lambda: walk.csms.received("StatusNotification")[-1]["connectorStatus"] == "Faulted")
        await walk.until(lambda: walk.events()[-1]["eventType"] == "Ended")
        assert walk.events()[-1]["transactionInfo"]["stoppedReason"] == "Other"
        await clear(walk)
        await walk.unplug()
        await walk.until(lambda: walk.csms.received("StatusNotification")[-1]["connectorStatus"] == "Available")
        await walk.plug()
        await walk.present()
        await walk.until(lambda: tuple(walk.board.currents_a) == (32.0, 32.0, 32.0))


async def test_relays_that_do_not_move_back_are_a_fault_until_they_do(tmp_path: Path) -> None:
    async with walking(tmp_path, evse=[SWITCHING]) as walk:
        await charge(walk)
        await install(walk, watts(3000.0, numberPhases=1))
        await walk.advance(20)
        assert walk.board.currents_a.l1 > 0.0
        walk.board.switching_s = 30.0
        await walk.present()
        await walk.until(lambda: not walk.board.locked)
        await walk.unplug()
        await clear(walk)
        await walk.until(lambda: walk.csms.received("StatusNotification")[-1]["connectorStatus"] == "Faulted")
        await walk.until(lambda: walk.csms.received("StatusNotification")[-1]["connectorStatus"] == "Available")
