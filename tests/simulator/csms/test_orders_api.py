"""Page and API by which the bundled CSMS is told what to send and how to answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from simulator.csms.csms import DemoCsms
from simulator.csms.orders_api import csms_application
from simulator.csms.recent_frames import RecentFrames
from simulator.csms.station_overviews import StationOverview, StationOverviews
from station.interfaces.http.security_headers import SECURITY_HEADERS
from tests.command_line import Outcome, invoke
from tests.patience import PATIENCE_S, until
from tests.simulator.csms.test_csms_process import csms_process

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
BOOT = {"reason": "PowerUp", "chargingStation": {"vendorName": "Maker", "model": "M1", "firmwareVersion": "1.2"}}
STATUS = {"timestamp": "2026-01-02T03:04:05Z", "connectorStatus": "Occupied", "evseId": 1, "connectorId": 1}


def event(kind: str, **sample: object) -> dict[str, Any]:
    """A TransactionEvent with a sample of 2.5."""
    return {
        "eventType": kind,
        "timestamp": "2026-01-02T03:04:05Z",
        "triggerReason": "CablePluggedIn",
        "seqNo": ["Started", "Updated", "Ended"].index(kind),
        "transactionInfo": {"transactionId": "t1", "chargingState": "Charging"},
        "evse": {"id": 1},
        "meterValue": [{"timestamp": "2026-01-02T03:04:05Z", "sampledValue": [{"value": 2.5, **sample}]}],
    }


async def on_command_line(arguments: list[str]) -> Outcome:
    return await asyncio.to_thread(invoke, arguments)


@dataclass
class Bench:
    """A CSMS with its API, and one station."""

    csms: DemoCsms
    frames: RecentFrames
    client: httpx.AsyncClient
    station: ClientConnection

    async def tell(self, action: str, payload: object) -> Any:
        """The station sends a request; returns the answer."""
        await self.station.send(json.dumps([2, "s1", action, payload]))
        return json.loads(await self.station.recv())

    async def answer_next(self, *rest: object, kind: int = 3) -> Any:
        """The station answers the next request, which is returned."""
        request = json.loads(await self.station.recv())
        await self.station.send(json.dumps([kind, request[1], *rest]))
        return request


@contextlib.asynccontextmanager
async def bench() -> AsyncGenerator[Bench]:
    frames = RecentFrames(lambda: NOW)
    csms = DemoCsms(lambda: NOW, frames.append)
    transport = httpx.ASGITransport(csms_application(csms, frames))
    async with (
        asyncio.timeout(PATIENCE_S),
        csms.listening(),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
        connect(f"{csms.url}/CP-1", subprotocols=[Subprotocol("ocpp2.0.1")]) as station,
    ):
        await until(lambda: csms.stations == ["CP-1"])
        yield Bench(csms, frames, client, station)


async def test_a_request_is_sent_and_its_answer_returned() -> None:
    async with bench() as on:
        body = {"action": "Reset", "payload": {"type": "OnIdle"}}
        async with asyncio.TaskGroup() as group:
            answered = group.create_task(on.answer_next({"status": "Scheduled"}))
            response = await on.client.post("/api/stations/CP-1/call", json=body)
        assert answered.result()[2:] == ["Reset", {"type": "OnIdle"}]
        assert (response.status_code, response.json()) == (200, {"payload": {"status": "Scheduled"}})


async def test_a_callerror_is_an_answer() -> None:
    async with bench() as on, asyncio.TaskGroup() as group:
        group.create_task(on.answer_next("InternalError", "broken", {}, kind=4))
        response = await on.client.post("/api/stations/CP-1/call", json={"action": "ClearCache"})
        assert response.json() == {"error": {"code": "InternalError", "description": "broken"}}


@pytest.mark.parametrize(
    ("identity", "body", "status", "detail"),
    [
        ("CP-1", {"action": "Reset", "payload": {"type": "Now"}}, 422, 'payload: "Now" is not one of'),
        ("CP-1", {"action": "Reset", "payload": {}}, 422, 'payload: "type" is a required property'),
        ("CP-1", {"action": "Restart"}, 422, "action: OCPP 2.0.1 has no request 'Restart'"),
        ("CP-1", {"action": "Reset", "payload": 3}, 422, "`$.payload`"),
        ("CP-1", {"action": "Reset", "pay": {}}, 422, "unknown field `pay`"),
        ("CP-2", {"action": "ClearCache"}, 404, "station CP-2 is not connected"),
    ],
)
async def test_what_cannot_be_sent_is_refused_with_its_reason(
    identity: str, body: object, status: int, detail: str
) -> None:
    async with bench() as on:
        response = await on.client.post(f"/api/stations/{identity}/call", json=body)
        assert response.status_code == status
        assert detail in response.json()["detail"]


async def test_an_unchecked_request_is_sent_as_it_is() -> None:
    async with bench() as on, asyncio.TaskGroup() as group:
        answered = group.create_task(on.answer_next("FormatViolation", "", {}, kind=4))
        body = {"action": "Reset", "payload": {"type": "Now"}, "checked": False}
        assert (await on.client.post("/api/stations/CP-1/call", json=body)).json()["error"]["code"] == "FormatViolation"
        assert (await answered)[2:] == ["Reset", {"type": "Now"}]


async def test_a_station_that_goes_before_it_answers_is_a_gateway_timeout() -> None:
    async with bench() as on, asyncio.TaskGroup() as group:
        call = group.create_task(on.client.post("/api/stations/CP-1/call", json={"action": "ClearCache"}))
        await on.station.recv()
        await on.station.close()
        response = await call
        assert response.status_code == 504
        assert "CP-1 has disconnected" in response.json()["detail"]


async def test_a_chosen_answer_holds_for_the_number_of_times() -> None:
    async with bench() as on:
        path = "/api/stations/CP-1/answers/Heartbeat"
        assert (await on.client.put(path, json={"error": {"code": "GenericError"}, "times": 2})).json() == {}
        assert [(await on.tell("Heartbeat", {}))[0] for _ in range(3)] == [4, 4, 3]


@pytest.mark.parametrize(
    ("path", "body", "detail"),
    [
        ("Heartbeat", {"times": -1}, "`$.times`"),
        ("Heartbeat", {"error": {}}, "`code`"),
        ("Heartbeats", {}, "OCPP 2.0.1 has no request 'Heartbeats'"),
    ],
)
async def test_an_invalid_choice_is_refused(path: str, body: object, detail: str) -> None:
    async with bench() as on:
        response = await on.client.put(f"/api/stations/CP-1/answers/{path}", json=body)
        assert response.status_code == 422
        assert detail in response.json()["detail"]


async def test_a_form_of_another_site_sends_nothing() -> None:
    async with bench() as on:
        order = b'{"action": "ClearCache"}'
        response = await on.client.post(
            "/api/stations/CP-1/call", content=order, headers={"Content-Type": "text/plain"}
        )
        assert response.status_code == 415
        response = await on.client.post("/api/stations/CP-1/call", json={}, headers={"Host": "attacker.example"})
        assert response.status_code == 400


async def test_stations_are_shown_as_their_requests_describe_them() -> None:
    async with bench() as on:
        await on.tell("BootNotification", BOOT)
        await on.tell("StatusNotification", STATUS)
        await on.tell("TransactionEvent", event("Started", unitOfMeasure={"unit": "kWh"}))
        await on.tell("TransactionEvent", event("Updated", measurand="Power.Active.Import"))
        await on.tell("TransactionEvent", {"eventType": "Ended"})  # invalid: it changes nothing
        (station,) = (await on.client.get("/api/stations")).json()["stations"]
        assert station == {
            "identity": "CP-1",
            "vendor": "Maker",
            "model": "M1",
            "firmware": "1.2",
            "connectors": [{"evse": 1, "connector": 1, "status": "Occupied"}],
            "transactions": [
                {"id": "t1", "evse": 1, "charging_state": "Charging", "register_wh": 2500.0, "power_w": 2.5}
            ],
        }
        await on.tell("TransactionEvent", event("Ended"))
        assert (await on.client.get("/api/stations")).json()["stations"][0]["transactions"] == []
        bills = (await on.client.get("/api/transactions?station=CP-1")).json()["transactions"]
        assert [(bill["id"], bill["ended"]) for bill in bills] == [("t1", True)]
        assert (await on.client.get("/api/bills")).json()["stations"]["CP-1"]["ended"] == 1


def test_what_a_station_sends_is_bounded() -> None:
    overview = StationOverview()
    for number in range(200):
        overview.note("StatusNotification", {**STATUS, "evseId": number})
        started = event("Started", phase="L1")
        overview.note("TransactionEvent", {**started, "transactionInfo": {"transactionId": str(number)}})
    assert (len(overview.connectors), len(overview.transactions)) == (64, 64)
    assert "199" in overview.transactions, "the newest ones are kept"
    overviews = StationOverviews()
    for number in range(10_001):
        overviews.note(str(number), "BootNotification", BOOT)
    assert (overviews.of("0").model, overviews.of("10000").model) == ("", "M1")


async def test_numbers_of_any_length_end_no_connection_and_break_no_page() -> None:
    huge = 10**400
    large_value, large_seq_no = event("Updated"), event("Updated") | {"seqNo": huge}
    large_value["meterValue"][0]["sampledValue"][0]["value"] = huge
    async with bench() as on:
        for action, payload in (
            ("StatusNotification", {**STATUS, "evseId": huge}),
            ("TransactionEvent", event("Updated", unitOfMeasure={"multiplier": huge})),
            ("TransactionEvent", large_value),
            ("TransactionEvent", large_seq_no),
        ):
            answer = await on.tell(action, payload)
            assert answer[:3] == [4, "s1", "PropertyConstraintViolation"]
        assert await on.tell("TransactionEvent", event("Started") | {"seqNo": 0.0, "evse": {"id": 1.0}}) == [
            3,
            "s1",
            {},
        ]
        (station,) = (await on.client.get("/api/stations")).json()["stations"]
        assert [one["evse"] for one in station["transactions"]] == [1]
        async with asyncio.TaskGroup() as group:
            group.create_task(on.answer_next({"status": "Accepted", "customData": {"vendorId": "x", "huge": huge}}))
            response = await on.client.post("/api/stations/CP-1/call", json={"action": "ClearCache"})
        assert response.json()["payload"]["customData"]["huge"] == huge


async def test_frames_are_given_after_a_number_and_for_a_station() -> None:
    async with bench() as on:
        await on.tell("Heartbeat", {})
        on.frames.append("CP-9", "in", "other")
        found = (await on.client.get("/api/frames?station=CP-1")).json()["frames"]
        assert [frame["direction"] for frame in found] == ["in", "out"]
        (other,) = (await on.client.get(f"/api/frames?after={found[-1]['number']}")).json()["frames"]
        assert other == {
            "number": 3,
            "at": "2026-01-02T03:04:05Z",
            "station": "CP-9",
            "direction": "in",
            "text": "other",
        }
        assert (await on.client.get("/api/frames?after=x")).status_code == 422


def test_frames_are_bounded_by_number_and_size() -> None:
    frames = RecentFrames(lambda: NOW)
    for _ in range(3_000):
        frames.append("CP-1", "in", "x")
    assert len(frames.frames_after(0, None, 5_000)) == 2_000
    for _ in range(10):
        frames.append("CP-1", "in", "x" * 2**20)
    assert [frame.number for frame in frames.frames_after(0, None, 5_000)] == [3_007, 3_008, 3_009, 3_010]


async def test_the_page_has_the_security_headers_and_nothing_inline() -> None:
    async with bench() as on:
        page = await on.client.get("/")
        for name in re.findall(r'(?:src|href)="([a-z.]+)"', page.text):
            assert (await on.client.get(f"/{name}")).is_success
        assert {name: page.headers.get(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS
        assert "<style" not in page.text
        assert page.text.count("<script") == page.text.count('<script src="')


async def test_the_command_sends_a_request_by_the_running_csms() -> None:
    async with csms_process("--http-port", "0") as csms, asyncio.timeout(PATIENCE_S):
        url = await csms.page_url()
        async with connect(f"{csms.url}/CP-1", subprotocols=[Subprotocol("ocpp2.0.1")]) as station:

            async def answer(*rest: object, kind: int) -> None:
                request = json.loads(await station.recv())
                await station.send(json.dumps([kind, request[1], *rest]))

            async with asyncio.TaskGroup() as group:
                group.create_task(answer({"status": "Accepted"}, kind=3))
                found = await on_command_line(["csms", "call", "CP-1", "ClearCache", "--url", url])
            assert (found.exit_code, json.loads(found.stdout)) == (0, {"status": "Accepted"})
            async with asyncio.TaskGroup() as group:
                group.create_task(answer("NotSupported", "", {}, kind=4))
                found = await on_command_line(["csms", "call", "CP-1", "ClearCache", "--url", url])
            assert (found.exit_code, json.loads(found.stdout)["error"]["code"]) == (1, "NotSupported")
            found = await on_command_line(["csms", "call", "CP-1", "Reset", '{"type": "Now"}', "--url", url])
            assert found.exit_code == 2
            assert "payload" in found.stderr
            found = await on_command_line(["csms", "call", "CP-1", "Reset", "[]", "--url", url])
            assert "JSON: must be an object" in found.stderr
    for invalid in ("http://[::", "localhost:9001", "ws://127.0.0.1:9001", "http://x:99999"):
        found = await on_command_line(["csms", "call", "CP-1", "Reset", "--url", invalid])
        assert (found.exit_code, "must be an http:// or https:// URL" in found.stderr) == (2, True)
    found = await on_command_line(["csms", "call", "CP-1", "Reset", "--url", url])
    assert (found.exit_code, found.stdout) == (2, "")
    assert "does not answer" in found.stderr
