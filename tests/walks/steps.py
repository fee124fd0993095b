"""Common steps of walks with transactions: settings, requests of the CSMS, and received messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from station.charging.tokens.admission import TokenOutcome
from station.core.model import IdToken
from tests.csms import Answer, Csms
from tests.walk import CARD, Walk

Event = dict[str, Any]
GROUP = {"idToken": "FLEET-7", "type": "Central"}
INVALID: dict[str, Any] = {"idTokenInfo": {"status": "Invalid"}}


def variables(**values: object) -> list[dict[str, str]]:
    """[[variable]] rows from keywords such as `TxCtrlr__TxStartPoint="EVConnected"`; a third part is the instance."""
    rows: list[dict[str, str]] = []
    for name, value in values.items():
        component, variable, *instance = name.split("__")
        text = str(value).lower() if isinstance(value, bool) else str(value)
        row = {"component": component, "variable": variable, "value": text}
        rows.append(row | ({"instance": instance[0]} if instance else {}))
    return rows


def tx_points(start: str, stop: str, **more: object) -> list[dict[str, str]]:
    """[[variable]] rows for start and stop points, and further variables."""
    return variables(TxCtrlr__TxStartPoint=start, TxCtrlr__TxStopPoint=stop, **more)


def token(card: IdToken = CARD) -> dict[str, str]:
    """A card as IdTokenType."""
    return {"idToken": card.value, "type": card.type}


def listed(id_token: Mapping[str, Any], status: str | None = "Accepted", **info: Any) -> dict[str, Any]:
    """Return an item of a SendLocalListRequest; status None: the item removes the token."""
    return {"idToken": id_token} if status is None else {"idToken": id_token, "idTokenInfo": {"status": status, **info}}


async def request_start(
    walk: Walk, *, evse_id: int | None = 1, remote_start_id: int = 77, card: IdToken = CARD, **more: Any
) -> dict[str, Any]:
    """Send RequestStartTransaction; returns the response."""
    request: dict[str, Any] = {"idToken": token(card), "remoteStartId": remote_start_id, **more}
    if evse_id is not None:
        request["evseId"] = evse_id
    answer = await walk.csms.call("RequestStartTransaction", request)
    await walk.settle()
    return answer


async def request_stop(walk: Walk, transaction_id: str) -> str:
    """Send RequestStopTransaction; returns the status."""
    answer = await walk.csms.call("RequestStopTransaction", {"transactionId": transaction_id})
    await walk.settle()
    return str(answer["status"])


async def event(walk: Walk, kind: str, trigger: str, **where: object) -> Event:
    """Wait until the CSMS has received a matching transaction event; returns the newest one."""
    found: list[Event] = []

    def find() -> bool:
        found[:] = [
            event
            for event in walk.events()
            if (event["eventType"], event["triggerReason"]) == (kind, trigger)
            and all(event["transactionInfo"].get(name) == value for name, value in where.items())
        ]
        return bool(found)

    await walk.until(find)
    return found[-1]


def transaction_id(walk: Walk) -> str:
    """The id of the only transaction that the CSMS knows."""
    (identity,) = {event["transactionInfo"]["transactionId"] for event in walk.events()}
    return str(identity)


def statuses(walk: Walk) -> list[str]:
    """The connector statuses that the CSMS has received, in order."""
    return [notification["connectorStatus"] for notification in walk.csms.received("StatusNotification")]


def answering(status: str, group: dict[str, str] | None = None) -> Callable[[Event], Answer]:
    """Return an answer rule of the CSMS that gives id tokens this status, in Authorize and TransactionEvent."""
    info: dict[str, Any] = {"status": status}
    if group is not None:
        info["groupIdToken"] = group
    return lambda payload: {"idTokenInfo": info} if "idToken" in payload else {}


def csms_of_one_group() -> Csms:
    """Return a CSMS for which all cards belong to one group."""
    csms = Csms()
    csms.answers["Authorize"] = csms.answers["TransactionEvent"] = answering("Accepted", GROUP)
    return csms


async def present_at(walk: Walk, card: IdToken, evse_id: int | None = None) -> TokenOutcome:
    """Present a card to the reader of an EVSE, or to the common reader; returns the outcome."""
    outcome = walk.parts.station.present_token(card, evse_id)
    await walk.until(outcome.done)
    return outcome.result()


async def charge(walk: Walk) -> str:
    """Present the card, plug in, wait for energy; returns the transaction id."""
    await walk.accepted()
    await walk.present()
    await walk.plug()
    await walk.charging()
    await event(walk, "Updated", "ChargingStateChanged", chargingState="Charging")
    return transaction_id(walk)
