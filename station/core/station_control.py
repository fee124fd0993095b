"""Control over the station as a whole: restart and power."""

from __future__ import annotations

from typing import Protocol


class StationControl(Protocol):
    """Restarts one station and cuts its power, while the process around it goes on."""

    def restart(self) -> None:
        """Restart the station as after a local reset, with the site settings that are stored now; returns at once."""
        ...

    async def wait_until_started(self) -> None:
        """Wait until the station runs; after `restart` that is the station with the new settings."""
        ...

    async def cut_power(self) -> None:
        """Cut the power: what is not on disk is lost. Returns when nothing of the station runs."""
        ...

    async def restore_power(self) -> None:
        """Restore the power. Returns when the station runs."""
        ...
