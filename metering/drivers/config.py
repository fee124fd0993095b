"""The configuration of billing meters. A driver is registered by being a member of `MeterConfig`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from metering.drivers.modbus import ModbusRtuMeterConfig, ModbusRtuOverTcpMeterConfig, ModbusTcpMeterConfig
from metering.drivers.simulated import SimulatedMeterConfig

MeterConfig = Annotated[
    ModbusTcpMeterConfig | ModbusRtuMeterConfig | ModbusRtuOverTcpMeterConfig | SimulatedMeterConfig,
    Field(discriminator="type"),
]
"""The billing meter in the installation file; `type` selects the driver."""
