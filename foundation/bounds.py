"""The bounds of all quantities that peers send, and users and files set: one table.

A peer may send any number or date that its protocol can write, such as the highest double for "no limit". The types at
the borders (OCPP messages, settings, the installation file, API, MQTT, meters) let only values within these bounds
reach the arithmetic: others are clipped for use and reported as given, or rejected. Within the bounds no sum, product
or conversion to local time overflows. They are far beyond what a station can meet, so that no sensible value is
refused; a border may be stricter.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from foundation.frozen import Frozen


class Bounds(Frozen):
    """The lowest and the highest value of a quantity, both included."""

    lowest: float
    highest: float

    def includes(self, value: float) -> bool:
        """Return whether a value is within the bounds; NaN is not."""
        return self.lowest <= value <= self.highest

    def clip(self, value: float) -> float:
        """Return the value itself, or the nearest bound; NaN, of which nothing is known, gives the lowest."""
        if self.lowest <= value <= self.highest:
            return value
        return self.highest if value > self.highest else self.lowest

    def check(self, value: float) -> float:
        """Return a value within the bounds unchanged.

        Raises:
            ValueError: it is outside, infinite or NaN; the message names the bounds.
        """
        if not self.includes(value):
            raise ValueError(f"must be between {self.lowest:g} and {self.highest:g}")
        return value

    def plausible(self, value: float | None) -> float | None:
        """Return a measured value that is within the bounds; None, as if not measured, for any other one."""
        return value if value is not None and self.includes(value) else None


class DateBounds(Frozen):
    """The first and the last moment that a date and time may be, both included and in UTC."""

    earliest: datetime
    latest: datetime

    def includes(self, moment: datetime) -> bool:
        """Return whether an aware moment is within the bounds."""
        return self.earliest <= moment <= self.latest

    def clip(self, moment: datetime) -> datetime:
        """Return the moment itself, or the nearest bound."""
        return min(max(moment, self.earliest), self.latest)

    def check(self, moment: datetime) -> datetime:
        """Return a moment within the bounds unchanged.

        Raises:
            ValueError: it is outside; the message names the years.
        """
        if not self.includes(moment):
            raise ValueError(f"must be a date in the years {self.earliest.year} to {self.latest.year}")
        return moment


CURRENT_A: Final = Bounds(-100_000.0, 100_000.0)
"""amperes per phase; negative: fed into the grid"""
POWER_W: Final = Bounds(-10_000_000.0, 10_000_000.0)
"""watts of all phases together; divided by the nominal voltage they are within `CURRENT_A`"""
CONNECTION_A: Final = Bounds(0.0, 10_000.0)
"""amperes per phase of a grid connection, as a setting names them: more than low voltage has"""
VOLTAGE_V: Final = Bounds(0.0, 10_000.0)
ENERGY_WH: Final = Bounds(0.0, 1e12)
"""a register: ten digits of kilowatt-hours are fewer"""
DURATION_S: Final = Bounds(0.0, float(2**31 - 1))
"""seconds: 68 years, the highest integer of OCPP"""
RESISTANCE_OHM: Final = Bounds(0.0, 1e9)
MONEY: Final = Bounds(-1e9, 1e9)
"""units of the currency: a price per unit, or a sum"""
INTEGER: Final = Bounds(float(-(2**31)), float(2**31 - 1))
"""whole numbers of OCPP: 32 bits, with sign (part 2, primitive datatypes)"""
DATES: Final = DateBounds(datetime(2000, 1, 1, tzinfo=UTC), datetime(2199, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC))
"""Dates that a user or the CSMS sets, such as the next change of the clock.

A moment of the station's own clock may be earlier, since a clock without a battery starts in 1970; and a date that is
only compared, such as the end of a charging profile, may be any date that exists.
"""
