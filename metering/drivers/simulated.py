"""A meter without a wire: it shows what the simulated circuit carries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from metering.drivers.quantities import reading_of
from metering.meter import MeterIdentity
from metering.reading import Reading


class SimulatedMeter:
    """A meter in this process. `show` gives the reading, or raises MeterError to simulate a failure."""

    def __init__(self, read_circuit: Callable[[], Reading], serial_number: Callable[[], str]) -> None:
        self._read_circuit = read_circuit
        self._serial_number = serial_number

    async def identity(self) -> MeterIdentity:
        """Which meter it pretends to be."""
        return MeterIdentity(self._serial_number())

    async def read(self) -> Reading:
        """What the circuit carries now."""
        return self._read_circuit()

    def example_reading(self) -> Reading:
        """It can show everything."""
        return reading_of(lambda quantity: 1.0, datetime.fromtimestamp(0, UTC))

    async def close(self) -> None:
        """There is no wire to let go of."""


class SimulatedMeterConfig(BaseModel):
    """The meter of a simulated circuit. It has no `open`: whoever simulates the circuit makes the meter."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    type: Literal["simulated"] = "simulated"
