"""Register tables of the Modbus meters that the configuration may name, as data.

Adding a meter means adding a table and its name, nothing else. Addresses are those on the wire; each table names
its source.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import partial
from types import MappingProxyType
from typing import Final, Literal

from metering.drivers.quantities import (
    CURRENTS,
    EXPORTS,
    IMPORTS,
    POWER_FACTORS,
    POWERS,
    REACTIVE_POWERS,
    VOLTAGES,
    Quantity,
)
from metering.drivers.registers import MeterModel, NumberType, Register, SerialLine, WordOrder
from metering.drivers.serial_number import SerialNumber


def _registers_from(
    quantities: Quantity | Iterable[Quantity],
    address: int,
    type_: NumberType,
    factor: str = "1",
    *,
    function: int,
    word_order: WordOrder = WordOrder.BIG,
    step: int | None = None,
) -> Iterator[Register]:
    """Registers of one type from `address` on: consecutive, or `step` addresses apart."""
    for quantity in [quantities] if isinstance(quantities, Quantity) else quantities:
        yield Register(quantity, function, address, type_, word_order, Decimal(factor))
        address += type_.words if step is None else step


_eastron = partial(_registers_from, function=4)
_gavazzi = partial(_registers_from, function=4, word_order=WordOrder.LOW_FIRST)
_abb = partial(_registers_from, function=3)
_pac = partial(_registers_from, function=3)
_schneider = partial(_registers_from, function=3)
_inepro = partial(_registers_from, function=3)
_janitza = partial(_registers_from, function=3)
_shelly = partial(_registers_from, function=4, word_order=WordOrder.LOW_FIRST)

_S32, _F32, _S64, _F64 = NumberType.S32, NumberType.F32, NumberType.S64, NumberType.F64
# Eastron's Modbus protocol documents: holding register 464513, before the meter code. Old firmware has none.
_EASTRON_SERIAL: Final = SerialNumber(function=3, address=0xFC00, words=2)
# Carlo Gavazzi's communication protocols; dbus-modbus-client of Victron.
_GAVAZZI_SERIAL: Final = SerialNumber(function=3, address=0x5000, words=7, is_text=True)
# iEM3000 user manual: register 130.
_SCHNEIDER_SERIAL: Final = SerialNumber(function=3, address=129, words=2)
_8N1: Final = SerialLine(9600, "N", 1)
_IMPORT_AND_EXPORT: Final = (Quantity.IMPORT, Quantity.EXPORT)

ModelName = Literal[
    "abb-b23",
    "carlo-gavazzi-em112",
    "carlo-gavazzi-em24",
    "carlo-gavazzi-em24-e1",
    "carlo-gavazzi-em340",
    "carlo-gavazzi-em580",
    "eastron-sdm120",
    "eastron-sdm630",
    "eastron-sdm72d-m",
    "eastron-sdm72d-m-v2",
    "inepro-pro380",
    "janitza-b23",
    "janitza-umg",
    "schneider-iem3150",
    "schneider-iem3155",
    "shelly-pro-3em",
    "siemens-pac2200",
    "sunspec",
]

EM580: Final = "carlo-gavazzi-em580"

_GAVAZZI_BASE: Final = (
    *_gavazzi(VOLTAGES, 0x00, _S32, "0.1"),
    *_gavazzi(CURRENTS, 0x0C, _S32, "0.001"),
    *_gavazzi(POWERS, 0x12, _S32, "0.1"),
    *_gavazzi(Quantity.POWER, 0x28, _S32, "0.1"),
)
"""registers common to all three-phase meters of Carlo Gavazzi"""
_GAVAZZI_NEWER: Final = (
    *_GAVAZZI_BASE,
    *_gavazzi(Quantity.FREQUENCY, 0x33, NumberType.S16, "0.1"),
    *_gavazzi(Quantity.IMPORT, 0x34, _S32, "100"),
    *_gavazzi(Quantity.EXPORT, 0x4E, _S32, "100"),
)
"""registers common to those newer than the EM24-DIN"""
_SCHNEIDER_BASE: Final = (
    *_schneider(CURRENTS, 0x0BB7, _F32),
    *_schneider(VOLTAGES, 0x0BD3, _F32),
    *_schneider((*POWERS, Quantity.POWER), 0x0BED, _F32, "1000"),
    *_schneider(Quantity.FREQUENCY, 0x0C25, _F32),
    *_schneider(Quantity.IMPORT, 0x0C83, _S64),
)
_EASTRON_THREE_PHASES: Final = (
    *_eastron(VOLTAGES, 0x00, _F32),
    *_eastron(CURRENTS, 0x06, _F32),
    *_eastron(POWERS, 0x0C, _F32),
    *_eastron(Quantity.POWER, 0x34, _F32),
    *_eastron(Quantity.FREQUENCY, 0x46, _F32),
    *_eastron(_IMPORT_AND_EXPORT, 0x48, _F32, "1000"),
)

MODELS: Final[Mapping[ModelName, MeterModel]] = MappingProxyType(
    {
        # Eastron's Modbus protocol documents; mbmd meters/rs485/sdm*.go.
        "eastron-sdm630": MeterModel(
            name="Eastron SDM630",
            registers=_EASTRON_THREE_PHASES,
            optional_registers=(*_eastron(IMPORTS, 0x15A, _F32, "1000"), *_eastron(EXPORTS, 0x160, _F32, "1000")),
            line=_8N1,
            serial_number=_EASTRON_SERIAL,
            aliases=("sdm630",),
        ),
        "eastron-sdm72d-m-v2": MeterModel(
            name="Eastron SDM72D-M V2",
            registers=_EASTRON_THREE_PHASES,
            line=_8N1,
            serial_number=_EASTRON_SERIAL,
            aliases=("sdm72d-m v2", "sdm72v2"),
        ),
        # The first version has neither voltages nor currents: no limit per phase is possible with it.
        "eastron-sdm72d-m": MeterModel(
            name="Eastron SDM72D-M",
            registers=(
                *_eastron(Quantity.POWER, 0x34, _F32),
                *_eastron(_IMPORT_AND_EXPORT, 0x48, _F32, "1000"),
            ),
            line=_8N1,
            serial_number=_EASTRON_SERIAL,
            aliases=("sdm72d-m", "sdm72"),
        ),
        "eastron-sdm120": MeterModel(
            name="Eastron SDM120",
            registers=(
                *_eastron(VOLTAGES.l1, 0x00, _F32),
                *_eastron(CURRENTS.l1, 0x06, _F32),
                *_eastron(POWERS.l1, 0x0C, _F32),
                *_eastron(Quantity.FREQUENCY, 0x46, _F32),
                *_eastron(_IMPORT_AND_EXPORT, 0x48, _F32, "1000"),
            ),
            line=SerialLine(2400, "N", 1),
            serial_number=_EASTRON_SERIAL,
            aliases=("sdm120", "sdm220", "sdm230"),
        ),
        # mbmd meters/rs485; dbus-modbus-client of Victron. The energies of each phase are import.
        "carlo-gavazzi-em24": MeterModel(
            name="Carlo Gavazzi EM24-DIN",
            registers=(
                *_GAVAZZI_BASE,
                *_gavazzi(Quantity.FREQUENCY, 0x37, NumberType.S16, "0.1"),
                *_gavazzi(Quantity.IMPORT, 0x42, _S32, "100"),
                *_gavazzi(Quantity.EXPORT, 0x5C, _S32, "100"),
            ),
            optional_registers=tuple(_gavazzi(IMPORTS, 0x46, _S32, "100")),
            line=_8N1,
            aliases=("em24", "em24-din"),
            either_function=True,
            max_registers=50,
        ),
        # In application H only (holding register 0xA000 = 7), from firmware 1.8.3 on.
        "carlo-gavazzi-em24-e1": MeterModel(
            name="Carlo Gavazzi EM24-E1",
            registers=_GAVAZZI_NEWER,
            optional_registers=tuple(_gavazzi(IMPORTS, 0x40, _S32, "100")),
            line=_8N1,
            serial_number=_GAVAZZI_SERIAL,
            aliases=("em24-e1", "em24 ethernet", "carlo gavazzi em24 ethernet"),
            either_function=True,
            max_registers=50,
        ),
        "carlo-gavazzi-em340": MeterModel(
            name="Carlo Gavazzi EM340",
            registers=_GAVAZZI_NEWER,
            optional_registers=tuple(_gavazzi(IMPORTS, 0x40, _S32, "100")),
            line=_8N1,
            serial_number=_GAVAZZI_SERIAL,
            aliases=("em330", "em340", "et330", "et340", "em530", "em540"),
            either_function=True,
            max_registers=50,
        ),
        # The signing meter (em580.py), with the registers of the EM540.
        EM580: MeterModel(
            name="Carlo Gavazzi EM580",
            registers=_GAVAZZI_NEWER,
            optional_registers=tuple(_gavazzi(IMPORTS, 0x40, _S32, "100")),
            line=_8N1,
            serial_number=_GAVAZZI_SERIAL,
            aliases=("em580",),
            either_function=True,
            max_registers=50,
        ),
        "carlo-gavazzi-em112": MeterModel(
            name="Carlo Gavazzi EM112",
            registers=(
                *_gavazzi(VOLTAGES.l1, 0x00, _S32, "0.1"),
                *_gavazzi(CURRENTS.l1, 0x02, _S32, "0.001"),
                *_gavazzi(POWERS.l1, 0x04, _S32, "0.1"),
                *_gavazzi(Quantity.FREQUENCY, 0x0F, NumberType.S16, "0.1"),
                *_gavazzi(Quantity.IMPORT, 0x10, _S32, "100"),
                *_gavazzi(Quantity.EXPORT, 0x20, _S32, "100"),
            ),
            line=_8N1,
            serial_number=_GAVAZZI_SERIAL,
            aliases=("em111", "em112", "et112"),
            either_function=True,
            max_registers=50,
        ),
        # mbmd meters/rs485/abb.go.
        "abb-b23": MeterModel(
            name="ABB B23",
            registers=(
                *_abb(VOLTAGES, 0x5B00, NumberType.U32, "0.1"),
                *_abb(CURRENTS, 0x5B0C, NumberType.U32, "0.01"),
                *_abb((Quantity.POWER, *POWERS), 0x5B14, _S32, "0.01"),
                *_abb(Quantity.FREQUENCY, 0x5B2C, NumberType.U16, "0.01"),
                *_abb(_IMPORT_AND_EXPORT, 0x5000, NumberType.U64, "10"),
            ),
            optional_registers=(
                *_abb(Quantity.POWER_FACTOR, 0x5B3A, NumberType.S16, "0.001"),
                *_abb(IMPORTS, 0x5460, NumberType.U64, "10"),
                *_abb(EXPORTS, 0x546C, NumberType.U64, "10"),
            ),
            # No factory settings are documented: these are common, and must be set on the meter.
            line=SerialLine(19200, "E", 1),
            serial_number=SerialNumber(function=3, address=0x8900, words=2),
            aliases=("b21", "b23", "b24"),
        ),
        # iEM3000 user manual: its register numbers less one.
        "schneider-iem3155": MeterModel(
            name="Schneider iEM3155",
            registers=(*_SCHNEIDER_BASE, *_schneider(Quantity.EXPORT, 0x0C87, _S64)),
            optional_registers=tuple(_schneider(IMPORTS, 0x0DBD, _S64)),
            line=SerialLine(19200, "E", 1),
            serial_number=_SCHNEIDER_SERIAL,
            aliases=("iem3155", "iem3255", "iem3000"),
        ),
        "schneider-iem3150": MeterModel(
            name="Schneider iEM3150",
            registers=_SCHNEIDER_BASE,
            optional_registers=tuple(_schneider(IMPORTS, 0x0DBD, _S64)),
            line=SerialLine(19200, "E", 1),
            serial_number=_SCHNEIDER_SERIAL,
            aliases=("iem3150", "iem3250"),
        ),
        # PAC2200 manual, register appendix. A read that begins or ends inside a value is refused.
        "siemens-pac2200": MeterModel(
            name="Siemens PAC2200",
            registers=(
                *_pac(VOLTAGES, 1, _F32),
                *_pac(CURRENTS, 13, _F32),
                *_pac(POWERS, 25, _F32),
                *_pac(REACTIVE_POWERS, 31, _F32),
                *_pac(POWER_FACTORS, 37, _F32),
                *_pac(Quantity.FREQUENCY, 55, _F32),
                *_pac((Quantity.POWER, Quantity.REACTIVE_POWER, Quantity.POWER_FACTOR), 65, _F32),
                # Tariff 1 and tariff 2 of each direction. The copies in F32 at 2801 hold too few digits.
                *_pac((Quantity.IMPORT, Quantity.IMPORT), 801, _F64),
                *_pac((Quantity.EXPORT, Quantity.EXPORT), 809, _F64),
            ),
            optional_registers=(
                *_pac((Quantity.REACTIVE_IMPORT, Quantity.REACTIVE_IMPORT), 817, _F64),
                *_pac((Quantity.REACTIVE_EXPORT, Quantity.REACTIVE_EXPORT), 825, _F64),
                *_pac((Quantity.APPARENT, Quantity.APPARENT), 833, _F64),
                *_pac(IMPORTS, 841, _F64, step=40),
                *_pac(EXPORTS, 849, _F64, step=40),
            ),
            line=SerialLine(19200, "N", 2),
            aliases=("pac2200", "7km2200", "pac2200clp"),
            either_function=True,
            unit=126,
            readable=(range(1, 43), range(55, 73), range(801, 817)),
        ),
        # mbmd meters/rs485/inepro.go. Powers are kW, energies kWh.
        "inepro-pro380": MeterModel(
            name="inepro PRO380",
            registers=(
                *_inepro(VOLTAGES, 0x5002, _F32),
                *_inepro(CURRENTS, 0x500C, _F32),
                *_inepro((Quantity.POWER, *POWERS), 0x5012, _F32, "1000"),
                *_inepro(Quantity.IMPORT, 0x600C, _F32, "1000"),
                *_inepro(Quantity.EXPORT, 0x6018, _F32, "1000"),
            ),
            line=SerialLine(9600, "E", 1),
            aliases=("pro380",),
        ),
        # mbmd meters/rs485/janitza.go: UMG 96RM, 103, 604 and kin.
        "janitza-umg": MeterModel(
            name="Janitza UMG",
            registers=(
                *_janitza(VOLTAGES, 19000, _F32),
                *_janitza(CURRENTS, 19012, _F32),
                *_janitza((*POWERS, Quantity.POWER), 19020, _F32),
                *_janitza(Quantity.FREQUENCY, 19050, _F32),
                *_janitza(Quantity.IMPORT, 19068, _F32),
                *_janitza(Quantity.EXPORT, 19076, _F32),
            ),
            optional_registers=tuple(_janitza(IMPORTS, 19062, _F32)),
            line=SerialLine(38400, "N", 1),
            aliases=("umg", "umg604", "umg96rm", "umg103", "janitza umg"),
        ),
        "janitza-b23": MeterModel(
            name="Janitza B23",
            registers=(
                *_janitza(VOLTAGES, 0x4A38, _F32),
                *_janitza(CURRENTS, 0x4A44, _F32),
                *_janitza((*POWERS, Quantity.POWER), 0x4A4C, _F32),
                *_janitza(Quantity.FREQUENCY, 0x4A6A, _F32),
                *_janitza(Quantity.IMPORT, 0x4A7C, _F32),
                *_janitza(Quantity.EXPORT, 0x4A84, _F32),
            ),
            optional_registers=(*_janitza(IMPORTS, 0x4A76, _F32), *_janitza(EXPORTS, 0x4A7E, _F32)),
            line=_8N1,
            aliases=("janitza b21", "janitza b23", "janitza b24", "janitza b-series"),
        ),
        # Shelly component documentation, EM and EMData over Modbus. The energies are not netted over the phases.
        "shelly-pro-3em": MeterModel(
            name="Shelly Pro 3EM",
            registers=(
                *_shelly(Quantity.POWER, 1013, _F32),
                *_shelly(VOLTAGES, 1020, _F32, step=20),
                *_shelly(CURRENTS, 1022, _F32, step=20),
                *_shelly(POWERS, 1024, _F32, step=20),
                *_shelly(POWER_FACTORS, 1028, _F32, step=20),
                *_shelly(Quantity.FREQUENCY, 1033, _F32),
                *_shelly(_IMPORT_AND_EXPORT, 1162, _F32),
            ),
            optional_registers=(*_shelly(IMPORTS, 1182, _F32, step=20), *_shelly(EXPORTS, 1184, _F32, step=20)),
            line=_8N1,
            # The MAC address: there is no serial number.
            serial_number=SerialNumber(function=4, address=0, words=6, is_text=True),
            aliases=("shelly", "pro 3em", "shelly pro 3em"),
            readable=(range(1020, 1030), range(1040, 1050), range(1060, 1070)),
        ),
        # Any meter with SunSpec models 201 to 204 or 211 to 214: see sunspec.py.
        "sunspec": MeterModel(name="SunSpec meter", registers=(), line=_8N1, aliases=("sunspec",)),
    }
)
"""Every meter that the configuration may name."""


def find_model_name(text: str) -> ModelName | None:
    """Find the model that a text names: the longest name or alias that occurs in it decides; None if none occurs."""
    normalized = _letters_of(text)
    length, found = 0, None
    for name, model in MODELS.items():
        for alias in map(_letters_of, (name, model.name, *model.aliases)):
            if alias in normalized and len(alias) > length:
                length, found = len(alias), name
    return found


def _letters_of(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())
