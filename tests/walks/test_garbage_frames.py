"""Frames that are no OCPP, or no frames at all: answered as part 4 says, and a charge survives them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.csms import Csms
from tests.examples import examples
from tests.hostile import charging, variable
from tests.loops import run_on_station_loop


async def _refusal_code(csms: Csms, text: str | bytes, identity: str) -> str:
    """Send a frame and return the code of the CALLERROR, which has all of its five parts."""
    answer = await csms.request_raw(text, identity)
    assert answer[0] == 4, answer
    assert len(answer) == 5
    assert isinstance(answer[3], str)
    assert len(answer[3]) <= 255
    assert isinstance(answer[4], dict)
    return str(answer[2])


def _get_variables(component: str) -> str:
    """Return the text of a GetVariablesRequest for one variable, with any text as its component."""
    items = f'[{{"component":{component},"variable":{{"name":"Power"}}}}]'
    return f'[2,"9","GetVariables",{{"getVariableData":{items}}}]'


async def test_frames_that_are_no_ocpp_are_answered_as_part_4_says(tmp_path: Path) -> None:
    """Part 4 §4.1.7, §4.2.3, §4.3, §4.4."""
    async with charging(tmp_path) as (_, csms):
        for text in ("", "x", "[", "null", "[]", "{}", "[2]", "[NaN]", b"[]", b"\x00", "[" * 500_000):
            assert await _refusal_code(csms, text, "-1") == "RpcFrameworkError", text[:20]
        for kind in ("5", "[]", "{}", "null", "true", "1e999"):
            assert await _refusal_code(csms, f'[{kind},"9",{{}}]', "9") == "MessageTypeNotSupported", kind
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
            (_get_variables('{"name":"EVSE","evse":{"id":1e999}}'), "TypeConstraintViolation"),
            (_get_variables('{"name":"EVSE","evse":{"id":1.5}}'), "TypeConstraintViolation"),
            (_get_variables('{"name":"EVSE","evse":{"id":true}}'), "TypeConstraintViolation"),
            (_get_variables(f'{{"name":"{"x" * 51}"}}'), "PropertyConstraintViolation"),
            (_get_variables('{"name":"\\ud800"}'), "FormatViolation"),
            ('[2,"9","ClearCache",{"customData":{}}]', "OccurrenceConstraintViolation"),
            ('[2,"9","ClearCache",{"more":1}]', "ProtocolError"),
        ):
            assert await _refusal_code(csms, text, "9") == code, text


async def test_numbers_that_no_evse_has_are_unknown_and_hurt_nobody(tmp_path: Path) -> None:
    async with charging(tmp_path) as (_, csms):
        for number in ("1e300", "-1", "1" * 400, "99", "-0.0"):
            answer = await csms.request_raw(_get_variables(f'{{"name":"EVSE","evse":{{"id":{number}}}}}'), "9")
            assert answer[2]["getVariableResult"][0]["attributeStatus"] == "UnknownComponent", number
        answer = await csms.request_raw(_get_variables('{"name":"EVSE","evse":{"id":1.0}}'), "9")
        assert answer[2]["getVariableResult"][0]["attributeStatus"] == "Accepted"  # 1.0 is an integer in JSON
        for number in ("1e300", "-7", "1" * 400):
            start = f'[2,"9","RequestStartTransaction",{{"evseId":{number},"remoteStartId":{number},"idToken":' + (
                '{"idToken":"A","type":"Central"}}]'
            )
            answer = await csms.request_raw(start, "9")
            assert answer[2]["status"] == "Rejected", number
        assert await _refusal_code(csms, _get_variables("1" * 5_000), "9") == "TypeConstraintViolation"


async def test_what_can_be_read_but_not_be_echoed_is_refused(tmp_path: Path) -> None:
    """1e999 is a number in JSON and none in a computer; deep nesting may be read and not be written."""
    async with charging(tmp_path) as (_, csms):
        custom = _get_variables('{"name":"EVSE","customData":{"vendorId":"v","x":1e999}}')
        assert await _refusal_code(csms, custom, "9") == "FormatViolation"
        for depth in (100, 500, 900, *range(940, 1_000, 2), 10_000):
            nested = "[" * depth + "]" * depth
            text = _get_variables(f'{{"name":"EVSE","customData":{{"vendorId":"v","x":{nested}}}}}')
            await csms.send_raw(text)
        await csms.call("GetVariables", {"getVariableData": [variable("HeartbeatInterval")]})
        assert csms.connections == 1


async def test_a_frame_of_up_to_a_mebibyte_is_answered_and_a_larger_one_ends_only_the_link(tmp_path: Path) -> None:
    async with charging(tmp_path) as (walk, csms):
        envelope = '[2,"9","DataTransfer",{"vendorId":"v","data":""}]'
        data = "x" * ((1 << 20) - len(envelope))
        answer = await csms.request_raw(envelope.replace('""', f'"{data}"'), "9")
        assert answer[:2] == [3, "9"]
        assert csms.connections == 1
        await csms.send_raw(envelope.replace('""', f'"{data}x"'))
        await walk.until(lambda: csms.connections == 2)


async def test_a_text_that_is_no_utf_8_ends_only_the_link(tmp_path: Path) -> None:
    async with charging(tmp_path) as (walk, csms):
        server = csms._websocket  # pyright: ignore[reportPrivateUsage]  # a text frame of the byte 0xFF
        assert server is not None
        server.transport.write(bytes([0x81, 0x01, 0xFF]))
        await walk.until(lambda: csms.connections == 2)


async def test_a_flood_of_calls_is_answered_one_by_one_in_order(tmp_path: Path) -> None:
    async with charging(tmp_path) as (walk, csms):
        requests = [
            csms.request("GetVariables", {"getVariableData": [variable("HeartbeatInterval")]})
            if number % 2
            else csms.request("RequestStopTransaction", {"transactionId": f"none-{number}"})
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
    examples(6),
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(frames=st.lists(GARBAGE.filter(_encodable), min_size=40, max_size=80))
def test_garbage_of_every_kind_neither_ends_the_charge_nor_the_link(
    tmp_path_factory: pytest.TempPathFactory, frames: list[str | bytes]
) -> None:
    async def walk_through() -> None:
        async with charging(tmp_path_factory.mktemp("fuzz")) as (_, csms):
            for frame in frames:
                await csms.send_raw(frame)
            await csms.call("GetVariables", {"getVariableData": [variable("HeartbeatInterval")]})
            assert csms.connections == 1
            assert len(csms.received("BootNotification")) == 1

    run_on_station_loop(walk_through())
