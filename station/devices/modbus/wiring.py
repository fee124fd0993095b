"""One EVSE controller on Modbus: which kind, and where it is reached."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from metering.drivers.bus import Wire, serial_wire, tcp_wire
from metering.drivers.registers import SerialLine
from station.devices.modbus.controllers import CONTROLLERS, Controller, ControllerName


class ModbusEvse(BaseModel):
    """[[board.evse]]: one controller, in the order of [[evse]]. What is absent is its factory setting."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    model: ControllerName
    host: Annotated[str, Field(min_length=1)] | None = None
    port: Annotated[int, Field(ge=1, le=65535)] = 502
    rtu_over_tcp: bool = False
    """behind a transparent serial server: RTU frames in a TCP stream"""
    device: Annotated[str, Field(min_length=1)] | None = None
    """path of the serial device, in place of host"""
    baud: Annotated[int, Field(ge=300, le=1_000_000)] | None = None
    parity: Literal["N", "E", "O"] | None = None
    stop_bits: Literal[1, 2] | None = None
    unit: Annotated[int, Field(ge=0, le=255)] | None = None
    timeout_s: Annotated[float, Field(gt=0.0, le=5.0)] = 1.0

    @model_validator(mode="after")
    def _has_one_wire(self) -> ModbusEvse:
        if (self.host is None) is (self.device is None):
            raise ValueError("needs host or device, one of them")
        return self

    @property
    def controller(self) -> Controller:
        """Its table."""
        return CONTROLLERS[self.model]

    @property
    def wire(self) -> Wire:
        """How it is reached."""
        if self.host is not None:
            return tcp_wire(self.host, self.port, rtu=self.rtu_over_tcp)
        factory = self.controller.line
        line = SerialLine(self.baud or factory.baud, self.parity or factory.parity, self.stop_bits or factory.stop_bits)
        return serial_wire(self.device or "", line)
