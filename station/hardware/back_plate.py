"""The contract of what the whole station has one of: selector, jumpers, the flap that is watched, the shunt trip."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from station.jumpers import JumperPosition


@dataclass(frozen=True, slots=True)
class BackPlateView:
    """What can be seen of the back plate at one moment."""

    selector: str | None = None
    """the printed position of the current selector; None: it cannot be read"""
    jumpers: JumperPosition | None = None
    """where the jumpers of the smart-meter port stand; None: they cannot be read"""
    flap_open: bool = False
    """whether the SIM-card flap is open"""


NOTHING_READ = BackPlateView()
"""Before the first look."""


class BackPlate(Protocol):
    """Inputs and the one output that belong to no EVSE alone."""

    @property
    def seen(self) -> BackPlateView:
        """What was seen last."""
        ...

    def views(self) -> AsyncIterator[BackPlateView]:
        """Yield what is seen, first at once and then after each change; what cannot be read is seen as unreadable."""
        ...

    async def energise_shunt_trip(self, energised: bool) -> None:
        """Put the coil that trips the breaker upstream under voltage, or not; to repeat a state is harmless.

        Raises:
            BoardError: it was not, or not surely, done, or there is no such output.
        """
        ...

    async def close(self) -> None:
        """Let go of it, with the shunt trip at rest."""
        ...
