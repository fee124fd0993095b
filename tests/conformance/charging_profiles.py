"""Charging profiles for the cases of block K: made, sent, asked for and compared."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from tests.conformance.bench import Bench
from tests.conformance.frames import Payload

PHASES = 3
"""<Configured numberPhases>"""
DEVIATION_S = 4.0
"""<Configured max time deviation>"""
PROFILE_ID = 101
DURATION_S = 300
"""<Configured duration>"""

UNITS = pytest.mark.parametrize("unit", ["A", "W"])
"""<Configured chargingRateUnit>: a station that supports both passes with both"""


def multiplier(unit: str) -> float:
    """<limit multiplier> (errata 2025-09, 6.2.69)."""
    return 1.0 if unit == "A" else 230.0 * PHASES


def profile(
    unit: str,
    *periods: tuple[int, float],
    purpose: str = "TxDefaultProfile",
    kind: str = "Absolute",
    start: str | None = None,
    duration: int | None = None,
    identity: int = PROFILE_ID,
    level: int = 0,
    **more: Any,
) -> Payload:
    """A profile with periods of (startPeriod, amperes); `more` are further fields of it."""
    schedule: Payload = {
        "id": identity,
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": [
            {"startPeriod": at, "limit": limit * multiplier(unit), "numberPhases": PHASES}
            for at, limit in periods or ((0, 6.0),)
        ],
    }
    if start is not None:
        schedule["startSchedule"] = start
    if duration is not None:
        schedule["duration"] = duration
    return {
        "id": identity,
        "stackLevel": level,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": kind,
        "chargingSchedule": [schedule],
        **more,
    }


async def set_profile(bench: Bench, sent: Payload, *, evse_id: int | None = None) -> str:
    """SetChargingProfile; the status."""
    evse = bench.evse_id if evse_id is None else evse_id
    answer = await bench.call("SetChargingProfile", {"evseId": evse, "chargingProfile": sent})
    return str(answer["status"])


async def get_profiles(bench: Bench, request_id: int, evse_id: int | None = None, **criteria: Any) -> str:
    """GetChargingProfiles; the status."""
    request: Payload = {"requestId": request_id, "chargingProfile": criteria}
    if evse_id is not None:
        request["evseId"] = evse_id
    answer = await bench.call("GetChargingProfiles", request)
    return str(answer["status"])


async def reported(bench: Bench, request_id: int, evse_id: int | None = None, **criteria: Any) -> list[Payload]:
    """GetChargingProfiles, which must be accepted, and all reports that follow; every one has the requestId."""
    assert await get_profiles(bench, request_id, evse_id, **criteria) == "Accepted"
    reports: list[Payload] = []
    while not reports or reports[-1].get("tbc", False):
        report = await bench.expect("ReportChargingProfiles")
        assert report["requestId"] == request_id, report
        reports.append(report)
    await bench.silence("ReportChargingProfiles", for_s=5.0)  # all have been received
    return reports


async def check_reported(
    bench: Bench, request_id: int, expected: dict[int, list[Payload]], evse_id: int | None = None, **criteria: Any
) -> None:
    """The reports are of these EVSEs with these profiles, and of no others."""
    found: dict[int, list[Payload]] = {}
    for report in await reported(bench, request_id, evse_id, **criteria):
        assert report["chargingLimitSource"] == "CSO", report
        found.setdefault(report["evseId"], []).extend(report["chargingProfile"])
    assert {evse: [_comparable(profile) for profile in profiles] for evse, profiles in found.items()} == {
        evse: [_comparable(profile) for profile in sent] for evse, sent in expected.items()
    }


def _comparable(value: Any) -> Any:
    """The same, with moments for the texts that mean them."""
    if isinstance(value, dict):
        return {name: _comparable(item) for name, item in value.items()}  # pyright: ignore[reportUnknownVariableType]  # JSON
    if isinstance(value, list):
        return [_comparable(item) for item in value]  # pyright: ignore[reportUnknownVariableType]  # JSON
    if isinstance(value, str) and value[:2] == "20" and value[10:11] == "T":
        return moment(value)
    return value


def moment(text: str) -> datetime:
    """Parse a dateTime."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


async def composite(bench: Bench, evse_id: int, duration: int, unit: str) -> Payload:
    """GetCompositeSchedule, which must be accepted, with what every answer to it has to be; the schedule."""
    requested_at = bench.now()
    request = {"evseId": evse_id, "duration": duration, "chargingRateUnit": unit}
    answer = await bench.call("GetCompositeSchedule", request)
    assert answer["status"] == "Accepted", answer
    schedule: Payload = answer["schedule"]
    assert schedule["evseId"] == evse_id, schedule
    assert schedule["duration"] == duration, schedule
    assert schedule["chargingRateUnit"] == unit, schedule
    assert abs((moment(schedule["scheduleStart"]) - requested_at).total_seconds()) <= DEVIATION_S, schedule
    starts = [period["startPeriod"] for period in schedule["chargingSchedulePeriod"]]
    assert starts[0] == 0, starts
    assert starts == sorted(set(starts)), starts
    return schedule


def check_periods(schedule: Payload, since: str, unit: str, expected: list[tuple[int, float | None]]) -> None:
    """The periods begin so many seconds after a moment (0 is the first) and have these limits; None: any."""
    x = (moment(schedule["scheduleStart"]) - moment(since)).total_seconds()
    periods: list[Payload] = schedule["chargingSchedulePeriod"]
    assert len(periods) == len(expected), (periods, expected)
    for period, (start, limit) in zip(periods, expected, strict=True):
        assert period["startPeriod"] == pytest.approx(0 if start == 0 else start - x, abs=1.0), (period, start, x)
        if limit is not None:
            assert period["limit"] == pytest.approx(limit * multiplier(unit), abs=0.05), (period, limit)
