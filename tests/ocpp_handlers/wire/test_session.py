"""A session with a CSMS over one wire, and what becomes of a call when the wire ends."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError

from foundation.supervision import FollowUpTasks
from ocpp_handlers.wire import actions
from ocpp_handlers.wire.frame import CallError
from ocpp_handlers.wire.schema import Schemas
from ocpp_handlers.wire.session import (
    HandlerResult,
    Handlers,
    LinkLostError,
    OcppSession,
    SessionEvents,
    UnknownValueResponse,
)
from tests import fakes


class Open:
    """A gate that lets everything pass."""

    def refusal_to_answer(self, action: str) -> CallError | None:
        del action
        return None

    def may_send(self, action: str, *, requested: bool) -> bool:
        del action, requested
        return True

    async def decided(self) -> None:
        pass


class EndingWire:
    """It ends for who reads, and only then for who writes."""

    def __init__(self) -> None:
        self.sending = asyncio.Event()
        self.read_end = asyncio.Event()
        self.write_end = asyncio.Event()

    async def send(self, message: str) -> None:
        del message
        self.sending.set()
        await self.write_end.wait()
        raise ConnectionClosedError(None, None)

    async def recv(self) -> str | bytes:
        await self.read_end.wait()
        raise ConnectionClosedError(None, None)


async def test_a_call_that_ends_with_the_link_leaves_no_failure_that_nobody_foresaw() -> None:
    wire, clock = EndingWire(), fakes.clock()
    session = OcppSession(wire, Handlers(), Open(), Schemas(), FollowUpTasks(), clock, SessionEvents(), timeout_s=30.0)
    unforeseen: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: unforeseen.append(told))
    reading = asyncio.create_task(session.run())
    calling = asyncio.create_task(session.call(actions.HEARTBEAT, {}))
    await wire.sending.wait()
    wire.read_end.set()
    await asyncio.wait([reading])
    wire.write_end.set()
    ended = await asyncio.gather(reading, calling, return_exceptions=True)
    assert [type(error) for error in ended] == [ConnectionClosedError, LinkLostError]
    del reading, calling, ended
    await clock.advance(60.0)  # by then nobody remembers the call
    gc.collect()
    assert unforeseen == []


class AskingWire:
    """It brings CALLs of the CSMS, then ends; what is sent is kept."""

    def __init__(self, *calls: str) -> None:
        self._calls = list(calls)
        self.sent: list[Any] = []

    async def send(self, message: str) -> None:
        self.sent.append(json.loads(message))

    async def recv(self) -> str | bytes:
        if not self._calls:
            raise ConnectionClosedError(None, None)
        return self._calls.pop(0)


async def test_an_unknown_value_is_answered_with_the_registered_response_and_other_faults_with_a_callerror() -> None:
    """B08.FR.02; the handler sees neither."""

    async def get_report(request: object) -> HandlerResult[Any]:
        raise AssertionError(request)

    handlers, reported = Handlers(), list[str]()
    response: Any = {"status": "NotSupported"}
    handlers.on(actions.GET_REPORT, get_report, unknown_value=UnknownValueResponse("componentCriteria", response))
    wire = AskingWire(
        '[2, "1", "GetReport", {"requestId": 1, "componentCriteria": ["Broken"]}]',
        '[2, "2", "GetReport", {"requestId": "1", "componentCriteria": ["Broken"]}]',
    )
    events = SessionEvents()
    session = OcppSession(wire, handlers, Open(), Schemas(), FollowUpTasks(), fakes.clock(), events, timeout_s=30.0)
    events.invalid_message.subscribe(reported.append)
    with pytest.raises(ConnectionClosedError):
        await session.run()
    assert wire.sent[0] == [3, "1", response]
    assert wire.sent[1][:3] == [4, "2", "TypeConstraintViolation"]
    assert reported == ["GetReport: TypeConstraintViolation"], "the former is no invalid message"
