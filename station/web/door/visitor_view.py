"""What of the station's state anybody may see: whether it is free, why a car gets what it gets, nobody's affairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from station.access.accounts import Role

if TYPE_CHECKING:
    from station.feed import Happening
    from station.web.api.status import Json

_STATION: Final = frozenset(
    {"identity", "vendor", "model", "powered", "clock", "local_time", "stage", "light", "tamper", "evses"}
)
_EVSE_HIDDEN: Final = frozenset({"id_token", "transaction_id", "display", "cost"})
_EVENT_HIDDEN: Final = frozenset({"transaction_id"})
_LEAST_FOR: Final = {"frame": Role.INSTALLER, "meter-frame": Role.INSTALLER}
"""kinds of happenings that not everybody sees; OCPP frames name cards and customers"""


def status_for(role: Role, shown: Json) -> Json:
    """The status as a role may see it."""
    if role >= Role.DRIVER:
        return shown
    seen = {key: value for key, value in shown.items() if key in _STATION}
    evses = cast("list[Json]", shown.get("evses", []))
    seen["evses"] = [{key: value for key, value in evse.items() if key not in _EVSE_HIDDEN} for evse in evses]
    return seen


def happening_for(role: Role, happening: Happening) -> Json | None:
    """What a role is told of a happening; None: nothing."""
    if role < _LEAST_FOR.get(happening.kind, Role.VISITOR):
        return None
    if role >= Role.DRIVER:
        return happening.data
    return {key: value for key, value in happening.data.items() if key not in _EVENT_HIDDEN}
