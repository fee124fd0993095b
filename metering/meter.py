"""What the station asks of a meter, whatever wire it hangs on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from metering.reading import Reading


class MeterError(Exception):
    """A meter gave no believable reading. `transient` says whether asking again may help."""

    def __init__(self, message: str, *, transient: bool = True) -> None:
        super().__init__(message)
        self.transient = transient


@dataclass(frozen=True, slots=True)
class MeterIdentity:
    """Which meter it is, as it says itself."""

    serial_number: str


@runtime_checkable
class IdentifiedMeter(Protocol):
    """A meter that tells which one it is."""

    async def identity(self) -> MeterIdentity:
        """Ask it, now.

        Raises:
            MeterError: silence, or a broken frame.
        """
        ...


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
