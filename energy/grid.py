"""What a house connection shows, and what asks it: the contract of every grid source."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from metering.reading import UNKNOWN, Phases


@dataclass(frozen=True, slots=True)
class GridSample:
    """One look at the house connection. What the source does not tell is None."""

    taken_at: datetime
    """when the values were true: the meter's own time where it gives one, else the time of reception"""
    currents_a: Phases[float | None] = UNKNOWN
    """amperes drawn from the grid per phase; negative when the source knows that it exports"""
    subscribed_current_a: float | None = None
    """amperes per phase that the contract allows, where the source tells"""
    apparent_power_va: float | None = None
    overrun: bool = False
    """the meter itself says that the subscribed power is exceeded"""
    tariff_period: str | None = None


class SourceError(Exception):
    """A grid source cannot be opened or read; the caller tries again later."""


class GridSource(Protocol):
    """Something that tells how much the house draws."""

    def samples(self) -> AsyncIterator[GridSample]:
        """Yield a sample whenever the source has a believable new one; never invents one.

        Raises:
            SourceError: the wire is gone. The caller waits and calls again.
        """
        ...
