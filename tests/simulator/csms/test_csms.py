"""The bundled CSMS: what it accepts, refuses, counts and survives, seen from a bare websocket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from foundation.clock import SystemClock, machine_time
from simulator.csms.csms import CsmsSettings, DemoCsms
from simulator.csms.station_connection import REFUSED_CARDS, NotConnectedError
from tests.patience import PATIENCE_S

NOW = "2026-03-01T12:00:00Z"


@asynccontextmanager
async def station_connection(csms: DemoCsms, identity: str = "S-1") -> AsyncGenerator[ClientConnection]:
    """A station's end of a websocket."""
    async with connect(f"{csms.url}/{identity}", subprotocols=[Subprotocol("ocpp2.0.1")]) as websocket:
        assert websocket.subprotocol == "ocpp2.0.1"
        yield websocket


@asynccontextmanager
async def running_csms() -> AsyncGenerator[DemoCsms]:
    """A CSMS on a free port."""
    async with DemoCsms(SystemClock().now).listening() as csms:
        yield csms


async def send_frame(websocket: ClientConnection, frame: list[Any] | str | bytes) -> list[Any]:
    """Send a frame or any text, and return the answer."""
    await websocket.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))
    async with asyncio.timeout(PATIENCE_S):
        return json.loads(await websocket.recv())


def event(kind: str, seq_no: int, context: str | None = None, **sample: object) -> list[Any]:
    """A TransactionEvent of transaction `t`, with a sample of the register."""
    payload: dict[str, object] = {
        "eventType": kind,
        "timestamp": NOW,
        "triggerReason": "Trigger",
        "seqNo": seq_no,
        "transactionInfo": {"transactionId": "t"},
    }
    if context is not None:
        payload["meterValue"] = [{"timestamp": NOW, "sampledValue": [{"context": context, **sample}]}]
    return [2, f"e{seq_no}", "TransactionEvent", payload]


@pytest.mark.parametrize(("card", "status"), [*REFUSED_CARDS.items(), ("04A3B2C1D5E680", "Accepted")])
async def test_cards_are_accepted_but_for_the_refused_ones_in_any_spelling(card: str, status: str) -> None:
    id_token = {"idToken": card.lower(), "type": "ISO14443"}
    async with running_csms() as csms, station_connection(csms) as websocket:
        answer = await send_frame(websocket, [2, "a", "Authorize", {"idToken": id_token}])
        assert answer == [3, "a", {"idTokenInfo": {"status": status}}]
        begun = event("Started", 0)
        begun[3]["idToken"] = id_token
        assert await send_frame(websocket, begun) == [3, "e0", {"idTokenInfo": {"status": status}}]


@pytest.mark.parametrize(
    ("text", "message_id", "code"),
    [
        ("this is not JSON", "-1", "RpcFrameworkError"),
        ("[" * 100_000, "-1", "RpcFrameworkError"),
        ("{}", "-1", "RpcFrameworkError"),
        ("[2]", "-1", "RpcFrameworkError"),
        ('[2, 7, "Heartbeat", {}]', "-1", "RpcFrameworkError"),
        ('[2, "x", "Heartbeat"]', "x", "RpcFrameworkError"),
        ('[2, "x", [], {}]', "x", "RpcFrameworkError"),
        ('[2, "x", "Heartbeat", []]', "x", "RpcFrameworkError"),
        ('[9, "x", "Heartbeat", {}]', "x", "MessageTypeNotSupported"),
        ('[2, "x", "NoSuchAction", {}]', "x", "NotSupported"),
        ('[2, "x", "GetVariables", {}]', "x", "NotImplemented"),
        ('[2, "x", "Heartbeat", {"more": 1}]', "x", "FormatViolation"),
        (b"\xff\xfe", "-1", "RpcFrameworkError"),
    ],
)
async def test_a_wrong_frame_is_answered_with_an_error_and_the_next_one_is_served(
    text: str | bytes, message_id: str, code: str
) -> None:
    """Part 4 §4.2.3."""
    async with running_csms() as csms, station_connection(csms) as websocket:
        assert (await send_frame(websocket, text))[:3] == [4, message_id, code]
        assert (await send_frame(websocket, [2, "h", "Heartbeat", {}]))[:2] == [3, "h"]


@pytest.mark.parametrize(
    "text", ['[3, "x"]', '[3, "nobody asked", {}]', '[4, "x", "GenericError", "", {}]', '[4, "x"]']
)
async def test_an_answer_that_nobody_waits_for_is_let_pass(text: str) -> None:
    async with running_csms() as csms, station_connection(csms) as websocket:
        await websocket.send(text)
        assert (await send_frame(websocket, [2, "h", "Heartbeat", {}]))[:2] == [3, "h"]


async def test_a_transaction_costs_what_lies_between_its_registers_and_a_repetition_adds_nothing() -> None:
    async with running_csms() as csms, station_connection(csms) as websocket:
        await send_frame(websocket, event("Started", 0, "Transaction.Begin", value=1500.0))
        for _ in range(2):
            await send_frame(websocket, event("Updated", 2, "Sample.Periodic", value=9999.0))
        billed = csms.transactions["t"]
        assert (billed.sequence_numbers, billed.repeated, billed.energy_wh, billed.ended) == ([0, 2], 1, None, False)
        end = event("Ended", 3, "Transaction.End", value=2.75, unitOfMeasure={"unit": "kWh"})
        end[3]["meterValue"][0]["sampledValue"].append(
            {"context": "Transaction.End", "measurand": "Current.Import", "value": 16.0}
        )
        await send_frame(websocket, end)
        assert (billed.sequence_numbers, billed.energy_wh, billed.ended) == ([0, 2, 3], 1250.0, True)


async def test_a_cut_network_drops_the_station_and_refuses_it_until_it_is_mended() -> None:
    async with running_csms() as csms:
        async with station_connection(csms) as websocket:
            await send_frame(websocket, [2, "h", "Heartbeat", {}])
            assert csms.stations == ["S-1"]
            csms.cut_network()
            with pytest.raises(ConnectionClosed):
                await websocket.recv()
        with pytest.raises(InvalidStatus):
            await connect(csms.url, subprotocols=[Subprotocol("ocpp2.0.1")])
        csms.restore_network()
        async with station_connection(csms) as websocket:
            assert (await send_frame(websocket, [2, "h", "Heartbeat", {}]))[:2] == [3, "h"]


async def test_its_request_is_sent_and_the_status_of_the_answer_reported() -> None:
    async with running_csms() as csms, station_connection(csms) as websocket:
        await send_frame(websocket, [2, "h", "Heartbeat", {}])
        for status in ("Accepted", "Rejected"):
            asking = asyncio.create_task(csms.set_current_limit("S-1", "t", 10.0))
            _, identity, action, payload = json.loads(await websocket.recv())
            assert action == "SetChargingProfile"
            schedule = payload["chargingProfile"]["chargingSchedule"][0]
            assert schedule["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 10.0}]
            await websocket.send(json.dumps([3, identity, {"status": status}]))
            assert await asking == status
        asking = asyncio.create_task(csms.clear_current_limit("S-1"))
        _, identity, *_ = json.loads(await websocket.recv())
        await websocket.send(json.dumps([4, identity, "NotSupported", "no", {}]))
        with pytest.raises(NotConnectedError, match="NotSupported"):
            await asking
        with pytest.raises(NotConnectedError, match="not connected"):
            await csms.stop_transaction("S-2", "t")


# The time of the station


def status_notification_frame(at: str) -> list[Any]:
    """A StatusNotification of this moment."""
    notification = {"timestamp": at, "connectorStatus": "Available", "evseId": 1, "connectorId": 1}
    return [2, "s", "StatusNotification", notification]


async def csms_time(websocket: ClientConnection, frame: list[Any]) -> datetime:
    """The currentTime of an answer."""
    return datetime.fromisoformat((await send_frame(websocket, frame))[2]["currentTime"])


async def answer_clock_request(websocket: ClientConnection, shows: str | None) -> None:
    """Answer the CSMS's GetVariables for ClockCtrlr.DateTime; None: the variable is unknown."""
    async with asyncio.timeout(30):
        _, identity, action, payload = json.loads(await websocket.recv())
    names = {"component": {"name": "ClockCtrlr"}, "variable": {"name": "DateTime"}}
    assert (action, payload) == ("GetVariables", {"getVariableData": [names]})
    known = {"attributeStatus": "Accepted", "attributeValue": shows}
    result = names | (known if shows is not None else {"attributeStatus": "UnknownVariable"})
    await websocket.send(json.dumps([3, identity, {"getVariableResult": [result]}]))


BOOT: list[Any] = [
    2, "b", "BootNotification", {"reason": "PowerUp", "chargingStation": {"model": "m", "vendorName": "v"}}
]  # fmt: skip
HEARTBEAT: list[Any] = [2, "h", "Heartbeat", {}]
AUTHORIZE: list[Any] = [2, "a", "Authorize", {"idToken": {"idToken": "04A3B2C1D5E680", "type": "ISO14443"}}]
CLOSE = timedelta(seconds=60)
"""real seconds that a busy machine may take"""


async def test_stations_get_real_time_unless_their_own_is_wanted() -> None:
    async with running_csms() as csms, station_connection(csms) as websocket:
        await send_frame(websocket, status_notification_frame("2031-05-01T08:00:00Z"))
        assert abs(await csms_time(websocket, HEARTBEAT) - machine_time()) < CLOSE


async def test_each_station_gets_the_newest_of_its_own_timestamps_and_what_has_passed_since() -> None:
    may = datetime(2031, 5, 1, 8, tzinfo=UTC)
    async with DemoCsms(SystemClock().now, settings=CsmsSettings(time_of_station=True)).listening() as csms:
        async with station_connection(csms) as websocket, station_connection(csms, "S-2") as other_station:
            assert abs(await csms_time(websocket, BOOT) - machine_time()) < CLOSE, "nothing was heard yet"
            await answer_clock_request(websocket, None)
            await send_frame(websocket, status_notification_frame("2031-05-01T08:00:00Z"))
            first = await csms_time(websocket, HEARTBEAT)
            await answer_clock_request(websocket, None)
            assert may <= first < may + CLOSE
            await send_frame(websocket, status_notification_frame("2031-05-01T06:00:00Z"))
            assert first <= await csms_time(websocket, HEARTBEAT) < may + CLOSE, "an old status sets nothing back"
            await answer_clock_request(websocket, None)
            sample = event("Updated", 1, "Sample.Periodic", value=1.0)
            sample[3]["meterValue"][0]["timestamp"] = "2031-05-01T10:00:00Z"
            await send_frame(websocket, sample)
            assert await csms_time(websocket, HEARTBEAT) >= may + timedelta(hours=2)
            await answer_clock_request(websocket, None)
            assert abs(await csms_time(other_station, HEARTBEAT) - machine_time()) < CLOSE
        async with station_connection(csms) as again:
            assert await csms_time(again, HEARTBEAT) >= may + timedelta(hours=2), "a new connection changes nothing"


async def test_after_a_boot_the_station_may_have_another_clock() -> None:
    """What was queued without a link comes before it, and is old."""
    async with (
        DemoCsms(SystemClock().now, settings=CsmsSettings(time_of_station=True)).listening() as csms,
        station_connection(csms) as websocket,
    ):
        await send_frame(websocket, status_notification_frame("2031-05-01T08:00:00Z"))
        await csms_time(websocket, BOOT)
        await answer_clock_request(websocket, None)
        queued = event("Ended", 1)
        queued[3] |= {"offline": True, "timestamp": "2029-01-01T00:00:00Z"}
        await send_frame(websocket, queued)
        assert (await csms_time(websocket, HEARTBEAT)).year == 2031
        await answer_clock_request(websocket, None)
        await send_frame(websocket, status_notification_frame("2030-01-01T00:00:00Z"))
        assert (await csms_time(websocket, HEARTBEAT)).year == 2030


async def test_a_station_without_anything_to_report_is_asked_for_its_time_after_each_heartbeat() -> None:
    """ClockCtrlr.DateTime; simulated time may pass by hours between two heartbeats."""
    async with (
        DemoCsms(SystemClock().now, settings=CsmsSettings(time_of_station=True)).listening() as csms,
        station_connection(csms) as websocket,
    ):
        await csms_time(websocket, HEARTBEAT)
        for shows in ("2031-05-01T08:00:00Z", "2031-05-01T16:00:00Z", "2031-05-01T07:00:00Z"):
            await answer_clock_request(websocket, shows)
            await send_frame(websocket, AUTHORIZE)  # what was answered has arrived
            since = await csms_time(websocket, HEARTBEAT) - datetime.fromisoformat(shows)
            assert timedelta(0) <= since < CLOSE
