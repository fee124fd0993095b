"""Readings of meters. A quantity that the meter did not report is None, never zero."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Final, Generic, TypeVar

from msgspec.structs import replace

from foundation.frozen import Frozen
from metering.time_quality import TimeStatus

T = TypeVar("T")
U = TypeVar("U")

_MILLIWATT_HOUR: Final = Decimal("0.001")


class Phases(Frozen, Generic[T]):
    """One value for each of L1, L2 and L3, as numbered at the device."""

    l1: T
    l2: T
    l3: T

    def __iter__(self) -> Iterator[T]:
        return iter((self.l1, self.l2, self.l3))

    def map(self, change: Callable[[T], U]) -> Phases[U]:
        """Return the results of a function for each of the three values."""
        return Phases(change(self.l1), change(self.l2), change(self.l3))

    @classmethod
    def all(cls, value: T) -> Phases[T]:
        """Make a value that is the same on each phase."""
        return Phases(value, value, value)


UNKNOWN_PHASES: Phases[float | None] = Phases(None, None, None)


class Reading(Frozen):
    """One reading of a meter; what it did not report is None. Powers: import is positive, export negative.

    Energies are the meter's registers, which only count up, not differences.
    """

    taken_at: datetime
    """when the station read it, UTC"""
    energy_import_wh: float | None = None
    energy_export_wh: float | None = None
    energies_import_wh: Phases[float | None] = UNKNOWN_PHASES
    """import registers per phase, if the meter has them besides the total"""
    energies_export_wh: Phases[float | None] = UNKNOWN_PHASES
    """export registers per phase"""
    power_w: float | None = None
    currents_a: Phases[float | None] = UNKNOWN_PHASES
    voltages_v: Phases[float | None] = UNKNOWN_PHASES
    powers_w: Phases[float | None] = UNKNOWN_PHASES
    frequency_hz: float | None = None
    reactive_power_var: float | None = None
    reactive_powers_var: Phases[float | None] = UNKNOWN_PHASES
    power_factor: float | None = None
    """as reported: makers differ in the meaning of its sign"""
    power_factors: Phases[float | None] = UNKNOWN_PHASES
    reactive_import_varh: float | None = None
    reactive_export_varh: float | None = None
    apparent_vah: float | None = None
    """apparent energy register, without direction"""

    def repeats(self, earlier: Reading) -> bool:
        """Return whether all values equal those of an earlier reading, as those of an idle meter do each second."""
        return replace(earlier, taken_at=self.taken_at) == self


class RegisterReading(Frozen):
    """The billing register at the begin or end of a transaction or tariff period, with the quality of its time."""

    energy_import_wh: float
    """the meter's import register, Wh since its manufacture, not since the begin of the transaction"""
    taken_at: datetime
    """when the meter was read, by the clock of the station"""
    time: TimeStatus = TimeStatus.UNKNOWN
    """how good that time is, as the letter of OCMF"""
    substitute: bool = False
    """the meter was silent: this is the last known value, not for billing"""


def exact_wh(energy_wh: float | None) -> Decimal | None:
    """Convert the value of a register, in watt-hours, to a decimal rounded to 0.001 Wh; None stays None."""
    return None if energy_wh is None else Decimal(repr(energy_wh)).quantize(_MILLIWATT_HOUR, ROUND_HALF_UP)
