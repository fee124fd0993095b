"""Quantities of meter registers: the values of a `Reading`, by name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Final

from metering.reading import Phases, Reading


class Quantity(StrEnum):
    """A quantity that a register holds: one value of a `Reading`, named after its field and unit there."""

    IMPORT = "energy_import_wh"
    EXPORT = "energy_export_wh"
    POWER = "power_w"
    CURRENT_L1 = "currents_a.l1"
    CURRENT_L2 = "currents_a.l2"
    CURRENT_L3 = "currents_a.l3"
    VOLTAGE_L1 = "voltages_v.l1"
    VOLTAGE_L2 = "voltages_v.l2"
    VOLTAGE_L3 = "voltages_v.l3"
    POWER_L1 = "powers_w.l1"
    POWER_L2 = "powers_w.l2"
    POWER_L3 = "powers_w.l3"
    FREQUENCY = "frequency_hz"
    IMPORT_L1 = "energies_import_wh.l1"
    IMPORT_L2 = "energies_import_wh.l2"
    IMPORT_L3 = "energies_import_wh.l3"
    EXPORT_L1 = "energies_export_wh.l1"
    EXPORT_L2 = "energies_export_wh.l2"
    EXPORT_L3 = "energies_export_wh.l3"
    REACTIVE_POWER = "reactive_power_var"
    REACTIVE_POWER_L1 = "reactive_powers_var.l1"
    REACTIVE_POWER_L2 = "reactive_powers_var.l2"
    REACTIVE_POWER_L3 = "reactive_powers_var.l3"
    POWER_FACTOR = "power_factor"
    POWER_FACTOR_L1 = "power_factors.l1"
    POWER_FACTOR_L2 = "power_factors.l2"
    POWER_FACTOR_L3 = "power_factors.l3"
    REACTIVE_IMPORT = "reactive_import_varh"
    REACTIVE_EXPORT = "reactive_export_varh"
    APPARENT = "apparent_vah"


CURRENTS: Final = Phases(Quantity.CURRENT_L1, Quantity.CURRENT_L2, Quantity.CURRENT_L3)
VOLTAGES: Final = Phases(Quantity.VOLTAGE_L1, Quantity.VOLTAGE_L2, Quantity.VOLTAGE_L3)
POWERS: Final = Phases(Quantity.POWER_L1, Quantity.POWER_L2, Quantity.POWER_L3)
IMPORTS: Final = Phases(Quantity.IMPORT_L1, Quantity.IMPORT_L2, Quantity.IMPORT_L3)
EXPORTS: Final = Phases(Quantity.EXPORT_L1, Quantity.EXPORT_L2, Quantity.EXPORT_L3)
REACTIVE_POWERS: Final = Phases(Quantity.REACTIVE_POWER_L1, Quantity.REACTIVE_POWER_L2, Quantity.REACTIVE_POWER_L3)
POWER_FACTORS: Final = Phases(Quantity.POWER_FACTOR_L1, Quantity.POWER_FACTOR_L2, Quantity.POWER_FACTOR_L3)


def reading_of(value: Callable[[Quantity], float | None], taken_at: datetime) -> Reading:
    """Make a reading from a function that gives the value of each quantity; None: the meter does not report it."""
    return Reading(
        taken_at=taken_at,
        energy_import_wh=value(Quantity.IMPORT),
        energy_export_wh=value(Quantity.EXPORT),
        energies_import_wh=IMPORTS.map(value),
        energies_export_wh=EXPORTS.map(value),
        power_w=value(Quantity.POWER),
        currents_a=CURRENTS.map(value),
        voltages_v=VOLTAGES.map(value),
        powers_w=POWERS.map(value),
        frequency_hz=value(Quantity.FREQUENCY),
        reactive_power_var=value(Quantity.REACTIVE_POWER),
        reactive_powers_var=REACTIVE_POWERS.map(value),
        power_factor=value(Quantity.POWER_FACTOR),
        power_factors=POWER_FACTORS.map(value),
        reactive_import_varh=value(Quantity.REACTIVE_IMPORT),
        reactive_export_varh=value(Quantity.REACTIVE_EXPORT),
        apparent_vah=value(Quantity.APPARENT),
    )


def values_of(reading: Reading) -> dict[Quantity, float | None]:
    """The values of a reading by quantity: the inverse of `reading_of`."""
    return {
        Quantity.IMPORT: reading.energy_import_wh,
        Quantity.EXPORT: reading.energy_export_wh,
        Quantity.POWER: reading.power_w,
        Quantity.FREQUENCY: reading.frequency_hz,
        Quantity.REACTIVE_POWER: reading.reactive_power_var,
        Quantity.POWER_FACTOR: reading.power_factor,
        Quantity.REACTIVE_IMPORT: reading.reactive_import_varh,
        Quantity.REACTIVE_EXPORT: reading.reactive_export_varh,
        Quantity.APPARENT: reading.apparent_vah,
        **dict(zip(CURRENTS, reading.currents_a, strict=True)),
        **dict(zip(VOLTAGES, reading.voltages_v, strict=True)),
        **dict(zip(POWERS, reading.powers_w, strict=True)),
        **dict(zip(IMPORTS, reading.energies_import_wh, strict=True)),
        **dict(zip(EXPORTS, reading.energies_export_wh, strict=True)),
        **dict(zip(REACTIVE_POWERS, reading.reactive_powers_var, strict=True)),
        **dict(zip(POWER_FACTORS, reading.power_factors, strict=True)),
    }
