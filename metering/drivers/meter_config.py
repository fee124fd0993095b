"""The configuration of billing meters. A driver is registered by being a member of `MeterConfig`."""

from __future__ import annotations

from typing import TypeAlias

from metering.drivers.modbus import ModbusRtuMeterConfig, ModbusRtuOverTcpMeterConfig, ModbusTcpMeterConfig
from metering.drivers.simulated import SimulatedMeterConfig

MeterConfig: TypeAlias = (
    ModbusTcpMeterConfig | ModbusRtuMeterConfig | ModbusRtuOverTcpMeterConfig | SimulatedMeterConfig
)
"""The billing meter in the installation file; `type` selects the driver."""
