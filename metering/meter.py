"""What the station asks of a meter, whatever wire it hangs on."""

from __future__ import annotations

from typing import Protocol

from metering.reading import Reading


class MeterError(Exception):
    """A meter gave no believable reading. `transient` says whether asking again may help."""

    def __init__(self, message: str, *, transient: bool = True) -> None:
        super().__init__(message)
        self.transient = transient


class Meter(Protocol):
    """A meter that can be read."""

    async def read(self) -> Reading:
        """Read everything that the meter gives, now.

        Raises:
            MeterError: silence, a broken frame, a value that cannot be.
        """
        ...

    async def close(self) -> None:
        """Let go of the wire; harmless when it is already let go."""
        ...
