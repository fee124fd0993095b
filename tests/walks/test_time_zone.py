"""The time zone of the station: who sets it, which setting is in force, and what is reckoned in it."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from energy.grid import MeterTariff
from tests.station.billing.documents.test_documents import text
from tests.walk import Walk, walking
from tests.walks.house import GRID, House
from tests.walks.steps import variables
from tests.walks.test_records import PRICES, charge
from tests.walks.visit import TOKEN, Api, visiting

PARIS = {"identity": "BORNE-TEST", "time_zone": "Europe/Paris"}


def set_clock(walk: Walk, moment: datetime) -> None:
    """Set the wall time of the station."""
    clock = walk.application.clock
    clock.adjust(moment - clock.now())


async def read_variable(walk: Walk, name: str) -> str:
    """Return a variable of ClockCtrlr, as the CSMS reads it."""
    item = {"component": {"name": "ClockCtrlr"}, "variable": {"name": name}}
    answer = await walk.csms.call("GetVariables", {"getVariableData": [item]})
    return answer["getVariableResult"][0]["attributeValue"]


async def local_utc_offset(api: Api) -> str:
    """Return the offset of local time from UTC, as the status shows it."""
    return (await api.get("/api/status"))["local_time"][-6:]


async def test_without_a_time_zone_local_time_is_utc_and_the_api_says_that_none_is_set(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        time_zone = await api.get("/api/time-zone")
        assert (time_zone["time_zone"], time_zone["utc_offset"]) == ("", "+00:00")
        assert (await api.get("/api/status"))["time_zone"] == ""


async def test_the_zone_of_the_installation_file_holds_until_owner_or_csms_set_another_one(tmp_path: Path) -> None:
    """What was set last is in force, also after a power cut."""
    async with walking(tmp_path, station=PARIS) as walk, visiting(walk) as api:
        await walk.accepted()
        set_clock(walk, datetime(2026, 7, 1, 12, tzinfo=UTC))
        assert await read_variable(walk, "TimeZone") == "Europe/Paris"
        assert await local_utc_offset(api) == "+02:00"
        await api.put("/api/time-zone", {"time_zone": "America/St_Johns"})
        assert await read_variable(walk, "TimeZone") == "America/St_Johns"
        assert await local_utc_offset(api) == "-02:30"
        await walk.application.cut_power()
        await walk.application.restore_power()
        assert (await api.get("/api/time-zone"))["time_zone"] == "America/St_Johns"
        await walk.until(lambda: walk.parts.link is not None and walk.parts.link.connected)
        await walk.set_variable("ClockCtrlr", "TimeZone", "Asia/Tokyo")
        assert (await api.get("/api/status"))["time_zone"] == "Asia/Tokyo"
        assert await local_utc_offset(api) == "+09:00"


@pytest.mark.parametrize(
    "name", ["Europe/Pari", "europe/paris", "+01:00", "", "../Europe/Paris", "localtime", "x" * 51]
)
async def test_a_time_zone_that_does_not_exist_is_refused_by_api_commissioning_and_csms(
    tmp_path: Path, name: str
) -> None:
    station = {"identity": "BORNE-TEST", "commissioning": "required"}
    async with walking(tmp_path, station=station) as walk, visiting(walk) as api:
        await walk.accepted()
        assert (await api.client.put("/api/time-zone", json={"time_zone": name})).status_code == 422
        site = {"step": "site", "name": "Home", "address": "Main Street 1", "place": "garage", "time_zone": name}
        assert (await api.client.post("/api/commissioning/steps", json=site)).status_code == 422
        item = {"component": {"name": "ClockCtrlr"}, "variable": {"name": "TimeZone"}, "attributeValue": name}
        answer = await walk.csms.call("SetVariables", {"setVariableData": [item]})
        expected = "Rejected" if name else "Accepted"  # the CSMS takes a time zone back
        assert answer["setVariableResult"][0]["attributeStatus"] == expected
        assert (await api.get("/api/status"))["time_zone"] == ""


async def test_the_site_step_of_commissioning_sets_the_time_zone_and_keeps_it_as_evidence(tmp_path: Path) -> None:
    station = {"identity": "BORNE-TEST", "commissioning": "required"}
    async with walking(tmp_path, station=station) as walk, visiting(walk) as api:
        site = {"step": "site", "name": "Home", "address": "Rue 1", "place": "garage", "time_zone": "Europe/Paris"}
        answer = await api.client.post("/api/commissioning/steps", json=site)
        assert (answer.status_code, answer.json()["outcome"]) == (200, "passed")
        assert answer.json()["evidence"]["time_zone"] == "Europe/Paris"
        assert (await api.get("/api/time-zone"))["time_zone"] == "Europe/Paris"


async def test_an_offset_that_the_csms_sets_takes_the_place_of_a_zone_that_shows_another_one(tmp_path: Path) -> None:
    """Part 2, ClockCtrlr.TimeOffset: not both at the same time. One that agrees with the zone changes nothing."""
    async with walking(tmp_path, station=PARIS) as walk, visiting(walk) as api:
        await walk.accepted()
        set_clock(walk, datetime(2026, 7, 1, 12, tzinfo=UTC))
        await walk.set_variable("ClockCtrlr", "TimeOffset", "+02:00")
        assert await read_variable(walk, "TimeZone") == "Europe/Paris"
        await walk.set_variable("ClockCtrlr", "TimeOffset", "-05:00")
        assert await read_variable(walk, "TimeZone") == ""
        assert await local_utc_offset(api) == "-05:00"
        await walk.application.cut_power()
        await walk.application.restore_power()
        assert await local_utc_offset(api) == "-05:00", "the zone of the installation file does not come back"
        await api.put("/api/time-zone", {"time_zone": "Europe/Paris"})
        set_clock(walk, datetime(2026, 12, 1, 12, tzinfo=UTC))
        assert await local_utc_offset(api) == "+01:00"


NIGHTS = ["2026-03-28", "2026-03-29", "2026-10-24", "2026-10-25"]
"""the days around both changes of summer time"""


@pytest.mark.parametrize("day", NIGHTS)
async def test_a_departure_at_eight_is_eight_on_the_wall_in_paris_around_both_changes(tmp_path: Path, day: str) -> None:
    """What is charged for 20:00 begins as much earlier, in elapsed time, as it takes."""
    async with walking(tmp_path, grid=GRID, station=PARIS) as walk, visiting(walk) as api:
        await walk.accepted()
        set_clock(walk, datetime.fromisoformat(f"{day}T00:10Z"))
        house = House(walk, tariff=MeterTariff(off_peak=False))
        plan = {"mode": "off-peak", "departure": "20:00", "energy_wh": 3680}
        await api.put("/api/load-management/tariff", plan)
        await api.post("/api/evses/1/token", TOKEN)
        await walk.plug()
        await house.live(15)
        limit = (await api.evse())["limit"]
        assert limit["source"] == "tariff"
        local = datetime.combine(datetime.fromisoformat(day).date(), time(20))
        departure = local.replace(tzinfo=UTC) - timedelta(hours=2 if "2026-03-29" <= day < "2026-10-25" else 1)
        assert datetime.fromisoformat(limit["next_change"]) == departure - timedelta(hours=1, minutes=15)


MONTHS: list[tuple[str, str, str, str]] = [
    ("2026-03-31T22:30Z", "2026-04", "2026-03", "2026-04-01T00:30:00+02:00"),
    ("2026-10-31T22:30Z", "2026-10", "2026-11", "2026-10-31T23:30:00+01:00"),
    ("2026-10-31T23:30Z", "2026-11", "2026-10", "2026-11-01T00:30:00+01:00"),
]
"""when a charge begins, its month in Paris, the month beside it, and how it is written"""


@pytest.mark.parametrize(("begins", "month", "other_month", "written"), MONTHS)
async def test_month_receipt_and_table_are_in_the_time_of_the_station(
    tmp_path: Path, begins: str, month: str, other_month: str, written: str
) -> None:
    tables: dict[str, Any] = {"prices": PRICES, "station": PARIS}
    async with walking(tmp_path, **tables) as walk, visiting(walk) as api:
        await walk.accepted()
        set_clock(walk, datetime.fromisoformat(begins))
        identity = await charge(api)

        async def table(path: str, **query: str) -> list[dict[str, str]]:
            answer = await api.client.get(path, params=query)
            return list(csv.DictReader(io.StringIO(answer.text, newline="")))

        (row,) = await table("/api/monthly-report.csv", month=month)
        assert row["transaction_id"] == identity
        assert row["began_at"][:16] + row["began_at"][-6:] == written[:16] + written[-6:]
        assert await table("/api/monthly-report.csv", month=other_month) == []
        since = written[:10] + "T00:00:00"
        assert [row["transaction_id"] for row in await table("/api/transactions.csv", since=since)] == [identity]
        assert await table("/api/transactions.csv", until=since) == []
        receipt = text((await api.client.get(f"/api/transactions/{identity}/receipt.pdf")).content)
        assert f"{written[:10]} {written[11:16]}" in receipt
        assert f"(UTC{written[-6:]})" in receipt


async def test_the_minutes_that_the_grid_operator_dimmed_today_count_from_midnight_at_the_station(
    tmp_path: Path,
) -> None:
    order = {"type": "dry-contact", "polarity": "open-dims", "chip": "simulated", "line": 17}
    rows = variables(ClockCtrlr__TimeZone="Asia/Tokyo")
    async with walking(tmp_path, grid_order=order, variable=rows) as walk, visiting(walk) as api:
        await walk.accepted()
        await api.post("/api/sim/grid", {"contact": True})
        await walk.advance(10)
        set_clock(walk, datetime(2026, 7, 1, 14, tzinfo=UTC))  # an hour before midnight in Tokyo
        await api.post("/api/sim/grid", {"contact": False})
        await walk.advance(7200)
        dimmed = (await api.get("/api/grid-orders"))["dimmed_today_min"]
        assert dimmed == pytest.approx(60, abs=1.5)
