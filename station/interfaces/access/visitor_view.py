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
"""of whatever happens at an EVSE"""
_FOR_OWNERS: Final = frozenset({"unreadable_rows"})
_LEAST_FOR: Final = {"frame": Role.INSTALLER, "meter-frame": Role.INSTALLER}
"""kinds of happenings that not everybody sees; OCPP frames name cards and customers"""


def status_for(role: Role, shown: Status) -> Status:
    """The status as a role may see it."""
    if role >= Role.OWNER:
        return shown
    if role >= Role.DRIVER:
        return cast("Status", {key: value for key, value in shown.items() if key not in _FOR_OWNERS})
    seen = cast("Status", {key: value for key, value in shown.items() if key in _FOR_VISITORS})
    seen["evses"] = [_evse(evse) for evse in shown.get("evses", [])]
    return seen


def _evse(evse: EvseStatus) -> EvseStatus:
    """As a display at the station shows it to all who stand there, but for what is told to one driver alone."""
    seen = _public(evse)
    seen["display"] = [_public(message) for message in evse["display"] if not message["personal"]]
    seen["cost"] = _public(evse["cost"]) if evse["cost"] is not None else None
    return seen


def _public(shown: _Shown) -> _Shown:
    """Without the fields that visitors may not see; these are `NotRequired` in its type."""
    return cast("_Shown", {key: value for key, value in shown.items() if key not in _NOT_FOR_VISITORS})


def may_receive_event(role: Role, kind: str) -> bool:
    """Return True if a role may receive events of this kind."""
    return role >= _LEAST_FOR.get(kind, Role.VISITOR)


def event_for_role(role: Role, happening: FeedEvent) -> Mapping[str, object] | None:
    """The data of a happening that a role may see; None: nothing of it."""
    if not may_receive_event(role, happening.event_type):
        return None
    if role >= Role.DRIVER:
        return happening.data
    return _public(happening.data)
