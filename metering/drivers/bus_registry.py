"""The Modbus wires in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foundation.byte_tap import ByteTap
from metering.meter import MeterError

if TYPE_CHECKING:
    from metering.drivers.bus import Bus
    from metering.drivers.endpoints import ModbusEndpoint


class BusRegistry:
    """Keeps one Modbus client (`Bus`) for each wire in use, so that all devices on a wire share it."""

    def __init__(self) -> None:
        self._buses: dict[str, Bus] = {}
        self.tap = ByteTap()
        """recorder for the bytes on these wires, and on those of meters that only send"""

    def bus_for(self, endpoint: ModbusEndpoint) -> Bus:
        """Return the client of a wire, made at first use; connects nothing.

        Raises:
            MeterError: another meter uses the same wire with other settings.
        """
        from metering.drivers.bus import Bus  # late: pymodbus

        bus = self._buses.setdefault(endpoint.address, Bus(endpoint, self.tap))
        if bus.endpoint.settings != endpoint.settings:
            raise MeterError(
                f"{endpoint.address}: two meters need different settings: "
                f"{bus.endpoint.settings} and {endpoint.settings}",
                transient=False,
            )
        return bus
