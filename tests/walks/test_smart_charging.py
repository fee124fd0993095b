"""Limits of the whole station and of others than the CSMS, and what is reported of them to the CSMS (K04, K08–K13)."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from energy.charging_profile import Kind
from energy.controller import SharedLimit
from energy.limit import LimitSource
from energy.profile_store import MAX_PROFILES
from simulator.vehicle import VehicleModel
from station.load.shared_limits import LimitRequest, LimitSetter
from station.security.network_profile import NetworkProfile
from tests.csms import NO_ANSWER, CallErrorAnswer, running_csms
from tests.walk import CARD, OTHER_CARD, Walk, configuration, powered, walking
from tests.walks.steps import charge, request_start, tx_points, variables
from tests.walks.test_profiles import clear, drawn_a, install, profile

TWO: dict[str, Any] = {"evse": [{"id": 1}, {"id": 2}]}
OPERATOR = LimitSource.OPERATOR


def station_profile(limit: float, **more: Any) -> dict[str, Any]:
    """Return a ChargingStationMaxProfile that began long ago."""
    wire = profile(limit, id=50, chargingProfilePurpose="ChargingStationMaxProfile", chargingProfileKind="Absolute")
    wire["chargingSchedule"][0]["startSchedule"] = "2020-01-01T00:00:00Z"
    return wire | more


async def charge_at_both(walk: Walk) -> None:
    """Charge a vehicle at each of two EVSEs."""
    await walk.accepted()
    for evse_id, card in ((1, CARD), (2, OTHER_CARD)):
        walk.world.boards[evse_id].plug(VehicleModel())
        await walk.settle()
        outcome = walk.parts.station.present_token(card, evse_id)
        await walk.until(outcome.done)
    await walk.until(lambda: all(sum(board.currents_a) > 0 for board in walk.world.boards.values()))
    await walk.advance(3)


async def composite_schedule(walk: Walk, evse_id: int, duration: int = 300, **more: Any) -> list[tuple[int, float]]:
    """Send GetCompositeSchedule; returns start and limit of each period."""
    request = {"evseId": evse_id, "duration": duration, **more}
    answer = await walk.csms.call("GetCompositeSchedule", request)
    assert answer["status"] == "Accepted", answer
    return [(period["startPeriod"], period["limit"]) for period in answer["schedule"]["chargingSchedulePeriod"]]


def impose_limit(
    walk: Walk, current_a: float | None, source: LimitSource = OPERATOR, *, lasts_s: float | None = None
) -> None:
    """Set or remove a limit of all EVSEs by another source than the CSMS."""
    until = walk.application.clock.now() + timedelta(seconds=lasts_s) if lasts_s is not None else None
    limit = SharedLimit(source, current_a, until=until) if current_a is not None else None
    walk.parts.load.limits.set_shared(source, limit)
    walk.parts.load.decisions.request()


def rate_changes(walk: Walk) -> list[dict[str, Any]]:
    """Return the events with the trigger ChargingRateChanged."""
    return [event for event in walk.events() if event["triggerReason"] == "ChargingRateChanged"]


# The whole station


async def test_a_profile_of_the_station_is_divided_among_its_evses(tmp_path: Path) -> None:
    """K04.FR.01, K04.FR.05"""
    async with walking(tmp_path, **TWO) as walk:
        await charge_at_both(walk)
        boards = walk.world.boards.values()
        assert await install(walk, station_profile(20.0), 0) == {"status": "Accepted"}
        await walk.advance(8)
        drawn = [max(board.currents_a) for board in boards]
        assert sum(drawn) <= 20.0 + 0.1
        assert min(drawn) >= 6.0
        assert await composite_schedule(walk, 0) == [(0, 20.0)]
        assert await composite_schedule(walk, 1) == await composite_schedule(walk, 2) == [(0, 10.0)]
        assert await clear(walk, chargingProfileCriteria={"chargingProfilePurpose": "ChargingStationMaxProfile"}) == (
            "Accepted"
        )
        await walk.advance(8)
        assert [max(board.currents_a) for board in boards] == [16.0, 16.0]  # the selector is at 32 A


async def test_the_last_vehicle_that_charges_has_all_of_the_station(tmp_path: Path) -> None:
    """K04.FR.05: what nobody else uses is not kept back; a change without a request of the CSMS is reported (SC.02)."""
    async with walking(tmp_path, **TWO) as walk:
        await charge_at_both(walk)
        await install(walk, station_profile(20.0), 0)
        await walk.advance(15)
        walk.parts.station.present_token(OTHER_CARD, 2)
        await walk.until(lambda: drawn_a(walk) == pytest.approx(20.0, abs=0.1))
        await walk.until(lambda: rate_changes(walk))


async def test_a_profile_of_the_station_survives_a_power_cycle(tmp_path: Path) -> None:
    """K01.FR.27"""
    async with running_csms() as csms, powered(configuration(tmp_path, csms.url), csms) as walk:
        await charge(walk)
        await install(walk, station_profile(13.0), 0)
        await walk.application.cut_power()
        await walk.application.restore_power()
        await walk.until(lambda: len(csms.received("BootNotification")) == 2)
        assert await composite_schedule(walk, 0) == [(0, 13.0)]


@pytest.mark.parametrize(
    ("wrong", "evse_id"),
    [({}, 1), ({"chargingProfileKind": "Relative"}, 0)],  # K04.FR.03, K01.FR.38
)
async def test_a_profile_of_the_station_that_cannot_be_is_refused(
    tmp_path: Path, wrong: dict[str, Any], evse_id: int
) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        answer = await install(walk, station_profile(10.0) | wrong, evse_id)
        assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "InvalidProfile")


# What is asked


def slider_request(limit: float) -> dict[str, Any]:
    """Return what Home Assistant's slider for the maximum current sends (lbbrhzn/ocpp)."""
    return profile(limit, chargingProfilePurpose="ChargingStationMaxProfile")


async def test_home_assistants_slider_holds_where_the_installation_accepts_it(tmp_path: Path) -> None:
    """Against K01.FR.38: Absolute from its arrival, over a power cut, until it is cleared."""
    async with walking(tmp_path, csms={"accept": ["relative-station-limits"]}) as walk:
        await charge(walk)
        arrived = walk.application.clock.now()
        for limit in (10.0, 12.0):
            arrived = walk.application.clock.now()
            assert await install(walk, slider_request(limit), 0) == {"status": "Accepted"}
            await walk.advance(5)
            assert drawn_a(walk) == limit
        await walk.application.cut_power()
        await walk.application.restore_power()
        await walk.until(lambda: len(walk.csms.received("BootNotification")) == 2 and walk.stack.link.online)
        await walk.csms.call("GetChargingProfiles", {"requestId": 6, "chargingProfile": {}})
        await walk.until(lambda: walk.csms.received("ReportChargingProfiles"))
        (reported,) = walk.csms.received("ReportChargingProfiles")[0]["chargingProfile"]
        assert reported["chargingProfileKind"] == "Absolute"
        started = datetime.fromisoformat(reported["chargingSchedule"][0]["startSchedule"])
        assert abs(started - arrived) <= timedelta(seconds=1)
        assert await composite_schedule(walk, 1) == [(0, 12.0)]
        criteria = {"chargingProfilePurpose": "ChargingStationMaxProfile"}
        assert await clear(walk, chargingProfileCriteria=criteria) == "Accepted"
        assert await composite_schedule(walk, 1) == [(0, 32.0)]


async def test_such_a_limit_is_refused_by_default_and_also_else_where_more_is_wrong_with_it(tmp_path: Path) -> None:
    """K01.FR.38, K04.FR.03, K01.FR.41; a TxDefaultProfile stays Relative."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        answer = await install(walk, slider_request(10.0), 0)
        assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "InvalidProfile")
    async with walking(tmp_path, csms={"accept": ["relative-station-limits"]}) as walk:
        await walk.accepted()
        assert (await install(walk, slider_request(10.0), 1))["status"] == "Rejected"
        wrong = slider_request(10.0)
        wrong["chargingSchedule"][0]["startSchedule"] = walk.application.clock.now().isoformat()
        assert (await install(walk, wrong, 0))["status"] == "Rejected"
        assert await install(walk, profile(10.0), 0) == {"status": "Accepted"}
        assert [stored.kind for stored in walk.parts.load.profiles.store.all()] == [Kind.RELATIVE]


async def test_without_a_unit_the_composite_schedule_is_in_amperes(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await charge(walk)
        await install(walk, profile(6900.0, unit="W"))
        assert await composite_schedule(walk, 1) == [(0, 10.0)]
        assert await composite_schedule(walk, 1, chargingRateUnit="W") == [(0, 6900.0)]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [({"evseId": 9}, "UnknownEvse"), ({"duration": 0}, "ValueTooLow"), ({"duration": -5}, "ValueTooLow")],
)
async def test_a_composite_schedule_that_cannot_be_is_refused(
    tmp_path: Path, wrong: dict[str, int], reason: str
) -> None:
    """K08.FR.05"""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        answer = await walk.csms.call("GetCompositeSchedule", {"evseId": 1, "duration": 60} | wrong)
        assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", reason)


async def test_so_many_periods_that_nobody_could_read_them_are_refused(tmp_path: Path) -> None:
    """A request must not keep the station from its work: 68 years of days, each of a thousand periods."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        wire = profile(16.0, chargingProfileKind="Recurring", recurrencyKind="Daily")
        schedule = wire["chargingSchedule"][0]
        began = walk.application.clock.now() - timedelta(days=2000)
        schedule["startSchedule"] = began.strftime("%Y-%m-%dT%H:%M:%SZ")
        schedule["chargingSchedulePeriod"] = [{"startPeriod": at, "limit": 6.0 + at % 2} for at in range(1024)]
        assert (await install(walk, wire))["status"] == "Accepted"
        for duration in (2**31 - 1, 3 * 86_400):
            answer = await walk.csms.call("GetCompositeSchedule", {"evseId": 1, "duration": duration})
            assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "ValueTooHigh")
        assert len(await composite_schedule(walk, 1, 600)) > 500


async def test_many_profiles_are_reported_in_parts(tmp_path: Path) -> None:
    """K09.FR.02: one EVSE in a message, not too much in one; tbc is true but for the last."""
    async with walking(tmp_path, **TWO) as walk:
        await walk.accepted()
        for number in range(12):
            wire = profile(10.0, id=number + 1, stackLevel=number)
            periods = [{"startPeriod": at, "limit": 10.0, "numberPhases": 3} for at in range(50)]
            wire["chargingSchedule"][0]["chargingSchedulePeriod"] = periods
            assert (await install(walk, wire, 1 + number % 2))["status"] == "Accepted"
        answer = await walk.csms.call("GetChargingProfiles", {"requestId": 0, "chargingProfile": {}})
        assert answer == {"status": "Accepted"}
        await walk.until(
            lambda: [report["tbc"] for report in walk.csms.received("ReportChargingProfiles")][-1:] == [False]
        )
        reports = walk.csms.received("ReportChargingProfiles")
        assert len(reports) > 2
        assert {report["requestId"] for report in reports} == {0}
        assert [report["tbc"] for report in reports] == [True] * (len(reports) - 1) + [False]
        reported = [(report["evseId"], found["id"]) for report in reports for found in report["chargingProfile"]]
        assert sorted(reported) == sorted((1 + number % 2, number + 1) for number in range(12))


async def reported_after_power_cut(walk: Walk, wire: dict[str, Any]) -> object:
    """Install a profile and cut the power; returns the profiles that the station reports afterwards."""
    assert (await install(walk, wire))["status"] == "Accepted"
    await walk.application.cut_power()
    await walk.application.restore_power()
    await walk.until(lambda: len(walk.csms.received("BootNotification")) == 2 and walk.stack.link.online)
    await walk.csms.call("GetChargingProfiles", {"requestId": 6, "chargingProfile": {}})
    await walk.until(lambda: walk.csms.received("ReportChargingProfiles"))
    return walk.csms.received("ReportChargingProfiles")[0]["chargingProfile"]


async def test_a_profile_is_reported_with_what_its_sender_has_added_for_itself(tmp_path: Path) -> None:
    """TC_P_04_CS, K09.FR.01: customData of the profile, its schedule and its periods, over a power cut too."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        wire = profile(10.0, customData={"vendorId": "org.example", "reason": ["cheap", None, 1.5]})
        (schedule,) = wire["chargingSchedule"]
        schedule["customData"] = {"vendorId": "org.example", "of": "the schedule"}
        schedule["chargingSchedulePeriod"][0]["customData"] = {"vendorId": "org.example", "of": "the period"}
        assert await reported_after_power_cut(walk, wire) == [wire]


async def test_a_profile_is_reported_with_its_sales_tariff(tmp_path: Path) -> None:
    """K09.FR.06, over a power cut too (K01.FR.27)."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        wire = profile(10.0)
        wire["chargingSchedule"][0]["salesTariff"] = {
            "id": 3,
            "salesTariffDescription": "Nuit",
            "numEPriceLevels": 2,
            "salesTariffEntry": [
                {"relativeTimeInterval": {"start": 0, "duration": 3600}, "ePriceLevel": 1},
                {
                    "relativeTimeInterval": {"start": 3600},
                    "consumptionCost": [
                        {"startValue": 1.5, "cost": [{"costKind": "RelativePricePercentage", "amount": 80}]}
                    ],
                },
            ],
        }
        assert await reported_after_power_cut(walk, wire) == [wire]


async def test_a_report_of_profiles_goes_on_after_a_part_that_is_refused(tmp_path: Path) -> None:
    """K09.FR.02: a CSMS that has no use for one part waits for the one whose tbc is false all the same."""
    async with walking(tmp_path, **TWO) as walk:
        await walk.accepted()
        for evse_id in (1, 2):
            assert (await install(walk, profile(10.0, id=evse_id), evse_id))["status"] == "Accepted"
        walk.csms.answers["ReportChargingProfiles"] = lambda part: (
            CallErrorAnswer("FormatViolation") if part["tbc"] else {}
        )
        await walk.csms.call("GetChargingProfiles", {"requestId": 3, "chargingProfile": {}})
        await walk.until(lambda: len(walk.csms.received("ReportChargingProfiles")) == 2)
        assert [report["tbc"] for report in walk.csms.received("ReportChargingProfiles")] == [True, False]


async def test_without_smart_charging_its_messages_are_not_supported_and_its_profiles_do_not_count(
    tmp_path: Path,
) -> None:
    """K01.FR.29"""
    async with walking(tmp_path) as walk:
        await charge(walk)
        await install(walk, profile(10.0))
        await walk.set_variable("SmartChargingCtrlr", "Enabled", "false")
        requests: tuple[tuple[str, dict[str, Any]], ...] = (
            ("SetChargingProfile", {"evseId": 1, "chargingProfile": profile(8.0)}),
            ("GetChargingProfiles", {"requestId": 1, "chargingProfile": {}}),
            ("GetCompositeSchedule", {"evseId": 1, "duration": 60}),
            ("ClearChargingProfile", {"chargingProfileId": 1}),
        )
        for action, request in requests:
            answer = await walk.csms.request(action, request)
            assert (answer[0], answer[2]) == (4, "NotSupported"), answer
        await walk.advance(3)
        assert drawn_a(walk) == 32.0
        await walk.set_variable("SmartChargingCtrlr", "Enabled", "true")
        await walk.advance(3)
        assert drawn_a(walk) == 10.0


async def test_a_start_with_a_profile_that_cannot_be_is_rejected(tmp_path: Path) -> None:
    """K05.FR.05, F01.FR.26"""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        wire = profile(10.0, chargingProfilePurpose="TxProfile")
        twice = wire | {"chargingSchedule": wire["chargingSchedule"] * 2}
        single_phase = profile(10.0, chargingProfilePurpose="TxProfile")
        single_phase["chargingSchedule"][0]["chargingSchedulePeriod"][0]["numberPhases"] = 1
        for wrong, reason in (
            (profile(10.0), "InvalidProfile"),
            (wire | {"transactionId": "mine"}, "InvalidProfile"),
            (twice, "InvalidSchedule"),
            (single_phase, "InvalidSchedule"),
        ):
            answer = await request_start(walk, chargingProfile=wrong)
            assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", reason)
        assert (await request_start(walk, chargingProfile=wire))["status"] == "Accepted"


async def test_the_profile_of_a_start_counts_before_energy_makes_it_a_transaction(tmp_path: Path) -> None:
    """F01.FR.10, K05.FR.03: with EnergyTransfer as the start point there is no transaction while the pilot offers."""
    async with walking(tmp_path, variable=tx_points("EnergyTransfer", "EVConnected,Authorized")) as walk:
        await walk.accepted()
        await walk.plug(ready_after_s=20.0)
        wire = profile(9.0, chargingProfilePurpose="TxProfile")
        assert (await request_start(walk, chargingProfile=wire))["status"] == "Accepted"
        await walk.advance(3)
        assert (walk.board.outputs.pilot_a, walk.events()) == (9.0, [])
        assert await composite_schedule(walk, 1) == [(0, 9.0)]
        await walk.charging()
        assert drawn_a(walk) == 9.0
        await walk.until(walk.events)
        await walk.advance(3)
        (installed,) = walk.parts.load.profiles.store.all()
        assert installed.transaction_id == walk.evse.transaction_id
        assert drawn_a(walk) == 9.0


async def test_a_vehicle_that_comes_back_to_its_transaction_goes_on_where_its_schedule_was(tmp_path: Path) -> None:
    """K01.FR.42: a Relative schedule begins when the station is first ready to deliver energy, once a transaction."""
    rows = tx_points("Authorized", "Authorized", TxCtrlr__StopTxOnEVSideDisconnect=False)
    async with walking(tmp_path, variable=rows) as walk:
        await charge(walk)
        periods = [{"startPeriod": 0, "limit": 20.0}, {"startPeriod": 600, "limit": 8.0}]
        wire = profile(20.0, chargingProfilePurpose="TxProfile", transactionId=walk.evse.transaction_id)
        wire["chargingSchedule"][0]["chargingSchedulePeriod"] = periods
        assert await install(walk, wire) == {"status": "Accepted"}
        await walk.advance(700)
        await walk.unplug(ev_side=True)
        await walk.advance(30)
        assert await composite_schedule(walk, 1) == [(0, 8.0)]
        await walk.plug()
        await walk.until(lambda: drawn_a(walk) == 8.0)
        assert await composite_schedule(walk, 1) == [(0, 8.0)]
        await walk.present()
        await walk.until(lambda: walk.evse.transaction_id is None)
        await walk.advance(3)
        await walk.present()
        await walk.charging()
        wire["transactionId"] = walk.evse.transaction_id
        assert await install(walk, wire) == {"status": "Accepted"}
        assert (await composite_schedule(walk, 1))[0] == (0, 20.0)


# What others limit


async def test_a_limit_of_the_grid_operator_holds_is_reported_and_is_released(tmp_path: Path) -> None:
    """K11.FR.01, K11.FR.02, K11.FR.04, K11.FR.05, K11.FR.06, K13.FR.01, K13.FR.02, K13.FR.03"""
    async with walking(tmp_path) as walk:
        await charge(walk)
        impose_limit(walk, 10.0)
        await walk.until(lambda: drawn_a(walk) == 10.0)
        await walk.until(lambda: walk.csms.received("NotifyChargingLimit"))
        assert walk.csms.received("NotifyChargingLimit") == [{"chargingLimit": {"chargingLimitSource": "SO"}}]
        await walk.until(lambda: rate_changes(walk), within_s=15.0)
        assert rate_changes(walk)[0]["eventType"] == "Updated"
        await walk.csms.call("GetChargingProfiles", {"requestId": 7, "chargingProfile": {}})
        await walk.until(lambda: walk.csms.received("ReportChargingProfiles"))
        report = walk.csms.received("ReportChargingProfiles")[0]
        assert (report["chargingLimitSource"], report["evseId"]) == ("SO", 0)
        (reported,) = report["chargingProfile"]
        assert reported["chargingProfilePurpose"] == "ChargingStationExternalConstraints"
        assert reported["id"] < 0
        assert await composite_schedule(walk, 1) == [(0, 10.0)]
        assert await clear(walk, chargingProfileId=reported["id"]) == "Unknown"  # K10.FR.09
        assert await clear(walk) == "Unknown"  # K10.FR.08
        assert drawn_a(walk) == 10.0
        impose_limit(walk, None)
        await walk.until(lambda: drawn_a(walk) == 32.0)
        await walk.until(lambda: walk.csms.received("ClearedChargingLimit") == [{"chargingLimitSource": "SO"}])
        await walk.until(lambda: len(rate_changes(walk)) == 2, within_s=15.0)


async def test_a_limit_of_the_grid_operator_leaves_a_profile_alone_that_has_its_usual_id(tmp_path: Path) -> None:
    """K01.FR.05, K11.FR.06: neither replaces the other, and both are reported."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        impose_limit(walk, 10.0)
        await walk.until(lambda: drawn_a(walk) == 10.0)
        (usual,) = [stored.id for stored in walk.parts.load.profiles.store.all()]
        refused = await install(walk, profile(8.0, id=usual))
        assert (refused["status"], refused["statusInfo"]["reasonCode"]) == ("Rejected", "InvalidProfile")
        impose_limit(walk, None)
        await walk.until(lambda: drawn_a(walk) == 32.0)
        assert await install(walk, profile(8.0, id=usual)) == {"status": "Accepted"}
        impose_limit(walk, 10.0)
        await walk.until(lambda: len(walk.parts.load.profiles.store.all()) == 2)
        await walk.csms.call("GetChargingProfiles", {"requestId": 7, "chargingProfile": {}})
        await walk.until(lambda: len(walk.csms.received("ReportChargingProfiles")) == 2)
        ids_by_source = {
            report["chargingLimitSource"]: [found["id"] for found in report["chargingProfile"]]
            for report in walk.csms.received("ReportChargingProfiles")
        }
        assert ids_by_source["CSO"] == [usual]
        assert usual not in ids_by_source["SO"]
        impose_limit(walk, None)
        await walk.until(lambda: len(walk.parts.load.profiles.store.all()) == 1)
        await walk.advance(5)
        assert drawn_a(walk) == 8.0


async def test_there_are_never_more_profiles_than_the_device_model_says_there_can_be(tmp_path: Path) -> None:
    """Entries[ChargingProfiles]: its maxLimit counts what others limit too."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        store = walk.parts.load.profiles.store
        wire = profile(10.0, id=1000, chargingProfileKind="Relative")
        assert (await install(walk, wire))["status"] == "Accepted"
        for number in range(MAX_PROFILES - 1):
            store.install(replace(store.all()[0], id=number, stack_level=number + 1))
        impose_limit(walk, 16.0, LimitSource.USER)
        impose_limit(walk, 10.0)
        await walk.until(lambda: len(store.all()) == MAX_PROFILES + 2)
        entries = {"component": {"name": "SmartChargingCtrlr"}, "variable": {"name": "Entries"}}
        await walk.csms.call("GetReport", {"requestId": 4, "componentVariable": [entries]})
        (row,) = (await walk.csms.expect("NotifyReport"))["reportData"]
        max_limit = row["variableCharacteristics"]["maxLimit"]
        assert int(row["variableAttribute"][0]["value"]) == MAX_PROFILES + 2 <= max_limit


async def test_limits_of_the_grid_operator_and_of_the_owner_hold_and_are_reported_beside_each_other(
    tmp_path: Path,
) -> None:
    """K11.FR.02, K11.FR.06, SC.01: none of them takes the other's place, or is reported again and again."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        impose_limit(walk, 16.0, LimitSource.USER)
        await walk.advance(5)
        impose_limit(walk, 10.0, lasts_s=300.0)
        await walk.advance(120)
        notified_sources = [
            notification["chargingLimit"]["chargingLimitSource"]
            for notification in walk.csms.received("NotifyChargingLimit")
        ]
        assert notified_sources == ["EMS", "SO"]
        assert walk.csms.received("ClearedChargingLimit") == []
        await walk.csms.call("GetChargingProfiles", {"requestId": 8, "chargingProfile": {}})
        await walk.until(lambda: len(walk.csms.received("ReportChargingProfiles")) == 2)
        sources = {report["chargingLimitSource"] for report in walk.csms.received("ReportChargingProfiles")}
        assert sources == {"EMS", "SO"}
        assert (await composite_schedule(walk, 1))[0] == (0, 10.0)
        await walk.until(lambda: drawn_a(walk) == 16.0, within_s=300.0, step_s=5.0)
        await walk.until(lambda: walk.csms.received("ClearedChargingLimit") == [{"chargingLimitSource": "SO"}])
        assert await composite_schedule(walk, 1) == [(0, 16.0)]


async def test_of_two_limits_of_one_source_each_is_counted_for_as_long_as_it_holds(tmp_path: Path) -> None:
    """K08.FR.04, SC.01: the operator's 6 A for a quarter of an hour beside an order of 4830 W, which is 7 A."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        impose_limit(walk, 6.0, lasts_s=900.0)
        order = SharedLimit(LimitSource.GRID_ORDER, power_w=4830.0, plus_surplus=True)
        walk.parts.load.limits.set_shared("grid-order", order)
        walk.parts.load.decisions.request()
        await walk.until(lambda: drawn_a(walk) == 6.0)
        (first, then) = await composite_schedule(walk, 1, 3600)
        assert (first, then[1]) == ((0, 6.0), 7.0)
        await walk.advance(900)
        assert drawn_a(walk) == 7.0
        assert await composite_schedule(walk, 1, 3600) == [(0, 7.0)]


@pytest.mark.parametrize(("power_w", "expected_a"), [(4830.0, 7.0), (20_000.0, 10.0)])
async def test_of_a_limit_in_both_units_the_tighter_is_expected(
    tmp_path: Path, power_w: float, expected_a: float
) -> None:
    """K08.FR.04"""
    rows = variables(SmartChargingCtrlr__NotifyChargingLimitWithSchedules=True)
    async with walking(tmp_path, variable=rows) as walk:
        await walk.accepted()
        limit = SharedLimit(LimitSource.USER, current_a=10.0, power_w=power_w)
        walk.parts.load.limits.set_shared("user", limit)
        walk.parts.load.decisions.request()
        await walk.until(lambda: walk.csms.received("NotifyChargingLimit"))
        schedules = walk.csms.received("NotifyChargingLimit")[0]["chargingSchedule"]
        assert len({schedule["id"] for schedule in schedules}) == 2
        limits = [
            (schedule["chargingRateUnit"], schedule["chargingSchedulePeriod"][0]["limit"]) for schedule in schedules
        ]
        assert limits == [("A", 10.0), ("W", power_w)]
        assert await composite_schedule(walk, 1) == [(0, expected_a)]


async def test_amperes_hold_for_an_evse_of_one_phase_whatever_watts_it_may_have(tmp_path: Path) -> None:
    """K08.FR.04: 4830 W are 21 A on one phase, and 7 A on three."""
    async with walking(tmp_path, evse=[{"id": 1, "phases": 3}, {"id": 2, "phases": 1}]) as walk:
        await walk.accepted()
        limit = SharedLimit(LimitSource.USER, current_a=10.0, power_w=4830.0)
        walk.parts.load.limits.set_shared("user", limit)
        await walk.advance(2)
        assert await composite_schedule(walk, 2) == [(0, 10.0)]


async def test_a_limit_without_a_transaction_is_reported_and_holds_for_the_next(tmp_path: Path) -> None:
    """K12.FR.01, K12.FR.02, K12.FR.04, K12.FR.05"""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        impose_limit(walk, 9.0, LimitSource.USER)
        await walk.until(lambda: walk.csms.received("NotifyChargingLimit"))
        assert walk.csms.received("NotifyChargingLimit")[0]["chargingLimit"]["chargingLimitSource"] == "EMS"
        await charge(walk)
        assert drawn_a(walk) == 9.0


async def test_with_schedules_the_limit_is_reported_as_it_was_set(tmp_path: Path) -> None:
    """K11.FR.03, K12.FR.03"""
    rows = variables(SmartChargingCtrlr__NotifyChargingLimitWithSchedules=True)
    async with walking(tmp_path, variable=rows) as walk:
        await walk.accepted()
        impose_limit(walk, 9.0, lasts_s=600.0)
        await walk.until(lambda: walk.csms.received("NotifyChargingLimit"))
        (schedule,) = walk.csms.received("NotifyChargingLimit")[0]["chargingSchedule"]
        assert schedule["chargingRateUnit"] == "A"
        assert schedule["duration"] == 600
        assert [period["limit"] for period in schedule["chargingSchedulePeriod"]] == [9.0]
        began = datetime.fromisoformat(schedule["startSchedule"].replace("Z", "+00:00"))
        assert abs((walk.application.clock.now() - began).total_seconds()) < 2.0
        await walk.until(lambda: walk.csms.received("ClearedChargingLimit"), within_s=650.0, step_s=10.0)
        assert await composite_schedule(walk, 0) == [(0, 32.0)]


@pytest.mark.parametrize(("schedules", "durations_s"), [(True, [60, 3600, 120]), (False, [None])])
async def test_with_schedules_another_end_of_a_limit_is_reported(
    tmp_path: Path, schedules: bool, durations_s: list[int | None]
) -> None:
    """K11.FR.03, K12.FR.03; where the end of a limit is not reported, neither is its renewal."""
    rows = variables(SmartChargingCtrlr__NotifyChargingLimitWithSchedules=schedules)
    async with walking(tmp_path, variable=rows) as walk:
        await walk.accepted()
        for lasts_s in (60, 3600, 120):
            await walk.parts.shared_limits.set_limit(LimitSetter.USER, LimitRequest(current_a=10.0, for_s=lasts_s))
            await walk.advance(30)
        sent = walk.csms.received("NotifyChargingLimit")
        assert [
            notification["chargingSchedule"][0]["duration"] if schedules else None for notification in sent
        ] == durations_s
        assert walk.csms.received("ClearedChargingLimit") == []


async def test_a_change_that_is_not_significant_is_not_reported(tmp_path: Path) -> None:
    """SC.03, LimitChangeSignificance; a limit that is only renewed is no change at all."""
    rows = variables(SmartChargingCtrlr__LimitChangeSignificance=10)
    async with walking(tmp_path, variable=rows) as walk:
        await charge(walk)
        impose_limit(walk, 20.0, lasts_s=100.0)
        await walk.until(lambda: walk.csms.received("NotifyChargingLimit"))
        await walk.until(lambda: len(rate_changes(walk)) == 1, within_s=15.0)
        for current_a in (20.0, 19.0, 20.0, 21.5):
            impose_limit(walk, current_a, lasts_s=200.0)
            await walk.advance(15)
        assert len(walk.csms.received("NotifyChargingLimit")) == 1
        assert len(rate_changes(walk)) == 1
        impose_limit(walk, 12.0)
        await walk.until(lambda: len(walk.csms.received("NotifyChargingLimit")) == 2)
        await walk.until(lambda: len(rate_changes(walk)) == 2, within_s=15.0)


async def test_what_the_csms_orders_itself_is_no_news_to_it(tmp_path: Path) -> None:
    """SC.02, mechanism 1: no event for a profile that it has set."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        await install(walk, profile(10.0))
        await walk.advance(30)
        await install(walk, station_profile(8.0), 0)
        await walk.advance(30)
        await clear(walk)
        await walk.advance(30)
        assert drawn_a(walk) == 32.0
        assert rate_changes(walk) == []


async def test_what_changed_while_the_link_was_down_is_reported_when_it_is_back(tmp_path: Path) -> None:
    """K12.FR.02, K13.FR.02; profiles hold offline too (K06.FR.01, K07.FR.01)."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        await install(walk, profile(16.0))
        impose_limit(walk, 20.0, LimitSource.USER)
        await walk.until(lambda: walk.csms.received("NotifyChargingLimit"))
        walk.stack.cut_network()
        await walk.advance(5)
        assert drawn_a(walk) == 16.0
        impose_limit(walk, 9.0)
        impose_limit(walk, None, LimitSource.USER)
        await walk.until(lambda: drawn_a(walk) == 9.0)
        walk.stack.restore_network()
        await walk.until(lambda: walk.csms.received("ClearedChargingLimit") == [{"chargingLimitSource": "EMS"}])
        await walk.until(lambda: len(walk.csms.received("NotifyChargingLimit")) == 2)
        assert walk.csms.received("NotifyChargingLimit")[1]["chargingLimit"]["chargingLimitSource"] == "SO"


async def test_another_csms_hears_of_the_limit_that_is_in_force(tmp_path: Path) -> None:
    """B10.FR.10, K12.FR.02"""
    async with running_csms() as other_csms, walking(tmp_path) as walk:
        await walk.accepted()
        await walk.parts.network.store(2, NetworkProfile(other_csms.url, 0, 30.0))
        await walk.parts.network.set_priority("1,2")
        impose_limit(walk, 9.0)
        await walk.until(lambda: walk.csms.received("NotifyChargingLimit"))
        walk.csms.http_status = 503
        await walk.csms.close()
        await walk.until(lambda: other_csms.received("NotifyChargingLimit"), within_s=600.0, step_s=5.0)
        assert other_csms.received("NotifyChargingLimit") == walk.csms.received("NotifyChargingLimit")


@pytest.mark.parametrize(("offered", "unit"), [("A", "W"), ("W", "A")])
async def test_a_unit_that_is_not_offered_is_refused(tmp_path: Path, offered: str, unit: str) -> None:
    """K01.FR.26, K08.FR.07; without a unit the composite schedule is in the one that is."""
    async with walking(tmp_path, variable=variables(SmartChargingCtrlr__RateUnit=offered)) as walk:
        await walk.accepted()
        answer = await install(walk, profile(9.0, unit=unit))
        assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "UnsupportedRateUnit")
        request = {"evseId": 1, "duration": 300}
        answer = await walk.csms.call("GetCompositeSchedule", {**request, "chargingRateUnit": unit})
        assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "UnsupportedRateUnit")
        answer = await walk.csms.call("GetCompositeSchedule", request)
        assert answer["schedule"]["chargingRateUnit"] == offered


async def test_a_csms_that_takes_no_such_news_is_not_asked_again(tmp_path: Path) -> None:
    async with running_csms() as csms:
        csms.answers["NotifyChargingLimit"] = lambda _: CallErrorAnswer("NotImplemented")
        async with powered(configuration(tmp_path, csms.url), csms) as walk:
            await walk.accepted()
            impose_limit(walk, 9.0)
            await walk.until(lambda: csms.received("NotifyChargingLimit"))
            await walk.advance(300)
            assert len(csms.received("NotifyChargingLimit")) == 1


async def test_a_message_that_may_not_have_arrived_is_sent_again_more_and_more_rarely(tmp_path: Path) -> None:
    """K12.FR.02, K13.FR.02: a CSMS that is silent about it has perhaps not heard of it."""
    rows = variables(OCPPCommCtrlr__OfflineThreshold=60)
    async with running_csms() as csms:
        csms.answers["NotifyChargingLimit"] = csms.answers["ClearedChargingLimit"] = lambda _: NO_ANSWER
        async with powered(configuration(tmp_path, csms.url, variable=rows), csms) as walk:
            await walk.accepted()
            impose_limit(walk, 9.0)
            await walk.until(lambda: len(csms.received("NotifyChargingLimit")) == 2, within_s=60.0)
            await walk.advance(600)
            assert 3 <= len(csms.received("NotifyChargingLimit")) <= 10
            del csms.answers["NotifyChargingLimit"]
            count_before = len(csms.received("NotifyChargingLimit"))
            await walk.until(lambda: len(csms.received("NotifyChargingLimit")) == count_before + 1, within_s=300.0)
            await walk.advance(600)
            assert len(csms.received("NotifyChargingLimit")) == count_before + 1
            impose_limit(walk, None)
            await walk.until(lambda: csms.received("ClearedChargingLimit"))
            del csms.answers["ClearedChargingLimit"]
            await walk.until(lambda: len(csms.received("ClearedChargingLimit")) == 2, within_s=60.0)
            await walk.advance(600)
            assert len(csms.received("ClearedChargingLimit")) == 2


@pytest.mark.parametrize("answered", [True, False])
async def test_a_limit_that_ended_while_the_station_had_no_power_is_reported_as_ended(
    tmp_path: Path, answered: bool
) -> None:
    """K13.FR.02: the CSMS would believe in it for ever; also if power failed before its answer came."""
    async with (
        running_csms() as csms,
        powered(configuration(tmp_path, csms.url), csms) as walk,
    ):
        await walk.accepted()
        if not answered:
            csms.answers["NotifyChargingLimit"] = lambda _: NO_ANSWER
        await walk.parts.shared_limits.set_limit(LimitSetter.OPERATOR, LimitRequest(current_a=9.0, for_s=60.0))
        await walk.until(lambda: csms.received("NotifyChargingLimit"))
        await walk.application.cut_power()
        await walk.advance(120)
        await walk.application.restore_power()
        await walk.until(lambda: csms.received("ClearedChargingLimit") == [{"chargingLimitSource": "SO"}])
        await walk.advance(5)
        await walk.application.cut_power()
        await walk.application.restore_power()
        await walk.until(lambda: len(csms.received("BootNotification")) == 3)
        await walk.advance(30)
        assert len(csms.received("ClearedChargingLimit")) == len(csms.received("NotifyChargingLimit")) == 1
