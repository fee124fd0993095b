"""A TransactionEvent is never lost: of one that its schema refuses, the largest valid part is sent."""

from __future__ import annotations

import contextlib
import copy
import json
import math
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.events import Event
from ocpp_handlers.wire import actions
from ocpp_handlers.wire.call_errors import InvalidRequestError
from ocpp_handlers.wire.edition import V201
from ocpp_handlers.wire.outgoing import OutgoingFrames
from ocpp_handlers.wire.schema import Schemas
from station.core.invalid_messages import InvalidMessage

SCHEMAS = Schemas(V201)
ACTION = actions.TRANSACTION_EVENT.name
Fields = dict[str, Any]


def sample(**fields: object) -> Fields:
    return {
        "value": 1234.5,
        "context": "Transaction.End",
        "measurand": "Energy.Active.Import.Register",
        "phase": "L1",
        "location": "Outlet",
        "unitOfMeasure": {"unit": "Wh"},
        **fields,
    }


SIGNED = {"signedMeterData": "T0NNRg==", "signingMethod": "", "encodingMethod": "OCMF", "publicKey": "00"}
EVENT: Fields = {
    "eventType": "Ended",
    "timestamp": "2026-05-01T10:00:00Z",
    "triggerReason": "EVCommunicationLost",
    "seqNo": 17,
    "transactionInfo": {
        "transactionId": "7c1e", "chargingState": "Idle", "timeSpentCharging": 60, "stoppedReason": "EVDisconnected"
    },
    "offline": True,
    "numberOfPhasesUsed": 3,
    "cableMaxCurrent": 32,
    "reservationId": 4,
    "evse": {"id": 1, "connectorId": 1},
    "idToken": {"idToken": "04A3", "type": "ISO14443", "additionalInfo": [{"additionalIdToken": "x", "type": "y"}]},
    "meterValue": [
        {"timestamp": "2026-05-01T09:00:00Z", "sampledValue": [sample(signedMeterValue=SIGNED), sample(phase="L2")]},
        {"timestamp": "2026-05-01T10:00:00Z", "sampledValue": [sample(), sample(measurand="Voltage")]},
    ],
}  # fmt: skip
"""with each field that the station sends"""

INVALID_VALUES: tuple[object, ...] = (
    "x" * 5_000,
    None,
    [],
    {},
    7,
    -(10**400),
    "\ud800",
    math.nan,
    math.inf,
    True,
    {"\ud800": 1},
    (),
    1.5,
    1j,
)
"""values that are invalid at most places; some cannot be written as JSON"""


def sent_form(event: object) -> tuple[Fields, list[InvalidMessage]]:
    """The payload that is sent for an event, and the reported invalid messages."""
    reported: list[InvalidMessage] = []
    invalid: Event[InvalidMessage] = Event()
    invalid.subscribe(reported.append)
    payload = json.loads(OutgoingFrames(SCHEMAS, invalid).call("1", ACTION, event))[3]
    assert SCHEMAS.check_request(ACTION, payload) is None
    return payload, reported


def identifying_fields(event: Fields) -> list[object]:
    """The fields that identify an event."""
    names = ("eventType", "timestamp", "triggerReason", "seqNo")
    return [*(event[name] for name in names), event["transactionInfo"]["transactionId"]]


def places(node: object, *path: str | int) -> list[tuple[str | int, ...]]:
    """The paths of all parts of a payload."""
    children: list[tuple[str | int, object]] = []
    if isinstance(node, dict):
        children = list(cast("dict[str | int, object]", node).items())
    elif isinstance(node, list):
        children = list(enumerate(cast("list[object]", node)))
    return [found for step, part in children for found in ((*path, step), *places(part, *path, step))]


CORE = [(name,) for name in ("eventType", "timestamp", "triggerReason", "seqNo", "transactionInfo")]
PLACES = [place for place in places(EVENT) if place not in [*CORE, ("transactionInfo", "transactionId")]]


def with_invalid_part(event: Fields, path: tuple[str | int, ...], value: object) -> Fields:
    """The event with another value at a path; unchanged if the path does not exist any more."""
    node: Any = event
    with contextlib.suppress(LookupError, TypeError):
        for step in path[:-1]:
            node = node[step]
        node[path[-1]] = copy.deepcopy(value)
    return event


def test_a_valid_event_leaves_as_it_is() -> None:
    assert sent_form(EVENT) == (EVENT, [])


@pytest.mark.parametrize("path", PLACES, ids=lambda path: ".".join(map(str, path)))
def test_an_event_with_a_spoilt_part_leaves_with_its_identity_and_all_other_parts(path: tuple[str | int, ...]) -> None:
    for value in INVALID_VALUES:
        event = with_invalid_part(copy.deepcopy(EVENT), path, value)
        before = copy.deepcopy(event)
        payload, reported = sent_form(event)
        assert identifying_fields(payload) == identifying_fields(EVENT)
        assert {name: part for name, part in payload.items() if name != path[0]} == {
            name: part for name, part in EVENT.items() if name != path[0]
        }
        assert len(reported) <= 1
        assert all(message == InvalidMessage(ACTION, sent=True) for message in reported)
        assert repr(event) == repr(before), "what was recorded stays as it is"


@given(st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from(INVALID_VALUES)), max_size=12), st.booleans())
def test_a_much_spoilt_event_leaves_in_a_valid_form_with_its_identity(
    spoils: list[tuple[tuple[str | int, ...], object]], has_unknown_fields: bool
) -> None:
    event = copy.deepcopy(EVENT)
    for path, value in spoils:
        with_invalid_part(event, path, value)
    if has_unknown_fields:
        event["costDetails"] = {"currency": "EUR"}
        event["transactionInfo"]["tariffId"] = "dear"
    payload, _ = sent_form(event)
    assert identifying_fields(payload) == identifying_fields(EVENT)
    assert "costDetails" not in payload


def with_samples(*samples: object) -> Fields:
    return {**EVENT, "meterValue": [{"timestamp": "2026-05-01T10:00:00Z", "sampledValue": list(samples)}]}


@pytest.mark.parametrize(
    "field", ["value", "context", "measurand", "phase", "location", "unitOfMeasure"]
)  # fmt: skip
def test_a_sample_without_its_meaning_is_left_out_as_a_whole(field: str) -> None:
    """Without a measurand it would be read as energy, without a unit as Wh, without a phase as all phases."""
    payload, _ = sent_form(with_samples(sample(**{field: "no such word" * 20}), sample(phase="L3")))
    assert payload["meterValue"][0]["sampledValue"] == [sample(phase="L3")]


def test_a_value_is_sent_without_a_signature_that_cannot_be_sent_and_with_all_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bad = {**SIGNED, "publicKey": "A0" * 2_000}
    payload, _ = sent_form(with_samples(sample(signedMeterValue=bad), sample(phase="L2", signedMeterValue=SIGNED)))
    assert payload["meterValue"][0]["sampledValue"] == [sample(), sample(phase="L2", signedMeterValue=SIGNED)]
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        (
            "ERROR",
            "TransactionEventRequest of this station is sent without meterValue[0].sampledValue[0].signedMeterValue,"
            " not valid in OCPP 2.0.1",
        )
    ]


@pytest.mark.parametrize(
    ("name", "part", "expected"),
    [
        ("idToken", {"idToken": "A", "type": "Central", "additionalInfo": []}, {"idToken": "A", "type": "Central"}),
        ("idToken", {"idToken": "A", "type": "Card" * 9}, None),
        ("evse", {"id": 1, "connectorId": "1"}, {"id": 1}),
        ("evse", {"id": None, "connectorId": 1}, None),
        ("offline", "yes", None),
        ("meterValue", [], None),
        ("meterValue", [{"timestamp": None, "sampledValue": [sample()]}], None),
    ],
)
def test_of_an_object_as_much_is_sent_as_says_something(
    caplog: pytest.LogCaptureFixture, name: str, part: object, expected: object
) -> None:
    payload, _ = sent_form({**EVENT, name: part})
    assert payload.get(name) == expected
    assert f"is sent without {name}" in caplog.text


@pytest.mark.parametrize(
    "event",
    [
        {**EVENT, "seqNo": None},
        {**EVENT, "eventType": "Interrupted"},
        {**EVENT, "transactionInfo": {"transactionId": "x" * 37}},
        {**EVENT, "transactionInfo": None},
        {name: part for name, part in EVENT.items() if name != "timestamp"},
        None,
        [],
    ],
)
def test_an_event_whose_identity_is_not_valid_is_not_sent(event: object) -> None:
    with pytest.raises(InvalidRequestError, match="TransactionEvent was not sent"):
        sent_form(event)
