"""A session with a CSMS over one wire, and what becomes of a call when the wire ends."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
from typing import Any, cast

import pytest
from websockets.exceptions import ConnectionClosedError

from foundation.supervision import FollowUpTasks
from ocpp_handlers.wire import actions
from ocpp_handlers.wire.call_errors import CallRefusedError, InvalidRequestError, LinkLostError
from ocpp_handlers.wire.edition import V201, Edition
from ocpp_handlers.wire.frame import CallError
from ocpp_handlers.wire.schema import Schemas
from ocpp_handlers.wire.session import HandlerResult, Handlers, OcppSession, SessionEvents, UnknownValueResponse
from tests import fakes
from tests.editions import LATER

NOW: Any = {"currentTime": "2026-01-01T00:00:00Z"}


class OpenGate:
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
    session = OcppSession(
        wire, Handlers(), OpenGate(), Schemas(V201), FollowUpTasks(), clock, SessionEvents(), timeout_s=30.0
    )
    unforeseen: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unforeseen.append(context))
    reading = asyncio.create_task(session.run())
    calling = asyncio.create_task(session.call(actions.HEARTBEAT, {}))
    await wire.sending.wait()
    wire.read_end.set()
    await asyncio.wait([reading])
    wire.write_end.set()
    ended = await asyncio.gather(reading, calling, return_exceptions=True)
    assert [type(error) for error in ended] == [ConnectionClosedError, LinkLostError]
    del reading, calling, ended
    await clock.advance(60.0)  # by then the call is forgotten
    gc.collect()
    assert unforeseen == []


class AskingWire:
    """Yields CALLs of the CSMS, then ends; records the sent frames."""

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
    session = OcppSession(
        wire, handlers, OpenGate(), Schemas(V201), FollowUpTasks(), fakes.clock(), events, timeout_s=30.0
    )
    events.invalid_message.subscribe(reported.append)
    with pytest.raises(ConnectionClosedError):
        await session.run()
    assert wire.sent[0] == [3, "1", response]
    assert wire.sent[1][:3] == [4, "2", "TypeConstraintViolation"]
    assert reported == ["GetReport: TypeConstraintViolation"], "the former is no invalid message"


@pytest.mark.parametrize(("edition", "answer"), [(V201, [4, "1", "NotSupported"]), (LATER, [3, "1", NOW])])
async def test_a_handler_answers_from_the_edition_on_with_which_it_came(edition: Edition, answer: list[Any]) -> None:
    async def heartbeat(_: object) -> HandlerResult[Any]:
        return HandlerResult(NOW)

    handlers, wire, events = Handlers(), AskingWire('[2, "1", "Heartbeat", {}]'), SessionEvents()
    handlers.on(actions.HEARTBEAT, heartbeat, since=LATER)
    session = OcppSession(
        wire, handlers, OpenGate(), Schemas(edition), FollowUpTasks(), fakes.clock(), events, timeout_s=30.0
    )
    with pytest.raises(ConnectionClosedError):
        await session.run()
    assert session.edition is edition
    assert wire.sent[0][:3] == answer


@pytest.mark.parametrize("later_first", [False, True])
def test_each_session_has_the_latest_handler_that_its_edition_includes(*, later_first: bool) -> None:
    async def original(_: object) -> HandlerResult[Any]:
        return HandlerResult(NOW)

    async def changed(_: object) -> HandlerResult[Any]:
        return HandlerResult(NOW)

    handlers = Handlers()
    registrations = [(original, V201), (changed, LATER)]
    for handler, since in reversed(registrations) if later_first else registrations:
        handlers.on(actions.HEARTBEAT, handler, since=since)
    found = [handlers.get("Heartbeat", edition) for edition in (V201, LATER)]
    assert [handler and handler.handle for handler in found] == [original, changed]


def test_a_second_handler_of_the_same_edition_replaces_the_first() -> None:
    async def first(_: object) -> HandlerResult[Any]:
        return HandlerResult(NOW)

    async def second(_: object) -> HandlerResult[Any]:
        return HandlerResult(NOW)

    handlers = Handlers()
    handlers.on(actions.HEARTBEAT, first)
    handlers.on(actions.HEARTBEAT, second)
    found = handlers.get("Heartbeat", LATER)
    assert found is not None
    assert found.handle is second


@pytest.mark.parametrize(("edition", "name"), [(V201, "2.0.1"), (LATER, "9.9")])
async def test_an_action_that_the_edition_of_the_session_does_not_have_is_not_implemented(
    edition: Edition, name: str
) -> None:
    wire, events = AskingWire('[2, "1", "Teleport", {}]'), SessionEvents()
    session = OcppSession(
        wire, Handlers(), OpenGate(), Schemas(edition), FollowUpTasks(), fakes.clock(), events, timeout_s=30.0
    )
    with pytest.raises(ConnectionClosedError):
        await session.run()
    assert wire.sent == [[4, "1", "NotImplemented", f"OCPP {name} has no such action", {}]]


async def test_a_refused_order_is_one_line_and_a_failed_follow_up_names_its_request(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)

    async def fail() -> None:
        raise LinkLostError("the connection to the CSMS ended")

    async def trigger(request: object) -> HandlerResult[Any]:
        refused: Any = {"status": "NotImplemented"}
        accepted: Any = {"status": "Accepted"}
        trigger_name = cast("dict[str, str]", request)["requestedMessage"]
        return HandlerResult(accepted, fail) if trigger_name == "Heartbeat" else HandlerResult(refused)

    handlers, follow_ups = Handlers(), FollowUpTasks()
    handlers.on(actions.TRIGGER_MESSAGE, trigger)
    wire = AskingWire(
        '[2, "1", "TriggerMessage", {"requestedMessage": "MeterValues", "evse": {"id": 1}}]',
        '[2, "2", "TriggerMessage", {"requestedMessage": "Heartbeat"}]',
    )
    session = OcppSession(
        wire, handlers, OpenGate(), Schemas(V201), follow_ups, fakes.clock(), SessionEvents(), timeout_s=30.0
    )
    running = asyncio.create_task(follow_ups.run())
    with pytest.raises(ConnectionClosedError):
        await session.run()
    for _ in range(10):
        await asyncio.sleep(0)
    running.cancel()
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "TriggerMessage (MeterValues, EVSE 1) of the CSMS is answered NotImplemented"),
        ("WARNING", "TriggerMessage (Heartbeat) failed: the connection to the CSMS ended"),
    ]


async def test_an_invalid_response_is_a_callerror_after_which_nothing_follows() -> None:
    """What the handler has begun for the response is undone."""
    noted = list[str]()

    async def follow() -> None:
        raise AssertionError

    async def clear_cache(_: object) -> HandlerResult[Any]:
        response: Any = {"status": "Perhaps"}
        return HandlerResult(response, follow, undo=lambda: noted.append("undone"))

    handlers, wire, events = Handlers(), AskingWire('[2, "1", "ClearCache", {}]'), SessionEvents()
    handlers.on(actions.CLEAR_CACHE, clear_cache)
    schemas, follow_ups = Schemas(V201), FollowUpTasks()
    session = OcppSession(wire, handlers, OpenGate(), schemas, follow_ups, fakes.clock(), events, timeout_s=30.0)
    events.invalid_own_message.subscribe(lambda message: noted.append(f"{message.action} sent: {message.sent}"))
    with pytest.raises(ConnectionClosedError):
        await session.run()
    assert wire.sent == [[4, "1", "InternalError", "ClearCache failed with an internal error", {}]]
    assert noted == ["ClearCache sent: False", "undone"]


async def test_after_an_invalid_request_the_next_one_is_sent() -> None:
    wire, events, clock = AskingWire(), SessionEvents(), fakes.clock()
    session = OcppSession(wire, Handlers(), OpenGate(), Schemas(V201), FollowUpTasks(), clock, events, timeout_s=30.0)
    invalid_request: Any = {"vendorId": 7}
    with pytest.raises(InvalidRequestError):
        await session.call(actions.DATA_TRANSFER, invalid_request)
    assert wire.sent == []
    waiting = asyncio.create_task(session.call(actions.HEARTBEAT, {}))
    await clock.settle()
    assert [sent[2] for sent in wire.sent] == ["Heartbeat"]
    waiting.cancel()


def test_an_error_of_the_csms_shows_its_details_without_secrets_and_shortened() -> None:
    details: dict[str, object] = {
        "field": "idToken",
        "sent": {"idToken": "04A3B2C1D5E680", "type": "ISO14443"},
        "pin": {"idToken": "4711", "type": "KeyCode"},
        "at": "https://user:geheim@host/x",
        "stack": "x" * 900,
    }
    text = str(CallRefusedError("OccurrenceConstraintViolation", "missing", details))
    assert text.startswith(
        'OccurrenceConstraintViolation: missing, details {"field":"idToken","sent":{"idToken":"04A3…'
    )
    assert not any(secret in text for secret in ("B2C1", "4711", "geheim"))
    assert len(text) < 400
    assert str(CallRefusedError("NotImplemented", "", {})) == "NotImplemented"
