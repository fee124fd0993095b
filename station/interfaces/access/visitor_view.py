"""The parts of the station's state that each role may see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar, cast

from station.core.driver_messages import DisplayTopic
from station.security.access.accounts import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from station.configuration.network_tables import PageConfig
    from station.core.event_feed import FeedEvent
    from station.interfaces.status_report import EvseStatus, Status

_Fields = TypeVar("_Fields", bound="Mapping[str, object]")
_VISITOR_FIELDS: Final = frozenset(
    {"identity", "vendor", "model", "powered", "clock", "local_time", "time_zone", "stage", "light", "tamper", "evses"}
)
_HIDDEN_FROM_VISITORS: Final = frozenset({"id_token", "transaction_id", "grid_explanation", "vehicle"})
"""fields of EVSE status and events; an explanation contains the consumption of the house, a vehicle when it
leaves"""
_CHARGE_FIELDS: Final = frozenset({"offered_a", "limits", "contactor_operations", "contactor_opened_under_load"})
"""fields of EVSE status and events about the charge of a vehicle; absent for visitors who may see the state only"""
_NULL_CHARGE_FIELDS: Final = dict.fromkeys(("limit", "temperature_c", "meter", "meter_error", "cost"))
"""fields of EVSE status about the charge that are null for these visitors"""
_OWNER_FIELDS: Final = frozenset({"unreadable_rows", "safe_start"})
_EVSE_OWNER_FIELDS: Final = frozenset({"reservation"})
"""fields of EVSE status that name another person than the one who charges"""
_LEAST_ROLE_FOR_EVENT: Final = {"frame": Role.INSTALLER, "meter-frame": Role.INSTALLER, "device-event": Role.INSTALLER}
"""least role for event types with restricted access; OCPP frames contain cards and customers"""


def sees_charges(role: Role, page: PageConfig) -> bool:
    """Return whether a role may see power, energy, cost and limits of charges: from driver on, or with `[page]`."""
    return role >= Role.DRIVER or page.show_charges


def status_for(role: Role, status: Status, page: PageConfig) -> Status:
    """Return the part of the status report that a role may see; `page` says what visitors may."""
    if role >= Role.OWNER:
        return status
    if role >= Role.DRIVER:
        visible = cast("Status", {key: value for key, value in status.items() if key not in _OWNER_FIELDS})
        if "evses" in visible:
            visible["evses"] = [_without_reservation(evse) for evse in visible["evses"]]
        return visible
    visible = cast("Status", {key: value for key, value in status.items() if key in _VISITOR_FIELDS})
    evses = [_evse_for_visitors(evse) for evse in status.get("evses", [])]
    visible["evses"] = evses if page.show_charges else [_without_charge(evse) for evse in evses]
    return visible


def _evse_for_visitors(evse: EvseStatus) -> EvseStatus:
    """The EVSE status for anonymous visitors: as on a public display, without personal messages."""
    visible = _public(_without_reservation(evse))
    visible["display"] = [_public(message) for message in evse["display"] if not message["personal"]]
    tariff = evse["tariff"]
    visible["tariff"] = tariff if tariff is None or not tariff["personal"] else None
    visible["cost"] = _public(evse["cost"]) if evse["cost"] is not None else None
    return visible


def _without_charge(evse: EvseStatus) -> EvseStatus:
    """The state of the EVSE and its price only."""
    visible = cast(
        "EvseStatus", {key: value for key, value in evse.items() if key not in _CHARGE_FIELDS} | _NULL_CHARGE_FIELDS
    )
    visible["display"] = [message for message in visible["display"] if message["topic"] != DisplayTopic.COST]
    return visible


def _without_reservation(evse: EvseStatus) -> EvseStatus:
    return cast("EvseStatus", {key: value for key, value in evse.items() if key not in _EVSE_OWNER_FIELDS})


def _public(fields: _Fields) -> _Fields:
    """A copy without the fields that visitors may not see; these are `NotRequired` in its type."""
    return cast("_Fields", {key: value for key, value in fields.items() if key not in _HIDDEN_FROM_VISITORS})


def may_receive_event(role: Role, kind: str) -> bool:
    """Return whether a role may receive events of this type (`FeedEvent.event_type`)."""
    return role >= _LEAST_ROLE_FOR_EVENT.get(kind, Role.VISITOR)


def event_for_role(role: Role, event: FeedEvent, page: PageConfig) -> Mapping[str, object] | None:
    """Return the part of the data of an event that a role may see; None if it may not receive the event."""
    if not may_receive_event(role, event.event_type):
        return None
    if role >= Role.DRIVER:
        return event.data
    visible = _public(event.data)
    return visible if page.show_charges else {key: value for key, value in visible.items() if key not in _CHARGE_FIELDS}
