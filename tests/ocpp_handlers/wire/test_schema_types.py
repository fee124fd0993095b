"""What msgspec accepts at the first look, the JSON schema accepts too; and it accepts what stations and CSMSs send."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import MsgspecError, convert
from ocpp.messages import MessageType

from ocpp_handlers.wire.schema_types import JsonSchema, payload_type
from tests.examples import examples
from tests.ocpp_handlers.wire.test_schema import ACTIONS, JSON, Message
from tests.rows import each_row

KINDS = (MessageType.Call, MessageType.CallResult)


def type_of(message: Message) -> object:
    schema: JsonSchema = json.loads(json.dumps(message.schema))
    return payload_type(schema)


def accepts(kind: object, payload: object) -> bool:
    try:
        convert(payload, kind)
    except MsgspecError:
        return False
    return True


@each_row("action", ACTIONS)
def test_messages_are_accepted_unless_a_part_of_them_may_be_anything(action: str) -> None:
    for kind in KINDS:
        message = Message(action, kind)
        accepting = type_of(message)
        assert accepts(accepting, message.payload(full=False))
        full = message.payload(full=True)
        assert accepts(accepting, full) is ("anything" not in json.dumps(full))


@pytest.mark.parametrize("action", ACTIONS)
def test_no_fault_that_the_schema_can_see_is_accepted(action: str) -> None:
    for kind in KINDS:
        message = Message(action, kind)
        accepting = type_of(message)
        assert not any(accepts(accepting, invalid.payload) for invalid in message.invalid_payloads())


def test_what_json_does_not_have_is_refused() -> None:
    accepting = payload_type({"type": "object", "properties": {"limit": {"type": "number"}}})
    for value, accepted in ((7.5, True), (7, True), (float("nan"), False), (float("inf"), False), ({1}, False)):
        assert accepts(accepting, {"limit": value}) is accepted


def test_what_may_be_anything_is_left_to_the_schema() -> None:
    accepting = payload_type({"type": "object", "properties": {"data": {}}})
    assert accepts(accepting, {})
    assert not accepts(accepting, {"data": 1})
    custom = payload_type({"type": "object", "properties": {"vendorId": {"type": "string"}}})
    assert accepts(custom, {"vendorId": "V"})
    assert not accepts(custom, {"vendorId": "V", "deep": [None]})


INFO = st.fixed_dictionaries(
    {"status": st.sampled_from(["Accepted", "Perhaps"])},
    optional={"evseId": st.lists(JSON, max_size=2), "cacheExpiryDateTime": st.text(max_size=3), "language1": JSON},
)


@examples(200)
@given(payload=st.fixed_dictionaries({"idTokenInfo": INFO}, optional={"customData": JSON}) | JSON)
def test_whatever_is_accepted_is_valid(payload: object) -> None:
    message = Message("Authorize", MessageType.CallResult)
    if accepts(type_of(message), payload):
        assert message.accepted(payload)
