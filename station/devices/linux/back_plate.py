"""The back plate on GPIO lines of a Linux machine: current selector, jumpers, flap, and shunt trip."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Final, Protocol

from station.core.hardware.back_plate import UNKNOWN_BACK_PLATE, BackPlateView
from station.core.hardware.board import BoardError
from station.devices.linux.gpio import GpioLines

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.core.hardware.back_plate import JumperPosition
    from station.devices.linux.gpio import RequestLines
    from station.devices.linux.wiring import GpioLine, JumperWiring, SelectorWiring

_log = logging.getLogger(__name__)

_POLL_S: Final = 0.2
_JUMPERS: tuple[JumperPosition, ...] = ("1-2", "3-4", "5-6", "7-8", "9-10")


class BackPlateWiring(Protocol):
    """The part of [board] that `LinuxBackPlate` reads: the lines shared by all EVSEs; None: not wired."""

    @property
    def selector(self) -> SelectorWiring | None:
        """The lines of the rotary current selector."""
        ...

    @property
    def jumpers(self) -> JumperWiring | None:
        """The lines that read the jumpers of the smart-meter port."""
        ...

    @property
    def flap(self) -> GpioLine | None:
        """The contact of the SIM-card flap, active while it is open."""
        ...

    @property
    def shunt_trip(self) -> GpioLine | None:
        """The output that energises the coil, which trips the upstream breaker."""
        ...


class LinuxBackPlate:
    """The `BackPlate` on GPIO lines; a change counts once two readings in a row agree, as a switch may be turning."""

    def __init__(self, wiring: BackPlateWiring, clock: Clock, request_lines: RequestLines | None = None) -> None:
        selector, jumpers = wiring.selector, wiring.jumpers
        self._positions = selector.positions if selector is not None else ()
        self._selector_inputs = (
            [f"selector-{bit}" for bit in range(len(selector.lines))] if selector is not None else []
        )
        self._jumper_inputs = [f"jumpers-{position}" for position in _JUMPERS] if jumpers is not None else []
        self._lines = GpioLines(
            {
                "flap": wiring.flap,
                **dict(zip(self._selector_inputs, selector.lines if selector is not None else (), strict=True)),
                **dict(zip(self._jumper_inputs, jumpers.lines if jumpers is not None else (), strict=True)),
            },
            {"shunt-trip": wiring.shunt_trip},
            request_lines,
        )
        self._clock = clock
        self._failing = False
        self._energised = False
        """the last state ordered for the shunt trip"""
        self.view = UNKNOWN_BACK_PLATE

    @property
    def has_flap_contact(self) -> bool:
        """Whether the contact of the SIM-card flap is wired."""
        return self._lines.has("flap")

    async def views(self) -> AsyncGenerator[BackPlateView]:
        """Read the inputs every 0.2 s; yield their state, also as `view`, at once and after each change.

        Inputs that cannot be read are None, the flap stays as last seen; the failure is logged, not raised.
        """
        previous = self.view = self._observe()
        yield self.view
        while True:
            await self._clock.sleep(_POLL_S)
            current = self._observe()
            if current == previous and current != self.view:
                self.view = current
                yield current
            previous = current

    async def energise_shunt_trip(self, energised: bool) -> None:
        """Energise the shunt trip, which trips the upstream breaker, or de-energise it.

        Raises:
            BoardError: no shunt trip is wired, or its line fails.
        """
        if not self._lines.has("shunt-trip"):
            raise BoardError("no shunt trip is configured")
        self._energised = energised
        try:
            self._lines.write("shunt-trip", energised)
        except OSError as error:
            raise BoardError(f"shunt trip: {error}") from error

    async def close(self) -> None:
        """De-energise the shunt trip, and release the lines.

        Raises:
            BoardError: the GPIO chip fails.
        """
        try:
            self._lines.close()
        except OSError as error:
            raise BoardError(f"{error}") from error

    def _observe(self) -> BackPlateView:
        try:
            active = self._lines.read()
            if self._failing and self._energised:  # newly requested lines start inactive
                self._lines.write("shunt-trip", True)
        except OSError as error:
            if not self._failing:
                _log.error("the back plate cannot be read: %s", error)
            self._failing = True
            return BackPlateView(flap_open=self.view.flap_open)  # a read failure must not raise or clear a tamper alarm
        self._failing = False
        index = sum(1 << bit for bit, name in enumerate(self._selector_inputs) if name in active)
        known = bool(self._selector_inputs) and index < len(self._positions)
        active_positions: list[JumperPosition] = [
            position for position, name in zip(_JUMPERS, self._jumper_inputs, strict=False) if name in active
        ]
        return BackPlateView(
            selector=self._positions[index] if known else None,
            jumpers=active_positions[0] if len(active_positions) == 1 else None,
            flap_open="flap" in active,
        )
