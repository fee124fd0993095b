"""A message of OCPP 2.1 leaves a session of 2.0.1 in its words, without losing what 2.0.1 can say."""

from __future__ import annotations

import copy
import json
import logging
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.events import Event
from foundation.json_values import is_list, is_object
from ocpp_handlers.wire import narrowing
from ocpp_handlers.wire.call_errors import InvalidRequestError
from ocpp_handlers.wire.edition import V21, V201
from ocpp_handlers.wire.frame import Call
from ocpp_handlers.wire.outgoing import OutgoingFrames
from ocpp_handlers.wire.schema import shared_schemas
from station.core.invalid_messages import InvalidMessage
from tests.examples import examples
from tests.ocpp_handlers.wire.schema_strategies import payloads, schema_of
from tests.rows import each_row

STATION_REQUESTS = (
    "Authorize",
    "BootNotification",
    "ClearedChargingLimit",
    "DataTransfer",
    "FirmwareStatusNotification",
    "Get15118EVCertificate",
    "GetCertificateStatus",
    "Heartbeat",
    "LogStatusNotification",
    "MeterValues",
    "NotifyChargingLimit",
    "NotifyCustomerInformation",
    "NotifyDisplayMessages",
    "NotifyEVChargingNeeds",
    "NotifyEVChargingSchedule",
    "NotifyEvent",
    "NotifyMonitoringReport",
    "NotifyReport",
    "PublishFirmwareStatusNotification",
    "ReportChargingProfiles",
    "ReservationStatusUpdate",
    "SecurityEventNotification",
    "SignCertificate",
    "StatusNotification",
    "TransactionEvent",
)
"""the actions of 2.0.1 that a station requests; it answers all others"""
MESSAGES = sorted(
    f"{action}{'Request' if action in STATION_REQUESTS else 'Response'}"
    for action in V201.actions
    if action != "DataTransfer"  # any JSON, the same in both
)
NEVER_WITHOUT = {"chargingSchedulePeriod": "limit"}
"""fields that a station always writes, although 2.1 does not require them: by list, the field of its items"""
MEANING = {"measurand", "location"}
"""optional fields without which an object says something else: without a measurand a sample is the energy register"""
TEXT = 512


class Leaving:
    """What leaves a session, and what it has reported as a defect."""

    def __init__(self, edition: Any = V201) -> None:
        invalid: Event[InvalidMessage] = Event()
        self.reported: list[InvalidMessage] = []
        invalid.subscribe(self.reported.append)
        self._frames = OutgoingFrames(shared_schemas(edition), invalid)

    def payload(self, message: str, payload: object) -> Any:
        """The payload on the wire; NOTHING if the message is not sent."""
        action = message.removesuffix("Request").removesuffix("Response")
        if message.endswith("Request"):
            try:
                return json.loads(self._frames.call("1", action, payload))[3]
            except InvalidRequestError:
                return narrowing.NOTHING
        written = self._frames.result(Call("1", action, {}), payload)
        return json.loads(written)[2] if isinstance(written, str) else narrowing.NOTHING


def expressible(value: Any, schema: dict[str, Any], definitions: dict[str, Any]) -> Any:
    """The largest part of a value that the schema accepts, by the schema alone; NOTHING if there is none."""
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    if "enum" in schema:
        return value if value in schema["enum"] else narrowing.NOTHING
    match schema.get("type"):
        case "object":
            known = schema["properties"]
            parts = {
                name: part
                for name, field in value.items()
                if name in known and (part := expressible(field, known[name], definitions)) is not narrowing.NOTHING
            }
            needed = {*schema.get("required", ()), *(MEANING & set(value))}
            return parts if needed <= set(parts) else narrowing.NOTHING
        case "array":
            items = [expressible(item, schema["items"], definitions) for item in value]
            kept = [item for item in items if item is not narrowing.NOTHING]
            return kept if len(kept) >= schema.get("minItems", 0) else narrowing.NOTHING
        case "string":
            return value if len(value) <= schema.get("maxLength", len(value)) else narrowing.NOTHING
        case "integer":
            return value if float(value).is_integer() else narrowing.NOTHING
        case _:
            return value


def leaves(value: Any, path: str = "") -> Counter[tuple[str, Any]]:
    """The plain values of a payload with their paths, without the places in lists."""
    if is_object(value):
        return sum((leaves(part, f"{path}.{name}") for name, part in value.items()), Counter[tuple[str, Any]]())
    if is_list(value):
        return sum((leaves(item, f"{path}[]") for item in value), Counter[tuple[str, Any]]())
    return Counter([(path, value)])


def completed(value: Any, place: str = "") -> Any:
    """A payload with the fields that a station always writes."""
    if is_list(value):
        return [completed(item, place) for item in value]
    if not is_object(value):
        return value
    parts = {name: completed(part, name) for name, part in value.items()}
    return {NEVER_WITHOUT[place]: 6.0, **parts} if place in NEVER_WITHOUT else parts


@each_row("message", MESSAGES)
@examples(40)
@given(data=st.data())
def test_what_leaves_under_201_is_valid_and_has_all_that_201_can_say(message: str, data: st.DataObject) -> None:
    payload = completed(data.draw(payloads(schema_of("v21", message))))
    before, leaving = copy.deepcopy(payload), Leaving()
    sent = leaving.payload(message, payload)
    assert payload == before, "the message stays as it is"
    assert leaving.reported == [], "a field of 2.1 is no defect of the station"
    schema = schema_of("v201", message)
    expected = expressible(payload, schema, schema.get("definitions", {}))
    if sent is narrowing.NOTHING:
        assert expected is narrowing.NOTHING
        return
    action = message.removesuffix("Request").removesuffix("Response")
    check = "check_request" if message.endswith("Request") else "check_response"
    assert getattr(shared_schemas(V201), check)(action, sent) is None
    if expected is not narrowing.NOTHING:
        assert leaves(expected) - leaves(sent) == Counter()


@each_row("message", MESSAGES)
@examples(10)
@given(data=st.data())
def test_what_leaves_under_21_is_the_whole_message(message: str, data: st.DataObject) -> None:
    payload, leaving = data.draw(payloads(schema_of("v21", message))), Leaving(V21)
    assert leaving.payload(message, payload) == json.loads(json.dumps(payload))
    assert leaving.reported == []


def event(**fields: Any) -> dict[str, Any]:
    info = {"transactionId": "T-1", **fields.pop("transactionInfo", {})}
    return {
        "eventType": "Updated",
        "timestamp": "2026-05-01T10:00:00Z",
        "triggerReason": "Trigger",
        "seqNo": 3,
        "transactionInfo": info,
        **fields,
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"triggerReason": "TxResumed"}, {"triggerReason": "ChargingStateChanged"}),
        ({"triggerReason": "RunningCost"}, {"triggerReason": "MeterValuePeriodic"}),
        ({"triggerReason": "LimitSet", "transactionInfo": {"transactionLimit": {"maxTime": 60}}}, {}),
        ({"transactionInfo": {"tariffId": "T", "operationMode": "ChargingOnly"}}, {}),
        (
            {"idToken": {"idToken": "psp-1", "type": "DirectPayment"}},
            {"idToken": {"idToken": "psp-1", "type": "Central"}},
        ),
        ({"idToken": {"idToken": "x" * 37, "type": "Central"}}, {}),
        ({"evseSleep": False, "preconditioningStatus": "Ready"}, {}),
    ],
)
def test_an_event_of_a_transaction_keeps_its_facts(
    fields: dict[str, Any], expected: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert Leaving().payload("TransactionEventRequest", event(**fields)) == event(**expected)
    assert caplog.records == []


def test_a_message_that_201_has_no_words_for_is_not_sent_and_is_no_defect(caplog: pytest.LogCaptureFixture) -> None:
    leaving = Leaving()
    update = {"reservationId": 1, "reservationUpdateStatus": "NoTransaction"}
    assert leaving.payload("ReservationStatusUpdateRequest", update) is narrowing.NOTHING
    assert leaving.reported == []
    assert caplog.records == []


def test_what_neither_edition_has_is_a_defect_under_both() -> None:
    for edition in (V201, V21):
        leaving = Leaving(edition)
        assert leaving.payload("TransactionEventRequest", event(colour="red")) == event()
        assert leaving.reported == [InvalidMessage("TransactionEvent", sent=True)]


def test_a_text_that_is_too_long_for_201_is_cut() -> None:
    info = {"reasonCode": "InvalidValue", "additionalInfo": "a" * 1024}
    sent = Leaving().payload("SetChargingProfileResponse", {"status": "Rejected", "statusInfo": info})
    assert sent["statusInfo"]["additionalInfo"] == "a" * TEXT
