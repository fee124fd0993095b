"""Creates the driver of a Modbus meter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metering.drivers.em580 import Em580
from metering.drivers.modbus_meter import IdentifiedModbusMeter, ModbusMeter
from metering.drivers.models import EM580

if TYPE_CHECKING:
    from foundation.clock import Clock
    from metering.drivers.bus import Bus
    from metering.drivers.endpoints import ModbusMeterOptions
    from metering.drivers.modbus_meter import Quantities
    from metering.drivers.registers import MeterModel


def create_modbus_meter(
    name: str, model: MeterModel, bus: Bus, options: ModbusMeterOptions, clock: Clock, quantities: Quantities
) -> ModbusMeter:
    """Create the driver of a meter, not connected yet.

    `name`: that of its model in the installation file. `quantities` selects what is read; None: what charging needs.
    """
    if name == EM580 and quantities is None:
        return Em580(model, bus, options, clock)
    # With selected quantities the meter's identity is not needed.
    identified = quantities is None and (model.serial_number is not None or name == "sunspec")
    kind = IdentifiedModbusMeter if identified else ModbusMeter
    return kind(model, bus, options, clock, quantities)
