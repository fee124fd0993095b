"""Nothing that breaks its schema leaves the station: a field too many is cut, anything else is not sent."""

from __future__ import annotations

import copy
import json
import logging
from decimal import Decimal
from typing import Any

import pytest

from foundation.events import Event
from ocpp_handlers.wire.call_errors import CallRefusedError, InvalidRequestError
from ocpp_handlers.wire.edition import V201
from ocpp_handlers.wire.frame import Call, CallError
from ocpp_handlers.wire.outgoing import OutgoingFrames
from ocpp_handlers.wire.schema import Schemas
from station.core.invalid_messages import InvalidMessage

SECRET = "04A3B2C1D5E680"
VARIABLE: dict[str, Any] = {
    "component": {"name": "EVSE", "evse": {"id": 1}},
    "variable": {"name": "Power"},
    "variableAttribute": [{"value": "7"}],
}


def report(*variables: dict[str, Any]) -> dict[str, Any]:
    return {"requestId": 1, "generatedAt": "2026-05-01T10:00:00Z", "seqNo": 0, "reportData": list(variables)}


class OutgoingHarness:
    """Frames that are written, and what is reported."""

    def __init__(self) -> None:
        invalid: Event[InvalidMessage] = Event()
        self.reported: list[InvalidMessage] = []
        invalid.subscribe(self.reported.append)
        self._frames = OutgoingFrames(Schemas(V201), invalid)

    def call(self, action: str, request: object) -> Any:
        return json.loads(self._frames.call("1", action, request))

    def result(self, action: str, response: object) -> Any:
        answer = self._frames.result(Call("1", action, {}), response)
        return answer if isinstance(answer, CallError) else json.loads(answer)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    assert all(record.levelno == logging.ERROR for record in caplog.records)
    assert SECRET not in caplog.text
    return [record.getMessage() for record in caplog.records]


def test_a_valid_message_is_written_and_nothing_reported(caplog: pytest.LogCaptureFixture) -> None:
    outgoing = OutgoingHarness()
    assert outgoing.call("NotifyReport", report(VARIABLE)) == [2, "1", "NotifyReport", report(VARIABLE)]
    assert outgoing.result("ClearCache", {"status": "Accepted"}) == [3, "1", {"status": "Accepted"}]
    assert (outgoing.reported, lines(caplog)) == ([], [])


def _charging_limit(limit: object) -> dict[str, Any]:
    period = {"startPeriod": 0, "limit": limit}
    schedule = {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [period]}
    return {"chargingLimit": {"chargingLimitSource": "EMS"}, "chargingSchedule": [schedule]}


def test_a_decimal_leaves_as_the_number_for_which_it_was_checked(caplog: pytest.LogCaptureFixture) -> None:
    outgoing = OutgoingHarness()
    sent = outgoing.call("NotifyChargingLimit", _charging_limit(Decimal("16.5")))[3]
    assert sent == _charging_limit(16.5)
    assert type(sent["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"]) is float
    assert (outgoing.reported, lines(caplog)) == ([], [])


@pytest.mark.parametrize("convert", [Decimal, float])
@pytest.mark.parametrize("name", ["nan", "inf", "-inf"])
def test_what_is_no_number_of_json_does_not_leave(
    convert: type[Decimal] | type[float], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    outgoing = OutgoingHarness()
    with pytest.raises(InvalidRequestError, match="NotifyChargingLimit was not sent"):
        outgoing.call("NotifyChargingLimit", _charging_limit(convert(name)))
    assert outgoing.reported == [InvalidMessage("NotifyChargingLimit", sent=False)]
    assert len(lines(caplog)) == 1


def test_fields_that_the_schema_does_not_have_are_cut_wherever_they_are(caplog: pytest.LogCaptureFixture) -> None:
    outgoing, request = OutgoingHarness(), report(VARIABLE, copy.deepcopy(VARIABLE))
    request["colour"] = SECRET
    request["reportData"][1]["component"]["evse"]["phase"] = {"idToken": SECRET}
    request["reportData"][1]["variableAttribute"][0]["hint"] = [SECRET]
    before = copy.deepcopy(request)
    assert outgoing.call("NotifyReport", request)[3] == report(VARIABLE, VARIABLE)
    assert request == before, "the message of the caller stays as it is"
    assert outgoing.reported == [InvalidMessage("NotifyReport", sent=True)]
    start, end = "NotifyReportRequest of this station is sent without ", ", not valid in OCPP 2.0.1"
    assert sorted(lines(caplog)) == [
        f"{start}{path}{end}"
        for path in ("colour", "reportData[1].component.evse.phase", "reportData[1].variableAttribute[0].hint")
    ]


def test_a_field_too_many_of_a_response_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    outgoing, info = OutgoingHarness(), {"reasonCode": "x", "detail": SECRET}
    assert outgoing.result("ClearCache", {"status": "Rejected", "statusInfo": info})[2] == {
        "status": "Rejected", "statusInfo": {"reasonCode": "x"},
    }  # fmt: skip
    assert outgoing.reported == [InvalidMessage("ClearCache", sent=True)]
    (line,) = lines(caplog)
    assert line == "ClearCacheResponse of this station is sent without statusInfo.detail, not valid in OCPP 2.0.1"


def test_a_flood_of_fields_too_many_does_not_flood_the_log(caplog: pytest.LogCaptureFixture) -> None:
    outgoing = OutgoingHarness()
    rows = [{**VARIABLE, "hint": number} for number in range(500)]
    assert outgoing.call("NotifyReport", report(*rows[:90]))[3] == report(*[VARIABLE] * 90)
    assert len(lines(caplog)) == 11
    assert lines(caplog)[-1] == "NotifyReportRequest of this station is sent without 80 more fields"


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        (report({**VARIABLE, "variable": {"name": SECRET * 9}}), "reportData[0].variable.name is longer than 50"),
        (report(), "reportData has fewer items than 1."),
        ({**report(VARIABLE), "seqNo": SECRET}, "seqNo must be of type integer."),
        ({**report(VARIABLE), "tbc": None}, "tbc must be of type boolean."),
        ({"requestId": 1, "colour": SECRET}, "generatedAt is missing."),
        ([SECRET], "The payload must be of type object."),
        ({**report(VARIABLE), "generatedAt": f"{SECRET}\ud800"}, "The payload cannot be encoded"),
        ({**report(VARIABLE), "customData": {"vendorId": "v", "x": float("inf")}}, "The payload cannot be encoded"),
        ({**report(VARIABLE), "customData": {"vendorId": "v", "x": object()}}, "The payload cannot be encoded"),
    ],
)
def test_a_request_that_is_invalid_otherwise_is_not_sent(
    caplog: pytest.LogCaptureFixture, request_: Any, problem: str
) -> None:
    outgoing = OutgoingHarness()
    with pytest.raises(InvalidRequestError, match="NotifyReport was not sent") as refused:
        outgoing.call("NotifyReport", request_)
    assert SECRET not in str(refused.value)
    assert outgoing.reported == [InvalidMessage("NotifyReport", sent=False)]
    (line,) = lines(caplog)
    assert line.startswith(f"NotifyReportRequest of this station is not sent, since it is not valid: {problem}")


def test_an_action_that_the_edition_does_not_have_is_not_sent() -> None:
    outgoing = OutgoingHarness()
    with pytest.raises(InvalidRequestError, match=r"OCPP 2\.0\.1 has no such action"):
        outgoing.call("NotifyPriorityCharging", {"transactionId": "1", "activated": True})
    assert outgoing.reported == [InvalidMessage("NotifyPriorityCharging", sent=False)]


def test_an_invalid_request_is_refused_for_good() -> None:
    """So that its sender sees 'no answer' and does not send it again."""
    with pytest.raises(CallRefusedError) as refused:
        OutgoingHarness().call("Heartbeat", None)
    assert not refused.value.temporary


@pytest.mark.parametrize("response", [{"status": SECRET}, {}, None, {"status": "Accepted", "statusInfo": SECRET}])
def test_a_response_that_is_invalid_otherwise_becomes_an_internal_error(
    caplog: pytest.LogCaptureFixture, response: object
) -> None:
    outgoing = OutgoingHarness()
    assert outgoing.result("ClearCache", response) == CallError(
        "1", "InternalError", "ClearCache failed with an internal error"
    )
    assert outgoing.reported == [InvalidMessage("ClearCache", sent=False)]
    assert len(lines(caplog)) == 1
