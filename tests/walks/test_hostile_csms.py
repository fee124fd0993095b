"""A CSMS that answers late, twice, wrongly or not at all, and sends what is no OCPP: a charge survives it all."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from station.charging_station import TokenOutcome
from tests.csms import NEVER, Csms, Received, Refuse
from tests.walk import OTHER_CARD, Walk, walking

Frames = Callable[[str, str, dict[str, Any]], list[str] | None]
"""from message id, action and payload to the frames that are sent in answer; None: answer as always"""


@dataclass
class HostileCsms(Csms):
    """A CSMS whose answers are any frames at all, and which sees whether it is called twice at once."""

    frames: Frames = lambda _identity, _action, _payload: None
    slow: bool = False
    """answer only when told to by `release`"""
    held: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list[tuple[str, str, dict[str, Any]]])
    ids: list[str] = field(default_factory=list[str])
    most_open: int = 0

    async def _answer(self, identity: str, action: str, payload: dict[str, Any]) -> None:
        self.ids.append(identity)
        if self.slow:
            self.held.append((identity, action, payload))
            self.most_open = max(self.most_open, len(self.held))
            return
        sent = self.frames(identity, action, payload)
        if sent is None:
            await super()._answer(identity, action, payload)
            return
        self.calls.append(Received(action, payload))
        for text in sent:
            await self.send_raw(text)

    async def release(self) -> None:
        """Answer what was held back."""
        while self.held:
            await super()._answer(*self.held.pop(0))


@contextlib.asynccontextmanager
async def _charging(storage: Path, csms: HostileCsms | None = None) -> AsyncGenerator[tuple[Walk, HostileCsms]]:
    """A charge in progress; afterwards it must still run, and its record must be whole."""
    hostile = csms if csms is not None else HostileCsms()
    async with walking(storage, hostile) as walk:
        await _start_charge(walk)
        yield walk, hostile
        assert walk.board.outputs.contactor
        assert sum(walk.board.currents_a) > 0
        await _end_charge(walk)


async def _start_charge(walk: Walk) -> None:
    await walk.accepted()
    await walk.plug()
    assert await walk.present() is TokenOutcome.AUTHORIZED
    await walk.charging()


async def _end_charge(walk: Walk) -> None:
    """Stop; every event arrives once, numbered without a gap."""
    await walk.until(lambda: walk.stack.link.online, within_s=600)
    assert await walk.present() is TokenOutcome.STOPPED
    await walk.until(lambda: ("Ended", "StopAuthorized") in walk.told(), within_s=600)
    numbers = sorted({event["seqNo"] for event in walk.events()})
    assert numbers == list(range(numbers[-1] + 1))


# One at a time (part 4 §4.1.1, GEN.FR.01)


async def test_never_is_a_second_call_open_and_ids_never_repeat(tmp_path: Path) -> None:
    csms = HostileCsms()
    async with walking(tmp_path, csms) as walk:
        await walk.accepted()
        csms.slow = True
        await walk.plug()  # a status and an event, and then a card asks as well
        outcome = walk.life.station.present(OTHER_CARD, 1)
        while not outcome.done() or len(csms.ids) < 6:
            await walk.until(lambda: csms.held)
            await csms.release()
            await walk.settle()
        assert csms.most_open == 1
        csms.slow = False
        await walk.charging()
    assert len(csms.ids) == len(set(csms.ids))  # part 4 §4.1.4
    assert max(len(identity) for identity in csms.ids) <= 36


async def test_a_call_of_the_csms_is_answered_while_ours_is_open(tmp_path: Path) -> None:
    """Part 4 §4.1.1, note: calls cross each other."""
    csms = HostileCsms()
    async with _charging(tmp_path, csms) as (walk, _):
        csms.slow = True
        await walk.until(lambda: csms.held, within_s=120)
        answer = await csms.call("GetVariables", {"getVariableData": [_variable("HeartbeatInterval")]})
        assert answer["getVariableResult"][0]["attributeStatus"] == "Accepted"
        assert len(csms.held) == 1
        csms.slow = False
        await csms.release()


# Answers that are late, double, strange or missing


async def test_without_an_answer_the_next_call_goes_out_after_the_message_timeout(tmp_path: Path) -> None:
    async with _charging(tmp_path) as (walk, csms):
        silent_since_s = walk.application.clock.monotonic()
        csms.answers["Heartbeat"] = csms.answers["TransactionEvent"] = lambda _: NEVER
        count = len(walk.events())
        await walk.until(lambda: len(walk.events()) >= count + 2, within_s=300)
        first, second = walk.events()[count : count + 2]
        assert first["seqNo"] == second["seqNo"]  # E13: the same event again, once it has timed out
        assert walk.application.clock.monotonic() - silent_since_s >= 30
        del csms.answers["TransactionEvent"]


async def test_a_late_answer_is_not_taken_for_the_answer_to_the_next_call(tmp_path: Path) -> None:
    async with _charging(tmp_path) as (walk, csms):
        late: list[str] = []

        def frames(identity: str, action: str, _payload: dict[str, Any]) -> list[str] | None:
            if action != "TransactionEvent":
                return None
            if not late:
                late.append(identity)
                return []
            # the refusal of a card comes in answer to the first, when the second is open
            blocked = json.dumps([3, late[0], {"idTokenInfo": {"status": "Blocked"}}])
            return [blocked, json.dumps([3, identity, {}])]

        csms.frames = frames
        count = len(walk.events())
        await walk.until(lambda: len(walk.events()) >= count + 2, within_s=300)
        await walk.settle()
        assert not [told for told in walk.told() if told[1] == "Deauthorized"]


async def test_of_two_answers_the_first_counts_and_unknown_ids_are_ignored(tmp_path: Path) -> None:
    async with _charging(tmp_path) as (walk, csms):

        def frames(identity: str, action: str, _payload: dict[str, Any]) -> list[str] | None:
            if action != "TransactionEvent":
                return None
            return [
                json.dumps([3, "nobody", {"idTokenInfo": {"status": "Blocked"}}]),
                json.dumps([4, "-1", "GenericError", "", {}]),
                json.dumps([3, identity, {}]),
                json.dumps([3, identity, {"idTokenInfo": {"status": "Blocked"}}]),
                json.dumps([4, identity, "InternalError", "", {}]),
            ]

        csms.frames = frames
        count = len(walk.events())
        await walk.until(lambda: len(walk.events()) >= count + 2, within_s=300)
        first, second = walk.events()[count : count + 2]
        assert second["seqNo"] == first["seqNo"] + 1  # accepted at the first answer, not repeated
        assert csms.errors == []  # an answer is never answered


@pytest.mark.parametrize(
    "payload", [[], None, 7, "x", {"idTokenInfo": {"status": "Splendid"}}, {"totalCost": "1e999"}, {"foreign": 1}]
)
async def test_an_answer_of_the_wrong_schema_counts_as_none(tmp_path: Path, payload: object) -> None:
    """E13: the event is sent again."""
    async with _charging(tmp_path) as (walk, csms):
        wrong = 1

        def frames(identity: str, action: str, _payload: dict[str, Any]) -> list[str] | None:
            nonlocal wrong
            if action != "TransactionEvent" or wrong == 0:
                return None
            wrong -= 1
            return [json.dumps([3, identity, payload])]

        csms.frames = frames
        count = len(walk.events())
        await walk.until(lambda: len(walk.events()) >= count + 2, within_s=300)
        first, second = walk.events()[count : count + 2]
        assert first["seqNo"] == second["seqNo"]


async def test_a_csms_that_refuses_everything_does_not_end_a_charge(tmp_path: Path) -> None:
    async with _charging(tmp_path) as (walk, csms):
        refused = ("TransactionEvent", "Heartbeat", "StatusNotification", "Authorize", "MeterValues")
        for action in refused:
            csms.answers[action] = lambda _: Refuse("InternalError", "no \ud800")
        await walk.advance(900)
        assert walk.board.outputs.contactor
        for action in refused:
            del csms.answers[action]


async def test_a_boot_that_is_answered_with_errors_is_asked_again_and_again(tmp_path: Path) -> None:
    csms = HostileCsms()
    csms.answers["BootNotification"] = lambda _: Refuse("InternalError")
    async with walking(tmp_path, csms) as walk:
        await walk.until(lambda: len(csms.sent("BootNotification")) >= 3)
        assert {received.action for received in csms.calls} == {"BootNotification"}  # B01.FR.08
        del csms.answers["BootNotification"]
        await walk.accepted()


# Connections that end


@pytest.mark.parametrize("seed", range(4))
async def test_the_csms_may_close_at_any_moment(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    async with _charging(tmp_path) as (walk, csms):
        for _ in range(8):
            await walk.advance(dice.uniform(0, 40))
            for _ in range(dice.randrange(4)):
                await asyncio.sleep(0)
            if dice.random() < 0.5:
                csms.drop()
            elif csms.connected:
                await csms.close(dice.choice([1000, 1001, 1002, 1008, 1011, 1012, 4000]))
            assert walk.board.outputs.contactor
        await walk.until(lambda: csms.connected, within_s=600)
        assert len(csms.sent("BootNotification")) == 1  # part 4 §5.3: not after a mere reconnect


async def test_a_card_may_be_held_to_the_reader_while_the_link_is_closing(tmp_path: Path) -> None:
    """The closing handshake has begun, so nothing can be sent, but the TCP connection stands: offline rules hold."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        server = walk.csms._websocket  # pyright: ignore[reportPrivateUsage]  # a close frame, and no more
        assert server is not None
        server.transport.write(bytes([0x88, 0x02, 0x03, 0xE8]))
        outcome = walk.life.station.present(OTHER_CARD, 1)
        server.transport.pause_reading()
        await walk.until(outcome.done)
        server.transport.resume_reading()
        assert outcome.result() is TokenOutcome.REJECTED
        await walk.until(lambda: walk.csms.connections == 2)
        await walk.settle()
        await walk.plug()
        assert await walk.present() is TokenOutcome.AUTHORIZED


# Frames that are none


async def _refused(csms: Csms, text: str | bytes, identity: str) -> str:
    """Send a frame and return the code of the CALLERROR, which has all of its five parts."""
    answer = await csms.ask_raw(text, identity)
    assert answer[0] == 4, answer
    assert len(answer) == 5
    assert isinstance(answer[3], str)
    assert len(answer[3]) <= 255
    assert isinstance(answer[4], dict)
    return str(answer[2])


def _get(component: str) -> str:
    """A GetVariables of one variable, with any text as its component."""
    items = f'[{{"component":{component},"variable":{{"name":"Power"}}}}]'
    return f'[2,"9","GetVariables",{{"getVariableData":{items}}}]'


async def test_frames_that_are_no_ocpp_are_answered_as_part_4_says(tmp_path: Path) -> None:
    """Part 4 §4.1.7, §4.2.3, §4.3, §4.4."""
    async with _charging(tmp_path) as (_, csms):
        for text in ("", "x", "[", "null", "[]", "{}", "[2]", "[NaN]", b"[]", b"\x00", "[" * 500_000):
            assert await _refused(csms, text, "-1") == "RpcFrameworkError", text[:20]
        for kind in ("5", "[]", "{}", "null", "true", "1e999"):
            assert await _refused(csms, f'[{kind},"9",{{}}]', "9") == "MessageTypeNotSupported", kind
        for text, code in (
            ('[2,"9","Heartbeat"]', "RpcFrameworkError"),
            ('[2,"9",{},{}]', "RpcFrameworkError"),
            ('[2,"9","Nothing",{}]', "NotImplemented"),
            ('[2,"9","../../x",{}]', "NotImplemented"),
            ('[2,"9","heartbeat",{}]', "NotImplemented"),
            ('[2,"9","BootNotification",{}]', "NotSupported"),
            ('[2,"9","GetVariables",[]]', "ProtocolError"),
            ('[2,"9","GetVariables",null]', "ProtocolError"),
            ('[2,"9","GetVariables",{}]', "OccurrenceConstraintViolation"),
            ('[2,"9","GetVariables",{"getVariableData":[]}]', "OccurrenceConstraintViolation"),
            ('[2,"9","GetVariables",{"getVariableData":7}]', "TypeConstraintViolation"),
            (_get('{"name":"EVSE","evse":{"id":1e999}}'), "TypeConstraintViolation"),
            (_get('{"name":"EVSE","evse":{"id":1.5}}'), "TypeConstraintViolation"),
            (_get('{"name":"EVSE","evse":{"id":true}}'), "TypeConstraintViolation"),
            (_get(f'{{"name":"{"x" * 51}"}}'), "PropertyConstraintViolation"),
            (_get('{"name":"\\ud800"}'), "FormatViolation"),
            ('[2,"9","ClearCache",{"customData":{}}]', "OccurrenceConstraintViolation"),
            ('[2,"9","ClearCache",{"more":1}]', "ProtocolError"),
        ):
            assert await _refused(csms, text, "9") == code, text


async def test_numbers_that_no_evse_has_are_unknown_and_hurt_nobody(tmp_path: Path) -> None:
    async with _charging(tmp_path) as (_, csms):
        for number in ("1e300", "-1", "1" * 400, "99", "-0.0"):
            answer = await csms.ask_raw(_get(f'{{"name":"EVSE","evse":{{"id":{number}}}}}'), "9")
            assert answer[2]["getVariableResult"][0]["attributeStatus"] == "UnknownComponent", number
        answer = await csms.ask_raw(_get('{"name":"EVSE","evse":{"id":1.0}}'), "9")
        assert answer[2]["getVariableResult"][0]["attributeStatus"] == "Accepted"  # 1.0 is an integer in JSON
        for number in ("1e300", "-7", "1" * 400):
            start = f'[2,"9","RequestStartTransaction",{{"evseId":{number},"remoteStartId":{number},"idToken":' + (
                '{"idToken":"A","type":"Central"}}]'
            )
            answer = await csms.ask_raw(start, "9")
            assert answer[2]["status"] == "Rejected", number
        assert await _refused(csms, _get("1" * 5_000), "-1") == "RpcFrameworkError"


async def test_what_can_be_read_but_not_be_echoed_is_refused(tmp_path: Path) -> None:
    """1e999 is a number in JSON and none in a computer; deep nesting may be read and not be written."""
    async with _charging(tmp_path) as (_, csms):
        custom = _get('{"name":"EVSE","customData":{"vendorId":"v","x":1e999}}')
        assert await _refused(csms, custom, "9") == "FormatViolation"
        for depth in (100, 500, 900, *range(940, 1_000, 2), 10_000):
            nested = "[" * depth + "]" * depth
            text = _get(f'{{"name":"EVSE","customData":{{"vendorId":"v","x":{nested}}}}}')
            await csms.send_raw(text)
        await csms.call("GetVariables", {"getVariableData": [_variable("HeartbeatInterval")]})
        assert csms.connections == 1


async def test_a_frame_of_up_to_a_mebibyte_is_answered_and_a_larger_one_ends_only_the_link(tmp_path: Path) -> None:
    async with _charging(tmp_path) as (walk, csms):
        envelope = '[2,"9","DataTransfer",{"vendorId":"v","data":""}]'
        data = "x" * ((1 << 20) - len(envelope))
        answer = await csms.ask_raw(envelope.replace('""', f'"{data}"'), "9")
        assert answer[:2] == [3, "9"]
        assert csms.connections == 1
        await csms.send_raw(envelope.replace('""', f'"{data}x"'))
        await walk.until(lambda: csms.connections == 2)


async def test_a_text_that_is_no_utf_8_ends_only_the_link(tmp_path: Path) -> None:
    async with _charging(tmp_path) as (walk, csms):
        server = csms._websocket  # pyright: ignore[reportPrivateUsage]  # a text frame of the byte 0xFF
        assert server is not None
        server.transport.write(bytes([0x81, 0x01, 0xFF]))
        await walk.until(lambda: csms.connections == 2)


async def test_a_flood_of_calls_is_answered_one_by_one_in_order(tmp_path: Path) -> None:
    async with _charging(tmp_path) as (walk, csms):
        requests = [
            csms.ask("GetVariables", {"getVariableData": [_variable("HeartbeatInterval")]})
            if number % 2
            else csms.ask("RequestStopTransaction", {"transactionId": f"none-{number}"})
            for number in range(1_000)
        ]
        answers = await asyncio.gather(*requests)
        assert [answer[0] for answer in answers] == [3] * 1_000
        await walk.advance(120)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**40), 10**40) | st.floats(allow_nan=True) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
ACTIONS = st.sampled_from(
    [
        "GetVariables",
        "SetVariables",
        "RequestStartTransaction",
        "RequestStopTransaction",
        "DataTransfer",
        "SetChargingProfile",
        "GetCompositeSchedule",
        "GetTransactionStatus",
        "BootNotification",
        "Reset",
        "Nothing",
    ]
)
GARBAGE = st.one_of(
    st.text(max_size=40),
    st.binary(max_size=40),
    JSON.map(json.dumps),
    st.tuples(st.sampled_from([2, 3, 4, 5]), JSON, JSON, JSON).map(json.dumps),
    st.tuples(st.just(2), st.text(max_size=40), ACTIONS, JSON).map(json.dumps),
    st.tuples(st.sampled_from([3, 4]), st.text(max_size=40), JSON).map(json.dumps),
)


def _encodable(frame: str | bytes) -> bool:
    try:
        return isinstance(frame, bytes) or bool(frame.encode()) or not frame
    except UnicodeEncodeError:
        return False


@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(frames=st.lists(GARBAGE.filter(_encodable), min_size=40, max_size=80))
def test_garbage_of_every_kind_neither_ends_the_charge_nor_the_link(
    tmp_path_factory: pytest.TempPathFactory, frames: list[str | bytes]
) -> None:
    async def walk_through() -> None:
        async with _charging(tmp_path_factory.mktemp("fuzz")) as (_, csms):
            for frame in frames:
                await csms.send_raw(frame)
            await csms.call("GetVariables", {"getVariableData": [_variable("HeartbeatInterval")]})
            assert csms.connections == 1
            assert len(csms.sent("BootNotification")) == 1

    asyncio.run(walk_through())


# Opaque data


def _variable(name: str) -> dict[str, Any]:
    return {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": name}}


OPAQUE: dict[str, Any] = {
    "vendorId": "com.example",
    "association": "associationId",
    "snake_case": {"camelCase": 1, "evse_id": [None, True, 1.5, "é🚗", {}, []]},
    "V2X": 2**53,
    "": "",
}


async def test_custom_data_comes_back_untouched(tmp_path: Path) -> None:
    """Part 4 §9; B05.FR.02, B06.FR.02: the same component and variable."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        item: dict[str, Any] = _variable("HeartbeatInterval")
        item["component"]["customData"] = OPAQUE
        item["variable"]["customData"] = OPAQUE
        got = await walk.csms.call("GetVariables", {"getVariableData": [item], "customData": OPAQUE})
        result = got["getVariableResult"][0]
        assert result["component"] == item["component"]
        assert result["variable"] == item["variable"]
        written = await walk.csms.call("SetVariables", {"setVariableData": [{**item, "attributeValue": "77"}]})
        assert written["setVariableResult"][0]["component"] == item["component"]
        assert written["setVariableResult"][0]["variable"] == item["variable"]


async def test_data_of_a_data_transfer_is_never_altered(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        csms = walk.csms
        walk.stack.data_transfer.answer_with(
            "com.example", "echo", {"status": "Accepted", "data": OPAQUE, "customData": cast("Any", OPAQUE)}
        )
        answer = await csms.call("DataTransfer", {"vendorId": "com.example", "messageId": "echo", "data": OPAQUE})
        assert answer == {"status": "Accepted", "data": OPAQUE, "customData": OPAQUE}
        # P01.FR.05, P01.FR.06
        assert await csms.call("DataTransfer", {"vendorId": "com.example", "messageId": "x"}) == {
            "status": "UnknownMessageId"
        }
        assert await csms.call("DataTransfer", {"vendorId": "org.other"}) == {"status": "UnknownVendorId"}
