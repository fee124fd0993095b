"""A limit on the current of an EVSE: value and reason. No limit is None, never zero."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from typing_extensions import TypedDict

from foundation.frozen import Frozen


class LimitSource(StrEnum):
    """The reason for a limit; the same names are used in the API, the log, on the light, over MQTT and on the page."""

    SELECTOR = "selector"
    """the current selector on the back plate"""
    HARDWARE = "hardware"
    """the rating of the EVSE"""
    CABLE = "cable"
    """the ampacity coded by the cable's proximity resistor"""
    TEMPERATURE = "temperature"
    """the station is too hot"""
    GRID = "grid"
    """the rest of the connection's current after the house's consumption"""
    UNBALANCE = "unbalance"
    """the permitted unbalance between phases by single-phase vehicles"""
    FAILSAFE = "failsafe"
    """the grid meter is silent"""
    BLIND_METER = "blind-meter"
    """the grid meter does not show the vehicles' draw: a clamp is missing, open or on another conductor"""
    GRID_ORDER = "grid-order"
    """the grid operator dims all controllable devices (EnWG §14a)"""
    OPERATOR = "grid-operator"
    """a limit of the grid operator, through the API or MQTT"""
    USER = "user"
    """a limit of the owner or of an energy management system, through the API or MQTT"""
    CHARGING_PROFILE = "charging-profile"
    """an OCPP charging profile"""
    TARIFF = "tariff"
    """waiting for off-peak hours"""
    VEHICLE = "vehicle"
    """the vehicle draws more than its pilot allows"""
    VENTILATION = "ventilation"
    """the vehicle requires ventilation, which the place does not have"""
    LEARNING = "learning"
    """the current is stepped to find out which phase the vehicle loads"""
    RESTART_DELAY = "restart-delay"
    """a random delay after a blackout, so that vehicles do not all start at once"""
    SAFE_START = "safe-start"
    """stored limits are unknown: the charging profiles are set aside after failed starts, or the site settings lost"""


SOURCE_TEXTS = {
    LimitSource.SELECTOR: "the current selector",
    LimitSource.HARDWARE: "the station's rating",
    LimitSource.CABLE: "the rating of the cable",
    LimitSource.TEMPERATURE: "the temperature of the station",
    LimitSource.GRID: "the current left on the grid connection",
    LimitSource.UNBALANCE: "the permitted unbalance of the phases",
    LimitSource.FAILSAFE: "no readings from the grid meter",
    LimitSource.BLIND_METER: "the grid meter does not show the vehicle's current",
    LimitSource.GRID_ORDER: "dimmed by the grid operator",
    LimitSource.OPERATOR: "the grid operator's limit",
    LimitSource.USER: "the owner's limit",
    LimitSource.CHARGING_PROFILE: "a charging profile of the CSMS",
    LimitSource.TARIFF: "waiting for off-peak hours",
    LimitSource.VEHICLE: "the vehicle draws more than allowed",
    LimitSource.VENTILATION: "the vehicle requires ventilation",
    LimitSource.LEARNING: "detecting which phase the vehicle uses",
    LimitSource.RESTART_DELAY: "delayed restart after a power failure",
    LimitSource.SAFE_START: "stored limits that cannot be used",
}
"""descriptions for people"""
LASTING_SOURCES = frozenset({LimitSource.HARDWARE, LimitSource.CABLE})
"""limits of an EVSE that do not end by themselves: a composite schedule includes them (K08)"""


class Limit(Frozen):
    """At most `current_a` amperes on each phase since `since`, because of `source`.

    The tightest one is reported as the reason for the current, in this form everywhere: status, log, MQTT and OCPP.
    """

    current_a: float
    source: LimitSource
    since: datetime
    next_change: datetime | None = None
    """when the limit may change next, if known"""
    by: str | None = None
    """who set it, if there are several: the name of a peer, the kind of a profile"""

    @property
    def source_text(self) -> str:
        """The source as text for people."""
        return SOURCE_TEXTS[self.source] if self.by is None else f"{SOURCE_TEXTS[self.source]} ({self.by})"


def tightest(limits: Iterable[Limit]) -> Limit | None:
    """Return the limit that applies: the smallest, the first of equals; None if there is none."""
    return min(limits, key=lambda limit: limit.current_a, default=None)


def floor_tenths(current_a: float) -> float:
    """Round down to 0.1 A, the resolution of a pilot."""
    return math.floor(current_a * 10.0 + 1e-6) / 10.0


def tenths(current_a: float) -> float:
    """Round to 0.1 A, as currents of the house are shown; never −0."""
    return round(current_a, 1) + 0.0


class LimitValues(TypedDict):
    """A limit in plain JSON values, as API and MQTT publish it."""

    source: str
    """the kind of limit, such as `hardware`, `selector`, `grid`, `user` or `charging-profile`"""
    words: str
    """the source as a sentence in English, for people"""
    by: str | None
    """who set it, such as the name of an energy manager; null: not known, or nobody"""
    current_a: float
    """the highest current that it allows the EVSE, amperes per phase; 0: no charging"""
    since: str
    """when this limit took this value (ISO 8601, UTC)"""
    next_change: str | None
    """when it will change next (ISO 8601, UTC); null: not known"""


def limit_to_json(limit: Limit) -> LimitValues:
    """Convert a limit to plain JSON values."""
    return {
        "source": limit.source.value,
        "words": limit.source_text,
        "by": limit.by,
        "current_a": limit.current_a,
        "since": limit.since.isoformat(),
        "next_change": limit.next_change.isoformat() if limit.next_change is not None else None,
    }
