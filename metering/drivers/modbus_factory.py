"""Creates the driver of a configured Modbus meter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metering.drivers.em580 import Em580
from metering.drivers.modbus_meter import IdentifiedModbusMeter, ModbusMeter, ModbusMeterOptions
from metering.drivers.models import EM580

if TYPE_CHECKING:
    from foundation.clock import Clock
    from metering.drivers.bus_registry import BusRegistry
    from metering.drivers.modbus import ModbusMeterConfig
    from metering.drivers.modbus_meter import Quantities
    from metering.meter import Meter


def create_modbus_meter(config: ModbusMeterConfig, clock: Clock, buses: BusRegistry, quantities: Quantities) -> Meter:
    """Create the driver, not connected yet; `quantities` selects what is read; None: what charging needs.

    Raises:
        MeterError: another meter uses the same wire with other settings.
    """
    options = ModbusMeterOptions(config.unit_in_use, config.timeout_s, config.invert, config.invert_power)
    bus = buses.bus_for(config.endpoint)
    if config.model == EM580 and quantities is None:
        return Em580(config.table, bus, options, clock)
    # With selected quantities the meter's identity is not needed.
    identified = quantities is None and (config.table.serial_number is not None or config.model == "sunspec")
    kind = IdentifiedModbusMeter if identified else ModbusMeter
    return kind(config.table, bus, options, clock, quantities)
