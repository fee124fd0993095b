"""The parts of the station's state that each role may see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar, cast

from station.security.access.accounts import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from station.core.event_feed import FeedEvent
    from station.interfaces.status_report import EvseStatus, Status

_Shown = TypeVar("_Shown", bound="Mapping[str, object]")
_FOR_VISITORS: Final = frozenset(
    {"identity", "vendor", "model", "powered", "clock", "local_time", "time_zone", "stage", "light", "tamper", "evses"}
)
_NOT_FOR_VISITORS: Final = frozenset({"id_token", "transaction_id"})
"""fields of EVSE status and events"""
_FOR_OWNERS: Final = frozenset({"unreadable_rows", "safe_start"})
_EVSE_FOR_OWNERS: Final = frozenset({"reservation"})
"""fields of EVSE status that name another person than the one who charges"""
_MIN_FOR: Final = {"frame": Role.INSTALLER, "meter-frame": Role.INSTALLER, "device-event": Role.INSTALLER}
"""least role for event types with restricted access; OCPP frames contain cards and customers"""


def status_for(role: Role, status: Status) -> Status:
    """Return the part of the status report that a role may see."""
    if role >= Role.OWNER:
        return status
    if role >= Role.DRIVER:
        seen = cast("Status", {key: value for key, value in status.items() if key not in _FOR_OWNERS})
        if "evses" in seen:
            seen["evses"] = [_without_reservation(evse) for evse in seen["evses"]]
        return seen
    seen = cast("Status", {key: value for key, value in status.items() if key in _FOR_VISITORS})
    seen["evses"] = [_evse(evse) for evse in status.get("evses", [])]
    return seen


def _evse(evse: EvseStatus) -> EvseStatus:
    """The EVSE status for anonymous visitors: as on a public display, without personal messages."""
    seen = _public(_without_reservation(evse))
    seen["display"] = [_public(message) for message in evse["display"] if not message["personal"]]
    seen["cost"] = _public(evse["cost"]) if evse["cost"] is not None else None
    return seen


def _without_reservation(evse: EvseStatus) -> EvseStatus:
    return cast("EvseStatus", {key: value for key, value in evse.items() if key not in _EVSE_FOR_OWNERS})


def _public(shown: _Shown) -> _Shown:
    """A copy without the fields that visitors may not see; these are `NotRequired` in its type."""
    return cast("_Shown", {key: value for key, value in shown.items() if key not in _NOT_FOR_VISITORS})


def may_receive_event(role: Role, kind: str) -> bool:
    """Return whether a role may receive events of this type (`FeedEvent.event_type`)."""
    return role >= _MIN_FOR.get(kind, Role.VISITOR)


def event_for_role(role: Role, event: FeedEvent) -> Mapping[str, object] | None:
    """Return the part of the data of an event that a role may see; None if it may not receive the event."""
    if not may_receive_event(role, event.event_type):
        return None
    if role >= Role.DRIVER:
        return event.data
    return _public(event.data)
