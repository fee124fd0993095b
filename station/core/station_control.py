"""Control over the station as a whole: restart and power."""

from __future__ import annotations

from typing import Protocol


class StationControl(Protocol):
    """Restarts one station of the process, or simulates a power cut of it; the process continues to run."""

    def restart(self) -> None:
        """Restart the station as after a local reset, with the currently stored site settings; returns at once."""
        ...

    async def wait_until_started(self) -> None:
        """Return once the station runs; after `restart` that is the station with the new settings."""
        ...

    async def cut_power(self) -> None:
        """Simulate a power cut: data not on disk is lost. Returns when the station has stopped."""
        ...

    async def restore_power(self) -> None:
        """End the simulated power cut. Returns when the station runs."""
        ...
