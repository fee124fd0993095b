"""Interface for the reliability of the station's clock, for time-stamped records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from metering.time_quality import TimeStatus


class TimeStatusSource(Protocol):
    """Reports how reliable the station's clock is."""

    @property
    def status(self) -> TimeStatus:
        """The current reliability of the clock, as OCMF time status."""
        ...
