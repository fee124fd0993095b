"""The contract of what the whole station has one of: selector, jumpers, the flap that is watched, the shunt trip."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Literal, Protocol

from foundation.frozen import frozen
from station.core.hardware.board import BoardError

JumperPosition = Literal["1-2", "3-4", "5-6", "7-8", "9-10"]
"""the pins of the smart-meter port that its jumpers J1 and J2 connect"""


@frozen
class BackPlateView:
    """What can be seen of the back plate at one moment."""

    selector: str | None = None
    """the printed position of the current selector; None: it cannot be read"""
    jumpers: JumperPosition | None = None
    """where the jumpers of the smart-meter port stand; None: they cannot be read"""
    flap_open: bool = False
    """whether the SIM-card flap is open"""


UNKNOWN_BACK_PLATE = BackPlateView()
"""Before the first look."""


class BackPlate(Protocol):
    """Inputs and the one output that belong to no EVSE alone."""

    @property
    def view(self) -> BackPlateView:
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


class ConfiguredBackPlate:
    """A back plate that nothing can read: the installer has told what stands there, and it has no shunt trip."""

    def __init__(self, selector: str) -> None:
        self.view = BackPlateView(selector)

    async def views(self) -> AsyncGenerator[BackPlateView]:
        """What was told; it never changes."""
        yield self.view
        await asyncio.Event().wait()

    async def energise_shunt_trip(self, energised: bool) -> None:
        """There is none.

        Raises:
            BoardError: always, when it is to be energised.
        """
        if energised:
            raise BoardError("no shunt trip is wired")

    async def close(self) -> None:
        """There is nothing to let go of."""
