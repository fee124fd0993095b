"""How reliable the clock of the station is, for those who stamp and keep records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from metering.time_quality import TimeStatus


class TimeStatusSource(Protocol):
    """Judges how reliable the clock of the station is."""

    @property
    def status(self) -> TimeStatus:
        """How reliable the time is now."""
        ...
