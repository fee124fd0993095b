"""The highest and earliest values that a CSMS can send: accepted or refused by name, and the station goes on."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.csms import running_csms
from tests.walk import CARD, Walk, configuration, powered, walking
from tests.walks.steps import token, variables
from tests.walks.test_profiles import drawn_a, install, profile
from tests.walks.visit import visiting

HIGHEST = sys.float_info.max
EARLIEST, LATEST = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"
FAR_EAST, FAR_WEST = "+14:59", "-14:59"


def profile_without_limit(unit: str, start_s: int, **more: Any) -> dict[str, Any]:
    """A ChargingStationMaxProfile with the highest double from `start_s` on, as many back ends say "no limit"."""
    wire = profile(HIGHEST, unit=unit, id=50, chargingProfilePurpose="ChargingStationMaxProfile", **more)
    schedule = wire["chargingSchedule"][0] | {"startSchedule": "2020-01-01T00:00:00Z", "minChargingRate": HIGHEST}
    last = schedule["chargingSchedulePeriod"][0] | {"startPeriod": start_s}
    first = [{"startPeriod": 0, "limit": 4_830.0 if unit == "W" else 7.0}] if start_s else []
    return wire | {
        "chargingProfileKind": "Absolute",
        "chargingSchedule": [schedule | {"chargingSchedulePeriod": [*first, last]}],
    }


@asynccontextmanager
async def checked_over_restart(storage: Path, **tables: Any) -> AsyncGenerator[Walk]:
    """Check after the block that the station charges and answers, then again after a restart."""
    async with running_csms() as csms:
        config = configuration(storage, csms.url, **tables)
        async with powered(config, csms) as walk:
            await walk.accepted()
            yield walk
            await _check_charge_and_pages(walk)
            await _end_charge(walk)
        async with powered(config, csms) as walk:
            await walk.accepted()
            await _check_charge_and_pages(walk)
        assert csms.schema_faults == []


async def _check_charge_and_pages(walk: Walk) -> None:
    """Charge a vehicle, and read the pages."""
    await walk.plug()
    await walk.present()
    await walk.charging()
    async with visiting(walk) as api:
        await api.get("/api/status")
        for page in ("/", "/display"):
            assert (await api.client.get(page, follow_redirects=True)).status_code == 200
    await walk.advance(60)
    await walk.until(lambda: walk.stack.link.online, within_s=600)
    assert drawn_a(walk) >= 6.0


async def _end_charge(walk: Walk) -> None:
    await walk.present()
    await walk.until(lambda: walk.evse.transaction_id is None)
    await walk.until(lambda: not walk.evse.state.observation.locked)
    await walk.unplug()


@pytest.mark.parametrize(("unit", "start_s"), [("A", 0), ("W", 2**31 - 1)])
async def test_no_limit_is_accepted_reported_as_given_and_does_not_limit(
    tmp_path: Path, unit: str, start_s: int
) -> None:
    """From the beginning of the schedule, or far in the future."""
    async with checked_over_restart(tmp_path) as walk:
        wire = profile_without_limit(unit, start_s, validFrom=EARLIEST, validTo=LATEST)
        assert await install(walk, wire, 0) == {"status": "Accepted"}
        default = profile(HIGHEST, unit=unit, id=51)
        assert await install(walk, default, 0) == {"status": "Accepted"}
        await walk.csms.call("GetChargingProfiles", {"requestId": 1, "chargingProfile": {}})
        report = await walk.csms.expect("ReportChargingProfiles")
        profiles = {reported["id"]: reported for reported in report["chargingProfile"]}
        assert profiles[50]["chargingSchedule"][0]["chargingSchedulePeriod"][-1] == {
            "startPeriod": start_s, "limit": HIGHEST,
        }  # fmt: skip
        assert profiles[50]["chargingSchedule"][0]["minChargingRate"] == HIGHEST
        assert (profiles[50]["validFrom"], profiles[50]["validTo"]) == (
            "0001-01-01T00:00:00.000Z",
            "9999-12-31T23:59:59.000Z",
        )
        assert profiles[51]["chargingSchedule"][0]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": HIGHEST}]
        for evse_id, duration_s in ((0, 86_400), (1, 2**31 - 1)):
            answer = await walk.csms.call("GetCompositeSchedule", {"evseId": evse_id, "duration": duration_s})
            assert answer["status"] == "Accepted", answer
            periods = answer["schedule"]["chargingSchedulePeriod"]
            assert all(period["limit"] <= 32.0 * 3 * 230 for period in periods)


async def test_a_later_period_without_limit_is_no_time_bomb(tmp_path: Path) -> None:
    async with checked_over_restart(tmp_path) as walk:
        wire = profile_without_limit("A", 30)
        wire["chargingSchedule"][0]["startSchedule"] = walk.application.clock.now().isoformat()
        assert await install(walk, wire, 0) == {"status": "Accepted"}
        await walk.plug()
        await walk.present()
        await walk.charging()
        assert drawn_a(walk) <= 7.0
        await walk.advance(60)
        assert drawn_a(walk) > 7.0
        await _end_charge(walk)


@pytest.mark.parametrize(("begin", "kind"), [(LATEST, "Absolute"), (EARLIEST, "Recurring")])
async def test_a_schedule_may_start_at_any_date(tmp_path: Path, begin: str, kind: str) -> None:
    async with checked_over_restart(tmp_path) as walk:
        wire = profile(8.0, id=50, chargingProfileKind=kind)
        wire["chargingSchedule"][0]["startSchedule"] = begin
        wire["recurrencyKind"] = "Weekly"
        assert await install(walk, wire, 0) == {"status": "Accepted"}


@pytest.mark.parametrize(("moment", "offset"), [(LATEST, FAR_EAST), (EARLIEST, FAR_WEST)])
async def test_a_change_of_the_clock_beyond_all_clocks_is_refused_and_local_time_goes_on(
    tmp_path: Path, moment: str, offset: str
) -> None:
    station = {"identity": "BORNE-TEST"}
    async with checked_over_restart(tmp_path, station=station) as walk:
        await walk.set_variable("ClockCtrlr", "TimeZone", "")
        await walk.set_variable("ClockCtrlr", "TimeOffset", offset)
        await walk.set_variable("ClockCtrlr", "TimeOffset", "+02:00", "NextTransition")
        item = {
            "component": {"name": "ClockCtrlr"},
            "variable": {"name": "NextTimeOffsetTransitionDateTime"},
            "attributeValue": moment,
        }
        answer = await walk.csms.call("SetVariables", {"setVariableData": [item]})
        (result,) = answer["setVariableResult"]
        assert result["attributeStatus"] == "Rejected"
        assert "years 2000 to 2199" in result["attributeStatusInfo"]["additionalInfo"]


@pytest.mark.parametrize("offset", [FAR_EAST, FAR_WEST])
async def test_what_lasts_for_ever_or_has_ended_long_ago_is_kept_and_shown(tmp_path: Path, offset: str) -> None:
    """Reservations, display messages, tokens, updates and logs with the first and the last moment of the calendar."""
    async with checked_over_restart(
        tmp_path, variable=variables(ClockCtrlr__TimeOffset=offset), evse=[{"id": 1}, {"id": 2}]
    ) as walk:
        call = walk.csms.call
        reserved = {"id": -(2**31), "evseId": 2, "idToken": token(CARD), "expiryDateTime": LATEST}
        assert (await call("ReserveNow", reserved))["status"] == "Accepted"
        for number, (begin, end) in enumerate([(EARLIEST, LATEST), (LATEST, LATEST), (EARLIEST, EARLIEST)]):
            message = {
                "id": number,
                "priority": "NormalCycle",
                "startDateTime": begin,
                "endDateTime": end,
                "message": {"format": "UTF8", "content": "hello"},
            }
            await call("SetDisplayMessage", {"message": message})
        info = {"status": "Accepted", "cacheExpiryDateTime": LATEST}
        entries = [{"idToken": token(CARD), "idTokenInfo": info}]
        update = {"versionNumber": 1, "updateType": "Full", "localAuthorizationList": entries}
        assert (await call("SendLocalList", update))["status"] == "Accepted"
        log = {"remoteLocation": "http://127.0.0.1:9/", "oldestTimestamp": EARLIEST, "latestTimestamp": LATEST}
        await call("GetLog", {"logType": "DiagnosticsLog", "requestId": 1, "log": log, "retryInterval": 2**31 - 1})
        firmware = {"location": "http://127.0.0.1:9/", "retrieveDateTime": LATEST, "installDateTime": LATEST}
        await call("UpdateFirmware", {"requestId": 1, "firmware": firmware, "retryInterval": 2**31 - 1})
        monitors = [
            {"type": kind, "severity": 0, "value": value, "component": {"name": "EVSE", "evse": {"id": 1}},
             "variable": {"name": "Power"}}
            for kind in ("UpperThreshold", "LowerThreshold", "Delta", "Periodic", "PeriodicClockAligned")
            for value in (HIGHEST, -HIGHEST, 5e-324)
        ]  # fmt: skip
        await call("SetVariableMonitoring", {"setMonitoringData": monitors})
        async with visiting(walk) as api:
            assert (await api.evse(2))["reservation"]["expires_at"].startswith("9999-12-31")


@pytest.mark.parametrize("number", ["1" + "0" * 309, "1" * 5_000])
async def test_a_number_beyond_all_doubles_is_refused_by_name_under_the_id_of_its_message(
    tmp_path: Path, number: str
) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        payload = json.dumps({"evseId": 0, "chargingProfile": profile(10.0)}).replace("10.0", number)
        answer = await walk.csms.request_raw(f'[2, "a-1", "SetChargingProfile", {payload}]', "a-1")
        assert answer[:2] == [4, "a-1"]
        assert answer[2] in {"PropertyConstraintViolation", "TypeConstraintViolation"}
        assert "chargingSchedulePeriod[0].limit" in answer[3]
