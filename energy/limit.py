"""A limit on the current of an EVSE: how much, and why. No limit is None, never zero."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class LimitSource(StrEnum):
    """Who asks for the limit; the same words in the API, the log, on the light and on the page."""

    SELECTOR = "selector"
    """the current selector on the back plate"""
    HARDWARE = "hardware"
    """the rating of the EVSE"""
    CABLE = "cable"
    """the ampacity that the cable's proximity resistor tells"""
    GRID = "grid"
    """what the house leaves of the connection"""
    FAILSAFE = "failsafe"
    """the grid meter is silent"""
    CHARGING_PROFILE = "charging-profile"
    """an OCPP charging profile"""


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `current_a` amperes on each phase, since `since`, because of `source`."""

    current_a: float
    source: LimitSource
    since: datetime


def tightest(limits: Iterable[Limit]) -> Limit | None:
    """The limit that binds: the smallest, the first named of equals; None when there is none."""
    return min(limits, key=lambda limit: limit.current_a, default=None)
