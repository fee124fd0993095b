"""Texts for the log about requests of the CSMS: which one it is, and why its answer is a refusal. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from station.core.model import IdToken

_DONE: Final = frozenset({"Accepted", "AcceptedCanceled", "Scheduled", "RebootRequired", "Unlocked"})
"""statuses of an order that is or will be executed"""
_NOTHING_FOUND: Final = frozenset({"EmptyResultSet", "NoProfiles", "NotFound", "Unknown"})
"""statuses of a query without a result, which refuse nothing"""
_ITEMS: Final = {
    "SetVariables": ("setVariableResult", "attributeStatus", "attributeStatusInfo"),
    "SetVariableMonitoring": ("setMonitoringResult", "status", "statusInfo"),
    "ClearVariableMonitoring": ("clearMonitoringResult", "status", "statusInfo"),
}
"""orders that are answered item by item: names of the list, of the status of an item and of the information about it"""
_FACTS: Final = {
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
_MOST_ITEMS: Final = 5
_LONGEST: Final = 50
"""characters of a value of the request"""


def call_text(action: str, request: object) -> str:
    """Describe a request by its action and what it is about: `ReserveNow (EVSE 1, token 04A3…80)`."""
    facts = list[str]()
    if isinstance(request, dict):
        fields = cast("Mapping[str, object]", request)
        facts = [words.format(_fact(fields[name])) for name, words in _FACTS.items() if name in fields]
    return f"{action[:_LONGEST]} ({', '.join(facts)})" if facts else action[:_LONGEST]


def refusal_text(action: str, response: object) -> str | None:
    """Return the status of a response that refuses the request or a part of it, with the reason; None: it does not."""
    if not isinstance(response, dict):
        return None
    fields = cast("Mapping[str, object]", response)
    if isinstance(status := fields.get("status"), str):
        done = status in _DONE or (action.startswith("Get") and status in _NOTHING_FOUND)
        return None if done else _status_text(status, fields.get("statusInfo"))
    return _refused_items(fields, *_ITEMS[action]) if action in _ITEMS else None


def _refused_items(response: Mapping[str, object], name: str, status_name: str, info_name: str) -> str | None:
    refused = [
        f"{_item_text(one)} {_status_text(str(one.get(status_name)), one.get(info_name))}"
        for one in cast("list[Mapping[str, object]]", response.get(name, []))
        if one.get(status_name) not in _DONE
    ]
    if len(refused) > _MOST_ITEMS:
        refused[_MOST_ITEMS:] = [f"and {len(refused) - _MOST_ITEMS} more"]
    return "; ".join(refused) or None


def _fact(value: object) -> str:
    """The value of a field that identifies something: a number or text, the number of an object, or an id token."""
    if isinstance(value, dict):
        fields = cast("Mapping[str, object]", value)
        if "idToken" in fields:
            return IdToken(str(fields["idToken"]), str(fields.get("type"))).loggable
        return str(fields.get("id"))[:_LONGEST]
    return str(value)[:_LONGEST]


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
    return ".".join(_name(item.get(part)) for part in ("component", "variable"))


def _name(part: object) -> str:
    if not isinstance(part, dict):
        return "?"
    fields = cast("Mapping[str, object]", part)
    instance = f"[{fields['instance']}]" if "instance" in fields else ""
    return f"{fields.get('name')}{instance}"[:_LONGEST]
