"""What the log says of a request of the CSMS, and of an answer that refuses it."""

from __future__ import annotations

from typing import Any

import pytest

from ocpp_handlers.wire.call_texts import call_text, refusal_text

_CARD = {"idToken": "04A3B2C1D5E680", "type": "ISO14443"}


@pytest.mark.parametrize(
    ("action", "request_", "text"),
    [
        ("ReserveNow", {"id": 7, "evseId": 1, "idToken": _CARD}, "ReserveNow (EVSE 1, token 04A3…80, id 7)"),
        ("TriggerMessage", {"requestedMessage": "Heartbeat"}, "TriggerMessage (Heartbeat)"),
        ("ChangeAvailability", {"operationalStatus": "Inoperative", "evse": {"id": 2}}, None),
        ("RequestStopTransaction", {"transactionId": "T" * 90}, f"RequestStopTransaction (transaction {'T' * 50})"),
        ("RequestStartTransaction", {"idToken": {"idToken": "4711", "type": "KeyCode"}}, None),
        ("SetVariables", {"setVariableData": [{"attributeValue": "secret"}]}, "SetVariables"),
        ("SetChargingProfile", {"chargingProfile": "nonsense"}, "SetChargingProfile (charging profile nonsense)"),
        ("Reset", ["not", "an object"], "Reset"),
        ("X" * 900, {}, "X" * 50),
    ],
)
def test_a_request_is_named_by_what_it_is_about_without_secrets(action: str, request_: Any, text: str | None) -> None:
    named = call_text(action, request_)
    assert "4711" not in named
    assert "secret" not in named
    if text is not None:
        assert named == text


@pytest.mark.parametrize(
    ("action", "response"),
    [
        ("Reset", {"status": "Scheduled"}),
        ("UnlockConnector", {"status": "Unlocked"}),
        ("GetReport", {"status": "EmptyResultSet"}),
        ("GetInstalledCertificateIds", {"status": "NotFound"}),
        ("GetVariables", {"getVariableResult": [{"attributeStatus": "UnknownVariable"}]}),
        ("SetVariables", {"setVariableResult": [{"attributeStatus": "RebootRequired"}]}),
        ("CostUpdated", {}),
    ],
)
def test_an_answer_that_refuses_nothing_has_no_text(action: str, response: Any) -> None:
    assert refusal_text(action, response) is None


@pytest.mark.parametrize(
    ("action", "response", "text"),
    [
        ("ReserveNow", {"status": "Occupied"}, "Occupied"),
        ("DeleteCertificate", {"status": "NotFound"}, "NotFound"),
        ("GetLog", {"status": "Rejected", "statusInfo": {"reasonCode": "Busy"}}, "Rejected: Busy"),
        (
            "Reset",
            {"status": "Rejected", "statusInfo": {"reasonCode": "FwUpdate", "additionalInfo": "an update runs"}},
            "Rejected: an update runs",
        ),
        ("ClearVariableMonitoring", {"clearMonitoringResult": [{"id": 3, "status": "NotFound"}]}, "monitor 3 NotFound"),
        (
            "SetVariables",
            {
                "setVariableResult": [
                    {
                        "attributeStatus": "Rejected",
                        "attributeStatusInfo": {"reasonCode": "ReadOnly"},
                        "component": {"name": "TxCtrlr"},
                        "variable": {"name": "Limit", "instance": "Cost"},
                    },
                    {"attributeStatus": "Accepted", "component": {"name": "A"}, "variable": {"name": "B"}},
                ]
            },
            "TxCtrlr.Limit[Cost] Rejected: ReadOnly",
        ),
        (
            "ClearVariableMonitoring",
            {"clearMonitoringResult": [{"id": number, "status": "Rejected"} for number in range(8)]},
            "monitor 0 Rejected; monitor 1 Rejected; monitor 2 Rejected; monitor 3 Rejected; monitor 4 Rejected;"
            " and 3 more",
        ),
    ],
)
def test_a_refusal_is_described_by_status_and_reason(action: str, response: Any, text: str) -> None:
    assert refusal_text(action, response) == text
