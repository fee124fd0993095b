"""The interface of the back plate, one per station: current selector, jumpers, flap contact, shunt trip."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Literal, Protocol

from foundation.frozen import Frozen
from foundation.waiting import Flag
from station.core.hardware.board import BoardError

JumperPosition = Literal["1-2", "3-4", "5-6", "7-8", "9-10"]
"""the pins of the smart-meter port that its jumpers J1 and J2 connect"""


class BackPlateView(Frozen):
    """Selector, jumpers and flap of the back plate, as read at one moment."""

    selector: str | None = None
    """the printed position of the current selector; None: unreadable"""
    jumpers: JumperPosition | None = None
    """the position of the jumpers of the smart-meter port; None: unreadable"""
    flap_open: bool = False
    """whether the SIM-card flap is open"""


UNKNOWN_BACK_PLATE = BackPlateView()
"""the state before the first reading"""


class BackPlate(Protocol):
    """Reads selector, jumpers and flap of a station, and switches its shunt trip; shared by its EVSEs."""

    @property
    def has_flap_contact(self) -> bool:
        """Whether a contact reports that the SIM-card flap is open; without one it always counts as closed."""
        ...

    @property
    def view(self) -> BackPlateView:
        """The last state read from the hardware, without reading it again."""
        ...

    def views(self) -> AsyncIterator[BackPlateView]:
        """Yield the current state at once and then after each change; an input that cannot be read is None."""
        ...

    async def energise_shunt_trip(self, energised: bool) -> None:
        """Energise or de-energise the shunt trip of the upstream breaker; idempotent.

        Raises:
            BoardError: it failed or could not be confirmed, or there is no such output.
        """
        ...

    async def close(self) -> None:
        """De-energise the shunt trip and release the hardware."""
        ...


class ConfiguredBackPlate:
    """A back plate without readable hardware: the installer configures the selector position; no shunt trip."""

    def __init__(self, selector: str) -> None:
        self.has_flap_contact = False
        self.view = BackPlateView(selector)

    async def views(self) -> AsyncGenerator[BackPlateView]:
        """Yield the configured state once; it never changes."""
        yield self.view
        await Flag().wait()

    async def energise_shunt_trip(self, energised: bool) -> None:
        """Reject energising, since there is no shunt trip.

        Raises:
            BoardError: always, if `energised` is true.
        """
        if energised:
            raise BoardError("the station has no shunt trip")

    async def close(self) -> None:
        """Do nothing: no hardware is open."""
