"""Reads the grid operator's dry contacts (EnWG §14a), debounced and supervised, and derives orders from them.

An uncertain state counts as an order: a contact that was not read yet, an input that fails and, if a second contact
is wired to detect it, a broken or shorted wire.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal, Protocol

from msgspec import Meta

from energy.grid import GridOrder, OrderReason
from energy.sources.grid_source_table import SIMULATED_DEVICE
from foundation.bounds import POWER_W
from foundation.device_table import DeviceTable, Resource, ResourceKind, TableKey
from foundation.table_definition import FINITE

if TYPE_CHECKING:
    from foundation.clock import Clock

_log = logging.getLogger(__name__)

_POLL_INTERVAL_S: Final = 0.1
MINIMUM_W: Final = 4200.0
"""power that every controllable device may always draw (BK6-22-300, annex 1)"""
_SIMULTANEITY_FACTORS: Final = {1: 0.0, 2: 0.80, 3: 0.75, 4: 0.70, 5: 0.65, 6: 0.60, 7: 0.55, 8: 0.50}
_MIN_SIMULTANEITY_FACTOR: Final = 0.45
"""simultaneity factor for nine devices and more"""


def minimum_w(devices: int) -> float:
    """Power that `devices` controllable devices behind one energy management system may always draw together, in W."""
    return MINIMUM_W + (devices - 1) * _SIMULTANEITY_FACTORS.get(devices, _MIN_SIMULTANEITY_FACTOR) * MINIMUM_W


class ContactPort(Protocol):
    """The inputs that the grid operator's contacts are wired to: GPIO lines, or simulated."""

    def read(self) -> tuple[bool, ...]:
        """Return whether each contact is closed: the contact for orders, then its opposite if wired. Blocks.

        Raises:
            OSError: the input device does not answer.
        """
        ...

    def close(self) -> None:
        """Release the inputs; does nothing if they are released already."""
        ...


class DryContactConfig(DeviceTable, kw_only=True):
    """[grid_order]: a contact for orders, on a GPIO of this machine; optionally its opposite, to supervise the wire."""

    packages: ClassVar[tuple[str, ...]] = ("gpiod",)
    type: Literal["dry-contact"]
    polarity: Annotated[Literal["closed-dims", "open-dims"], Meta(examples=["open-dims"])]
    """contact state that means an order: vendors differ, so there is no default; to be tested at commissioning"""
    chip: Annotated[str, Meta(min_length=1)] = "/dev/gpiochip0"
    """the GPIO chip, or `simulated`"""
    line: Annotated[int, Meta(ge=0, le=1023, examples=[17])]
    """line number of the contact on its chip"""
    opposite_line: Annotated[int, Meta(ge=0, le=1023, examples=[27])] | None = None
    """line of the opposite contact of a changeover relay: exactly one of the two is closed unless a wire is broken"""
    unsupervised: bool = False
    """accept "closed-dims" without `opposite_line`, although a broken wire then ends an order"""
    devices: Annotated[int, Meta(ge=1, le=100)] = 1
    """number of controllable devices of this station, which are its EVSEs; others, such as a heat pump, do not count"""
    limit_w: Annotated[float, Meta(ge=MINIMUM_W, le=POWER_W.highest, extra=FINITE, examples=[4200])] | None = None
    """power limit of an order as stated by the grid operator; computed from `devices` when absent"""
    debounce_s: Annotated[float, Meta(ge=0.1, le=2.0)] = 0.3
    """time for which a new state must last before it counts"""

    @property
    def ordered_w(self) -> float:
        """The power limit of an order for all devices together, in W: as stated, or the minimum for their number."""
        return self.limit_w if self.limit_w is not None else minimum_w(self.devices)

    @property
    def supervised(self) -> bool:
        """Whether a broken wire is detected, or opens the contact and so counts as an order."""
        return self.opposite_line is not None or self.polarity == "open-dims"

    @property
    def simulated_key(self) -> TableKey | None:
        """The chip, if it is the simulated one."""
        return ("chip",) if self.chip == SIMULATED_DEVICE else None

    @property
    def resources(self) -> tuple[Resource, ...]:
        """The GPIO lines of the contacts."""
        lines = {"line": self.line, "opposite_line": self.opposite_line}
        return tuple(
            Resource(ResourceKind.GPIO_LINE, (self.chip, line), (key,))
            for key, line in lines.items()
            if line is not None
        )

    def open(self, clock: Clock, port: ContactPort | None = None) -> DryContactSource:
        """Make the source; `port` replaces the GPIO lines, which are else requested at the first reading."""
        if not self.supervised:
            _log.warning(
                "the grid operator's contact is not supervised: a broken wire cannot be distinguished from no order"
            )
        lines = (self.line,) if self.opposite_line is None else (self.line, self.opposite_line)
        return DryContactSource(self, clock, port if port is not None else _gpio_contacts(Path(self.chip), lines))


class DryContactSource:
    """The grid operator's orders by a dry contact, which `orders` reads every 0.1 s and debounces."""

    def __init__(self, config: DryContactConfig, clock: Clock, port: ContactPort) -> None:
        self._config = config
        self._clock = clock
        self._port = port
        self._debounced_reason: OrderReason | None = OrderReason.NOT_READ_YET
        self._debounced_since: datetime = clock.now()
        self._last_reason: OrderReason | None = OrderReason.NOT_READ_YET
        self._last_reason_since_s = clock.monotonic()

    @property
    def order(self) -> GridOrder | None:
        """The order in force, else None; an order is in force until the contact has been read. Reads nothing itself."""
        if self._debounced_reason is None:
            return None
        return GridOrder(self._config.ordered_w, self._debounced_since, self._debounced_reason)

    async def orders(self) -> AsyncGenerator[GridOrder | None]:
        """Yield the order in force, then each change; reads the contacts meanwhile, and releases them at the end."""
        yield self.order
        try:
            while True:
                await self._clock.sleep(_POLL_INTERVAL_S)
                if self._update_contacts():
                    yield self.order
        finally:
            self._port.close()

    def _update_contacts(self) -> bool:
        """Read the contacts; returns whether the debounced state has changed."""
        reason, now_s = self._read_reason(), self._clock.monotonic()
        if reason is not self._last_reason:
            self._last_reason, self._last_reason_since_s = reason, now_s
        if reason is self._debounced_reason or now_s - self._last_reason_since_s < self._config.debounce_s:
            return False
        self._debounced_reason, self._debounced_since = reason, self._clock.now()
        return True

    def _read_reason(self) -> OrderReason | None:
        try:
            closed, *opposite = self._port.read()
        except OSError as error:
            if self._last_reason is not OrderReason.INPUT_FAILED:
                _log.warning(
                    "the input of the grid operator's contact cannot be read, which counts as an order: %s", error
                )
            return OrderReason.INPUT_FAILED
        if opposite and opposite[0] is closed:
            return OrderReason.WIRE_BROKEN
        return OrderReason.ORDERED if closed is (self._config.polarity == "closed-dims") else None


class _UnavailableContacts:
    """Contacts whose driver cannot be loaded: none can be read, so that an order is in force."""

    def __init__(self, error: ImportError) -> None:
        missing = isinstance(error, ModuleNotFoundError)
        self._reason = f"{error.name} is not installed" if missing else f"its driver cannot be loaded: {error}"

    def read(self) -> tuple[bool, ...]:
        """Refuse, as an input device that does not answer."""
        raise OSError(self._reason)

    def close(self) -> None:
        """Do nothing."""


def _gpio_contacts(chip: Path, lines: tuple[int, ...]) -> ContactPort:
    try:
        from energy.sources.gpio_contacts import GpioContacts  # late: gpiod
    except ImportError as error:  # stored settings must not stop a start; the installation file is checked before
        return _UnavailableContacts(error)
    return GpioContacts(chip, lines)
