"""The records for people through the local API: searched, exported, priced, and right about their times."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.csms import Csms
from tests.walk import CARD, OTHER_CARD, configuration, powered, walking
from tests.walks.steps import variables
from tests.walks.visit import Api, visiting

PRICES: dict[str, Any] = {
    "currency": "CHF",
    "energy_per_kwh": "0.30",
    "time_per_hour": 1.5,
    "period": [{"name": "HC", "energy_per_kwh": "0.20"}],
}


async def charge(api: Api, card: str = CARD.value, *, seconds: float = 600) -> str:
    """Run a whole charge; returns the transaction id."""
    await api.post("/api/evses/1/token", {"id_token": card, "type": "ISO14443"})
    await api.post("/api/sim/evses/1/plug", {"ev": {"max_current_a": 16, "phases": 3}})
    await api.advance(seconds)
    identity = (await api.evse())["transaction_id"]
    await api.post("/api/evses/1/stop")
    await api.advance(10)
    await api.post("/api/sim/evses/1/unplug")
    await api.advance(5)
    return str(identity)


async def found_ids(api: Api, **query: Any) -> list[str]:
    """Return the transaction ids that a search finds."""
    answer = await api.client.get("/api/transactions", params=query)
    assert answer.status_code == 200, answer.text
    return [transaction["transaction_id"] for transaction in answer.json()["transactions"]]


async def test_the_log_is_searched_by_time_card_evse_and_whether_it_goes_on(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        first = await charge(api)
        between = walk.application.clock.now().isoformat()
        await api.advance(60)
        second = await charge(api, OTHER_CARD.value)
        await api.post("/api/sim/evses/1/plug", {})
        await api.advance(5)
        third = (await api.evse())["transaction_id"]
        assert await found_ids(api) == [third, second, first]
        assert await found_ids(api, ongoing=True) == [third]
        assert await found_ids(api, ongoing=False, since=between) == [second]
        assert await found_ids(api, until=between) == [first]
        assert await found_ids(api, token=CARD.value.lower()) == [first]
        assert await found_ids(api, token="04FF…80") == [second]
        assert await found_ids(api, evse=2) == []
        assert await found_ids(api, skip=1, most=1) == [second]
        page = await api.get("/api/transactions?most=1")
        assert (page["total"], len(page["transactions"])) == (3, 1)


async def test_a_transaction_has_its_registers_cost_and_events_and_no_whole_card(tmp_path: Path) -> None:
    async with walking(tmp_path, prices=PRICES) as walk, visiting(walk) as api:
        await walk.accepted()
        identity = await charge(api, seconds=3600)
        transaction = await api.get(f"/api/transactions/{identity}")
        assert (transaction["ongoing"], transaction["evse_id"], transaction["token"]) == (False, 1, "04A3…80")
        assert transaction["energy_wh"] == pytest.approx(
            transaction["end"]["register_wh"] - transaction["begin"]["register_wh"]
        )
        assert transaction["begin"]["time_status"] == "I", "the CSMS has set the time"
        assert transaction["cost"]["amount"] == transaction["bill"]["total"]
        assert (transaction["cost"]["currency"], transaction["cost"]["told_by"], transaction["cost"]["final"]) == (
            "CHF",
            "station",
            True,
        )
        assert sum(float(line["amount"]) for line in transaction["bill"]["lines"]) == pytest.approx(
            float(transaction["cost"]["amount"])
        )
        assert [period["register_wh"] for period in transaction["periods"]] == [transaction["begin"]["register_wh"]]
        assert [recorded["event_type"] for recorded in transaction["events"]][-1] == "Ended"
        assert CARD.value not in json.dumps(transaction)
        (listed,) = (await api.get("/api/transactions"))["transactions"]
        assert listed == {name: transaction[name] for name in listed}
        assert (await api.client.get("/api/transactions/none")).status_code == 404


async def test_a_transaction_says_whether_it_has_signed_records(tmp_path: Path) -> None:
    """Where nothing is signed, the page offers nothing that does not exist."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        identity = await charge(api)
        (listed,) = (await api.get("/api/transactions"))["transactions"]
        assert (listed["signed"], (await api.get(f"/api/transactions/{identity}"))["signed"]) == (True, True)
        with contextlib.closing(sqlite3.connect(tmp_path / "borne.sqlite")) as database, database:
            database.execute("DELETE FROM signed_records")
        (listed,) = (await api.get("/api/transactions"))["transactions"]
        assert (listed["signed"], (await api.get(f"/api/transactions/{identity}"))["signed"]) == (False, False)


async def test_the_cost_of_a_running_transaction_is_reported_up_to_now(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        await api.post("/api/evses/1/token", {"id_token": CARD.value, "type": "ISO14443"})
        await api.post("/api/sim/evses/1/plug", {})
        await api.advance(10)
        (running,) = (await api.get("/api/transactions"))["transactions"]
        assert (running["ongoing"], running["end"], running["cost"]) == (True, None, None)
        cost_update = {"totalCost": 1.25, "transactionId": running["transaction_id"]}
        await walk.csms.call("CostUpdated", cost_update)
        (running,) = (await api.get("/api/transactions"))["transactions"]
        assert running["cost"]["amount"] == "1.25"
        assert (running["cost"]["final"], running["cost"]["told_by"]) == (False, "csms")


async def test_the_whole_log_is_a_table_for_spreadsheets(tmp_path: Path) -> None:
    rows = variables(ClockCtrlr__TimeZone="Europe/Paris")
    async with walking(tmp_path, variable=rows) as walk, visiting(walk) as api:
        await walk.accepted()
        identities = [await charge(api), await charge(api, OTHER_CARD.value)]
        answer = await api.client.get("/api/transactions.csv")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert answer.headers["content-disposition"] == 'attachment; filename="transactions.csv"'
        lines = list(csv.DictReader(io.StringIO(answer.text, newline="")))
        assert [line["transaction_id"] for line in lines] == identities, "the oldest first"
        assert datetime.fromisoformat(lines[0]["began_at"]).utcoffset() in {timedelta(hours=1), timedelta(hours=2)}
        assert float(lines[0]["energy_kwh"]) > 1.5
        assert CARD.value not in answer.text
        answer = await api.client.get("/api/transactions.csv", params={"token": CARD.value})
        assert len(answer.text.splitlines()) == 2


@pytest.mark.parametrize(
    "query",
    [
        {"since": "yesterday"},
        {"until": "2026-13-01"},
        {"since": "0001-01-01T00:00:00"},
        {"most": 0},
        {"most": 1001},
        {"skip": -1},
        {"evse": "x"},
        {"ongoing": "maybe"},
        {"token": "x" * 37},
    ],
)
async def test_an_invalid_search_names_the_field(tmp_path: Path, query: dict[str, Any]) -> None:
    config = configuration(tmp_path, None, variable=variables(ClockCtrlr__TimeOffset="+02:00"))
    async with powered(config, Csms()) as walk, visiting(walk) as api:
        answer = await api.client.get("/api/transactions", params=query)
        if "0001" in str(query):
            assert answer.status_code in {200, 422}, "a moment before the calendar"
            return
        assert answer.status_code == 422
        assert next(iter(query)) in answer.text


async def test_the_owner_changes_the_prices_and_what_runs_keeps_those_of_its_begin(tmp_path: Path) -> None:
    config = configuration(tmp_path, None, prices=PRICES, variable=variables(AuthCtrlr__Enabled=False))
    async with powered(config, Csms()) as walk, visiting(walk) as api:
        prices = (await api.get("/api/prices"))["prices"]
        assert (prices["currency"], prices["energy_per_kwh"], prices["time_per_hour"]) == ("CHF", "0.30", "1.5")
        assert prices["period"] == [{"name": "HC", "energy_per_kwh": "0.20"}]
        await api.post("/api/sim/evses/1/plug", {})
        await api.advance(60)
        await api.put("/api/prices", {"energy_per_kwh": 99})
        assert (await api.get("/api/prices"))["prices"]["currency"] == "EUR", "that of the settings"
        await api.advance(60)
        await api.post("/api/evses/1/stop")
        await api.advance(10)
        (cheap,) = (await api.get("/api/transactions"))["transactions"]
        assert cheap["cost"]["currency"] == "CHF"
        assert float(cheap["cost"]["amount"]) < 1
        await api.post("/api/sim/power", {"action": "cycle"}, settled=False)
        assert (await api.get("/api/prices"))["prices"]["energy_per_kwh"] == "99", "it outlives a power cut"
        await api.delete("/api/prices")
        await api.post("/api/sim/power", {"action": "cycle"}, settled=False)
        assert await api.get("/api/prices") == {"prices": None}, "and so does asking nothing"


@pytest.mark.parametrize("currency", ["EUR", "NOK", "XXX"])
async def test_the_currency_that_the_owner_sends_is_kept(tmp_path: Path, currency: str) -> None:
    settings = variables(TariffCostCtrlr__Currency="CHF")
    async with powered(configuration(tmp_path, None, variable=settings), Csms()) as walk, visiting(walk) as api:
        await api.put("/api/prices", {"currency": currency, "energy_per_kwh": 1})
        assert (await api.get("/api/prices"))["prices"]["currency"] == currency


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"energy_per_kwh": -1}, "energy_per_kwh"),
        ({"energy_per_kwh": "NaN"}, "energy_per_kwh"),
        ({"energy_per_kwh": 0.123456}, "energy_per_kwh"),
        ({"time_per_hour": 1e9}, "time_per_hour"),
        ({"idle_after_s": 1.5}, "idle_after_s"),
        ({"currency": "euro"}, "currency"),
        ({"per_kwh": 1}, "per_kwh"),
        ({"period": [{"name": "HC"}]}, "energy_per_kwh"),
        (
            {"period": [{"name": "HC", "energy_per_kwh": 1}, {"name": "hc..", "energy_per_kwh": 2}]},
            "hc.. is used twice",
        ),
    ],
)
async def test_prices_that_are_none_are_refused_and_the_field_is_named(
    tmp_path: Path, body: dict[str, Any], field: str
) -> None:
    async with powered(configuration(tmp_path, None), Csms()) as walk, visiting(walk) as api:
        answer = await api.client.put("/api/prices", json=body)
        assert answer.status_code == 422
        assert field in answer.text
        assert await api.get("/api/prices") == {"prices": None}


async def test_a_charge_that_began_with_a_wrong_clock_has_the_right_times_once_the_csms_sets_the_clock(
    tmp_path: Path,
) -> None:
    """The station starts offline and half a day behind; nothing that it sends or shows afterwards is."""
    csms = Csms(http_status=503)
    rows = variables(AuthCtrlr__Enabled=False)
    following = {"follow_csms_time": True}
    async with walking(tmp_path, csms, variable=rows, simulation=following) as walk, visiting(walk) as api:
        clock, behind = walk.application.clock, timedelta(hours=12)
        epoch = clock.now() - timedelta(seconds=clock.monotonic()) + behind
        csms.now = lambda: epoch + timedelta(seconds=clock.monotonic())
        began = csms.now()
        await api.post("/api/sim/evses/1/plug", {})
        await api.advance(600)
        identity = (await api.evse())["transaction_id"]
        assert (await api.get(f"/api/transactions/{identity}"))["times_corrected_s"] is None
        csms.http_status = None
        await walk.until(lambda: walk.events(), within_s=600)
        await walk.settle()
        transaction = await api.get(f"/api/transactions/{identity}")
        assert transaction["times_corrected_s"] == pytest.approx(behind.total_seconds(), abs=2)
        close = timedelta(seconds=2)
        begin_times = (transaction["began_at"], transaction["begin"]["read_at"], transaction["periods"][0]["at"])
        for moment in (*begin_times, transaction["events"][0]["occurred_at"]):
            assert abs(datetime.fromisoformat(moment) - began) < close
        sent = walk.events()[0]
        assert sent["eventType"] == "Started"
        assert abs(datetime.fromisoformat(sent["timestamp"]) - began) < close
        await api.post("/api/evses/1/stop")
        await api.advance(10)
        ended = await api.get(f"/api/transactions/{identity}")
        assert ended["duration_s"] == pytest.approx((csms.now() - began).total_seconds(), abs=15)
        assert abs(datetime.fromisoformat(ended["ended_at"]) - csms.now()) < timedelta(seconds=15)
        assert ended["end"]["time_status"] == "I"
        text = (await api.client.get("/api/transactions.csv")).text
        (line,) = csv.DictReader(io.StringIO(text, newline=""))
        assert float(line["times_corrected_s"]) == pytest.approx(behind.total_seconds(), abs=2)
