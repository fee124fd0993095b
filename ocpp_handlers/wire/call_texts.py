"""Texts for the log about requests of the CSMS: which one it is, and why its answer is a refusal. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from station.core.model import IdToken

_SUCCESS: Final = frozenset({"Accepted", "AcceptedCanceled", "Scheduled", "RebootRequired", "Unlocked"})
"""statuses of an order that is or will be executed"""
_EMPTY_RESULT: Final = frozenset({"EmptyResultSet", "NoProfiles", "NotFound", "Unknown"})
"""statuses of a query without a result, which refuse nothing"""
_RESULT_LISTS: Final = {
    "SetVariables": ("setVariableResult", "attributeStatus", "attributeStatusInfo"),
    "SetVariableMonitoring": ("setMonitoringResult", "status", "statusInfo"),
    "ClearVariableMonitoring": ("clearMonitoringResult", "status", "statusInfo"),
}
"""orders that are answered item by item: names of the list, of the status of an item and of the information about it"""
_IDENTIFYING_FIELDS: Final = {
    "requestedMessage": "{}",
    "operationalStatus": "{}",
    "evseId": "EVSE {}",
    "evse": "EVSE {}",
    "idToken": "token {}",
    "remoteStartId": "remote start {}",
    "transactionId": "transaction {}",
    "reservationId": "reservation {}",
    "chargingProfile": "charging profile {}",
    "configurationSlot": "slot {}",
    "id": "id {}",
    "message": "message {}",
    "vendorId": "vendor {}",
    "messageId": "message {}",
}
"""the fields of requests that say which one it is, and their words"""
_MAX_LISTED: Final = 5
_MAX_CHARACTERS: Final = 50
"""characters of a value of the request"""


def call_text(action: str, request: object) -> str:
    """Describe a request by its action and what it is about: `ReserveNow (EVSE 1, token 04A3…80)`."""
    facts = list[str]()
    if isinstance(request, dict):
        fields = cast("Mapping[str, object]", request)
        facts = [
            words.format(_field_text(fields[name])) for name, words in _IDENTIFYING_FIELDS.items() if name in fields
        ]
    return f"{action[:_MAX_CHARACTERS]} ({', '.join(facts)})" if facts else action[:_MAX_CHARACTERS]


def refusal_text(action: str, response: object) -> str | None:
    """Return the status of a response that refuses the request or a part of it, with the reason; None: it does not."""
    if not isinstance(response, dict):
        return None
    fields = cast("Mapping[str, object]", response)
    if isinstance(status := fields.get("status"), str):
        successful = status in _SUCCESS or (action.startswith("Get") and status in _EMPTY_RESULT)
        return None if successful else _status_text(status, fields.get("statusInfo"))
    return _refused_items(fields, *_RESULT_LISTS[action]) if action in _RESULT_LISTS else None


def _refused_items(response: Mapping[str, object], name: str, status_name: str, info_name: str) -> str | None:
    refused = [
        f"{_item_text(item)} {_status_text(str(item.get(status_name)), item.get(info_name))}"
        for item in cast("list[Mapping[str, object]]", response.get(name, []))
        if item.get(status_name) not in _SUCCESS
    ]
    if len(refused) > _MAX_LISTED:
        refused[_MAX_LISTED:] = [f"and {len(refused) - _MAX_LISTED} more"]
    return "; ".join(refused) or None


def _field_text(value: object) -> str:
    """The value of a field that identifies something: a number or text, the number of an object, or an id token."""
    if isinstance(value, dict):
        fields = cast("Mapping[str, object]", value)
        if "idToken" in fields:
            return IdToken(str(fields["idToken"]), str(fields.get("type"))).loggable
        return str(fields.get("id"))[:_MAX_CHARACTERS]
    return str(value)[:_MAX_CHARACTERS]


def _status_text(status: str, info: object) -> str:
    if not isinstance(info, dict):
        return status
    fields = cast("Mapping[str, object]", info)
    why = fields.get("additionalInfo") or fields.get("reasonCode")
    return f"{status}: {why}" if why else status


def _item_text(item: Mapping[str, object]) -> str:
    """Name the variable or the monitor that a result is about."""
    if "variable" not in item:
        return f"monitor {item.get('id')}"
    return ".".join(_name_text(item.get(part)) for part in ("component", "variable"))


def _name_text(part: object) -> str:
    if not isinstance(part, dict):
        return "?"
    fields = cast("Mapping[str, object]", part)
    instance = f"[{fields['instance']}]" if "instance" in fields else ""
    return f"{fields.get('name')}{instance}"[:_MAX_CHARACTERS]
