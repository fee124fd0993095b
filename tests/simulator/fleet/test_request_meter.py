"""Requests are measured at the websocket of a station, whatever the CSMS sends."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import pytest
from websockets.exceptions import ConnectionClosedError

from ocpp_handlers.wire.session import SessionEvents
from simulator.fleet.histogram import DurationHistogram
from simulator.fleet.reports import RequestReport
from simulator.fleet.request_meter import ConnectionObserver, RequestMeter


class ScriptedTransport:
    """A websocket whose peer sends these frames, and then closes it."""

    def __init__(self, frames: Iterable[str]) -> None:
        self._frames = iter(frames)

    async def send(self, message: str) -> None:
        """Drop the frame."""

    async def recv(self) -> str | bytes:
        """Return the next frame."""
        for frame in self._frames:
            return frame
        raise ConnectionClosedError(None, None)


class Connection:
    """A station at a CSMS that sends these frames; each frame takes a second."""

    def __init__(self, frames: Iterable[str]) -> None:
        self.now_s = 0.0
        self.meter = RequestMeter()
        self.reconnections = DurationHistogram()
        self.observer = ConnectionObserver(self.meter, self.reconnections, lambda: self.now_s)
        self._transport = self.observer.observe(ScriptedTransport(frames), SessionEvents())

    async def send(self, frame: str) -> None:
        self.now_s += 1.0
        await self._transport.send(frame)

    async def receive(self) -> None:
        self.now_s += 1.0
        await self._transport.recv()

    async def receive_all(self) -> None:
        with contextlib.suppress(ConnectionClosedError):
            while True:
                await self.receive()

    def requests(self) -> dict[str, RequestReport]:
        return {f"{report.action} {report.direction}": report for report in self.meter.reports()}


async def test_a_request_is_measured_until_its_response() -> None:
    connection = Connection(
        ['[3,"1",{"currentTime":"t","interval":20,"status":"Accepted"}]', '[4,"2","GenericError","",{}]']
    )
    await connection.send('[2,"1","BootNotification",{"reason":"PowerUp"}]')
    await connection.receive()
    await connection.send('[2,"2","Heartbeat",{}]')
    await connection.receive()
    boot, heartbeat = connection.requests().values()
    assert (DurationHistogram([boot.latency]).max_s, boot.failures, boot.response_bytes) == (1.0, {}, 61)
    assert (DurationHistogram([heartbeat.latency]).count, heartbeat.failures) == (1, {"GenericError": 1})
    assert connection.observer.boots == 1


async def test_a_request_of_the_csms_is_measured_until_the_answer_of_the_station() -> None:
    connection = Connection(['[2,"7","GetVariables",{}]'])
    await connection.receive()
    await connection.send('[3,"7",{}]')
    (found,) = connection.requests().values()
    assert (found.action, found.direction, found.latency.max_s) == ("GetVariables", "from CSMS", 1.0)


async def test_a_request_without_response_is_a_timeout_or_interrupted() -> None:
    connection = Connection([])
    await connection.send('[2,"1","Heartbeat",{}]')
    await connection.send('[2,"2","Heartbeat",{}]')
    await connection.receive_all()
    (found,) = connection.requests().values()
    assert (DurationHistogram([found.latency]).count, found.failures, found.interrupted) == (1, {"timeout": 1}, 1)


async def test_a_response_that_comes_twice_or_unasked_counts_once() -> None:
    connection = Connection(['[3,"1",{}]', '[3,"1",{}]', '[3,"9",{}]'])
    await connection.send('[2,"1","Heartbeat",{}]')
    await connection.receive_all()
    (found,) = connection.requests().values()
    assert (DurationHistogram([found.latency]).count, found.failures, found.interrupted) == (1, {}, 0)


@pytest.mark.parametrize(
    "frame", ["", "x", "[3]", "[3,1,{}]", "[4,null]", "[2,7]", '[2,"7"]', "{}", '[3,"', "[2,7,8,9]"]
)
async def test_a_malformed_frame_is_passed_on(frame: str) -> None:
    connection = Connection([frame])
    await connection.receive()
    await connection.send(frame)
    assert connection.requests() == {}


async def test_a_csms_that_makes_up_actions_does_not_fill_the_memory() -> None:
    frames = [f'[2,"{n}","Action{n}",{{}}]' for n in range(1000)]
    connection = Connection(frames)
    for number in range(1000):
        await connection.receive()
        await connection.send(f'[4,"{number}","NotImplemented","",{{}}]')
    found = connection.requests()
    assert len(found) <= 201
    assert sum(sum(report.failures.values()) for report in found.values()) == 1000


async def test_requests_that_a_station_leaves_open_do_not_fill_the_memory() -> None:
    connection = Connection(f'[2,"{n}","Reset",{{}}]' for n in range(1000))
    await connection.receive_all()
    (found,) = connection.requests().values()
    assert found.interrupted == 100
