"""A simulated meter in this process: it reports the currents of the simulated circuit."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import ClassVar, Literal

from foundation.device_table import DeviceTable, TableKey
from metering.drivers.quantities import reading_of
from metering.meter import MeterIdentity
from metering.reading import Reading


class SimulatedMeter:
    """The billing meter of a simulated EVSE. `read_circuit` returns the reading, or raises MeterError to fail."""

    def __init__(self, read_circuit: Callable[[], Reading], serial_number: Callable[[], str]) -> None:
        self._read_circuit = read_circuit
        self._serial_number = serial_number

    async def identity(self) -> MeterIdentity:
        """The simulated serial number."""
        return MeterIdentity(self._serial_number())

    async def read(self) -> Reading:
        """The present reading of the simulated circuit."""
        return self._read_circuit()

    def example_reading(self) -> Reading:
        """Make a reading with an invented value for every quantity: this meter reports all."""
        return reading_of(lambda quantity: 1.0, datetime.fromtimestamp(0, UTC))

    async def close(self) -> None:
        """Do nothing: there is no wire."""


class SimulatedMeterConfig(DeviceTable, tag_field="type", tag="simulated"):
    """The meter of a simulated circuit, which the simulator makes: it has no `open`."""

    type: ClassVar[Literal["simulated"]] = "simulated"

    @property
    def model_name(self) -> str:
        """The name of the model, for signed records."""
        return "simulated"

    @property
    def simulated_key(self) -> TableKey:
        """The table itself, which is the default of its key."""
        return ()
