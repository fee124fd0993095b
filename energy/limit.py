"""A limit on the current of an EVSE: how much, and why. No limit is None, never zero."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from typing_extensions import TypedDict

from foundation.frozen import frozen


class LimitSource(StrEnum):
    """Who asks for the limit; the same words in the API, the log, on the light, over MQTT and on the page."""

    SELECTOR = "selector"
    """the current selector on the back plate"""
    HARDWARE = "hardware"
    """the rating of the EVSE"""
    CABLE = "cable"
    """the ampacity that the cable's proximity resistor tells"""
    TEMPERATURE = "temperature"
    """the station is too hot"""
    GRID = "grid"
    """what the house leaves of the connection"""
    UNBALANCE = "unbalance"
    """one-phase vehicles may load one phase only so much more than the others"""
    FAILSAFE = "failsafe"
    """the grid meter is silent"""
    BLIND_METER = "blind-meter"
    """the grid meter does not show what the vehicles draw: a clamp is missing, open or on another conductor"""
    GRID_ORDER = "grid-order"
    """the grid operator dims all controllable devices (EnWG §14a)"""
    OPERATOR = "grid-operator"
    """a limit of the grid operator, through the API or MQTT"""
    USER = "user"
    """a limit of the owner or of an energy management system, through the API or MQTT"""
    CHARGING_PROFILE = "charging-profile"
    """an OCPP charging profile"""
    TARIFF = "tariff"
    """a cheaper hour is waited for"""
    VEHICLE = "vehicle"
    """the vehicle does not follow its pilot"""
    VENTILATION = "ventilation"
    """the vehicle asks for ventilation, which the place has not"""
    LEARNING = "learning"
    """its current is stepped to find out which phase it loads"""
    RESTART_DELAY = "restart-delay"
    """after a blackout not all vehicles come back at the same moment"""


SOURCE_TEXTS = {
    LimitSource.SELECTOR: "the current selector",
    LimitSource.HARDWARE: "the station's rating",
    LimitSource.CABLE: "the cable",
    LimitSource.TEMPERATURE: "the temperature",
    LimitSource.GRID: "what the house leaves",
    LimitSource.UNBALANCE: "the unbalance of the phases",
    LimitSource.FAILSAFE: "grid meter not heard",
    LimitSource.BLIND_METER: "grid meter does not see the vehicle",
    LimitSource.GRID_ORDER: "dimmed by the grid operator",
    LimitSource.OPERATOR: "the grid operator's limit",
    LimitSource.USER: "the owner's limit",
    LimitSource.CHARGING_PROFILE: "the CSMS's profile",
    LimitSource.TARIFF: "waiting for a cheaper hour",
    LimitSource.VEHICLE: "the vehicle does not follow",
    LimitSource.VENTILATION: "the vehicle asks for ventilation",
    LimitSource.LEARNING: "finding out which phase the vehicle loads",
    LimitSource.RESTART_DELAY: "waiting after a blackout",
}
"""what a person reads"""


@frozen
class Limit:
    """At most `current_a` amperes on each phase, since `since`, because of `source`.

    The one that binds is the reason for the current, and the only form of it: status, log, MQTT and OCPP tell this.
    """

    current_a: float
    source: LimitSource
    since: datetime
    next_change: datetime | None = None
    """when it may change next, as far as that is known"""
    by: str | None = None
    """who exactly, where there are several: the name of a peer, the kind of a profile"""

    @property
    def source_text(self) -> str:
        """Who limits, for a person."""
        return SOURCE_TEXTS[self.source] if self.by is None else f"{SOURCE_TEXTS[self.source]} ({self.by})"


def tightest(limits: Iterable[Limit]) -> Limit | None:
    """The limit that binds: the smallest, the first named of equals; None when there is none."""
    return min(limits, key=lambda limit: limit.current_a, default=None)


class LimitValues(TypedDict):
    """A limit in plain JSON values, as API and MQTT publish it."""

    source: str
    words: str
    """a sentence for people"""
    by: str | None
    """who set it"""
    current_a: float
    """amperes per phase"""
    since: str
    next_change: str | None
    """when it changes next, as far as that is known"""


def limit_to_json(limit: Limit) -> LimitValues:
    """Write a limit in plain JSON values."""
    return {
        "source": limit.source.value,
        "words": limit.source_text,
        "by": limit.by,
        "current_a": limit.current_a,
        "since": limit.since.isoformat(),
        "next_change": limit.next_change.isoformat() if limit.next_change is not None else None,
    }
