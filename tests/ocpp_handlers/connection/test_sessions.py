"""All sessions of a station answer with the same blocks and publish to the same events."""

from __future__ import annotations

import json
import logging
from typing import Any, cast

import pytest

from foundation.supervision import FollowUpTasks
from ocpp_handlers.connection.boot import BootMessageFilter
from ocpp_handlers.connection.sessions import SessionFactory
from ocpp_handlers.wire import actions
from ocpp_handlers.wire.edition import V201
from ocpp_handlers.wire.session import HandlerResult, Handlers, ObservedFrame
from station.security.network_profiles import NetworkProfiles
from tests import fakes

SECRET = "a password nobody may see"


class Echo:
    """A block that answers DataTransfer."""

    def register(self, handlers: Handlers) -> None:
        handlers.on(actions.DATA_TRANSFER, self.data_transfer)

    async def data_transfer(self, request: Any) -> HandlerResult[Any]:
        return HandlerResult({"status": "Accepted", "data": request.get("data", "")})


class Network:
    """How long the CSMS may take."""

    message_timeout_s = 30.0


class Wire:
    """Yields the frames of the CSMS, then ends; records the sent ones."""

    def __init__(self, *frames: str) -> None:
        self._frames = list(frames)
        self.sent: list[Any] = []

    async def send(self, message: str) -> None:
        self.sent.append(json.loads(message))

    async def recv(self) -> str | bytes:
        if not self._frames:
            raise EOFError
        return self._frames.pop(0)


class Sessions:
    """A factory, and what its events have published."""

    def __init__(self) -> None:
        network = cast("NetworkProfiles", Network())
        self.factory = SessionFactory([Echo()], BootMessageFilter(), network, FollowUpTasks(), fakes.clock())
        self.frames: list[ObservedFrame] = []
        self.invalid: list[str] = []
        self.factory.events.frame_observed.subscribe(self.frames.append)
        self.factory.events.invalid_message.subscribe(self.invalid.append)

    async def serve(self, *frames: str) -> list[Any]:
        """A session over a wire with these frames; what was sent on it."""
        wire = Wire(*frames)
        with pytest.raises(EOFError):
            await self.factory.open(wire, V201).run()
        return wire.sent


def call(action: str, payload: dict[str, Any]) -> str:
    return json.dumps([2, "1", action, payload])


async def test_each_session_answers_with_the_blocks() -> None:
    sessions = Sessions()
    for text in ("one", "two"):
        (answer,) = await sessions.serve(call("DataTransfer", {"vendorId": "v", "data": text}))
        assert answer == [3, "1", {"status": "Accepted", "data": text}]
    assert [frame.direction for frame in sessions.frames] == ["in", "out", "in", "out"]
    assert sessions.invalid == []


@pytest.mark.parametrize("text", ["no JSON", "[]", call("DataTransfer", {"vendorId": 7})])
async def test_a_frame_that_is_not_valid_is_published_with_the_reason(text: str) -> None:
    sessions = Sessions()
    await sessions.serve(text)
    assert len(sessions.invalid) == 1


async def test_no_secret_is_in_a_published_frame() -> None:
    sessions = Sessions()
    component = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
    await sessions.serve(call("SetVariables", {"setVariableData": [{**component, "attributeValue": SECRET}]}))
    assert len(sessions.frames) == 2
    assert not any(SECRET in frame.text for frame in sessions.frames)


async def test_a_frame_holds_its_secret_no_longer_than_until_it_was_read() -> None:
    sessions = Sessions()
    component = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
    await sessions.serve(call("SetVariables", {"setVariableData": [{**component, "attributeValue": SECRET}]}))
    received = sessions.frames[0]
    assert received.length > len(received.text)
    held = [getattr(received, name) for name in received.__slots__]
    assert not any(SECRET in str(value) for value in held)


async def test_no_secret_is_in_a_logged_frame(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "ocpp.frames")
    sessions = Sessions()
    component = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
    await sessions.serve(call("SetVariables", {"setVariableData": [{**component, "attributeValue": SECRET}]}))
    assert [record.message.split()[0] for record in caplog.records if record.name == "ocpp.frames"] == ["in", "out"]
    assert SECRET not in caplog.text
