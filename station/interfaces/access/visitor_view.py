"""What of the station's state anybody may see: whether it is free, why a car gets what it gets, nobody's affairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from station.security.access.accounts import Role

if TYPE_CHECKING:
    from station.core.event_feed import Happening
    from station.interfaces.json_object import Json

_STATION: Final = frozenset(
    {"identity", "vendor", "model", "powered", "clock", "local_time", "time_zone", "stage", "light", "tamper", "evses"}
)
_HIDDEN: Final = frozenset({"id_token", "transaction_id"})
"""of whatever happens at an EVSE"""
_FOR_OWNERS: Final = frozenset({"unreadable_rows"})
_LEAST_FOR: Final = {"frame": Role.INSTALLER, "meter-frame": Role.INSTALLER}
"""kinds of happenings that not everybody sees; OCPP frames name cards and customers"""


def status_for(role: Role, shown: Json) -> Json:
    """The status as a role may see it."""
    if role >= Role.OWNER:
        return shown
    if role >= Role.DRIVER:
        return {key: value for key, value in shown.items() if key not in _FOR_OWNERS}
    seen = {key: value for key, value in shown.items() if key in _STATION}
    evses = cast("list[Json]", shown.get("evses", []))
    seen["evses"] = [_evse(evse) for evse in evses]
    return seen


def _evse(evse: Json) -> Json:
    """As a display at the station shows it to all who stand there, but for what is told to one driver alone."""
    messages, cost = cast("list[Json]", evse["display"]), cast("Json | None", evse["cost"])
    return _public(evse) | {
        "display": [_public(message) for message in messages if not message["personal"]],
        "cost": _public(cost) if cost is not None else None,
    }


def _public(shown: Json) -> Json:
    return {key: value for key, value in shown.items() if key not in _HIDDEN}


def may_see(role: Role, kind: str) -> bool:
    """Return True if a role may receive events of this kind."""
    return role >= _LEAST_FOR.get(kind, Role.VISITOR)


def happening_for(role: Role, happening: Happening) -> Json | None:
    """What a role is told of a happening; None: nothing."""
    if not may_see(role, happening.kind):
        return None
    if role >= Role.DRIVER:
        return happening.data
    return _public(happening.data)
