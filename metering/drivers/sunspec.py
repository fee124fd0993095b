"""Finds the registers of SunSpec meters by walking their chain of models. No I/O: yields requests, receives words.

Source: the SunSpec models 201 to 204 (integers with exponents) and 211 to 214 (F32).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Final

from msgspec.structs import replace

from metering.drivers.quantities import CURRENTS, POWERS, VOLTAGES, Quantity
from metering.drivers.registers import MeterModel, NumberType, Register, RegisterBlock
from metering.drivers.serial_number import SerialNumber

_BASE_ADDRESSES: Final = (40000, 50000, 0)
_SUNSPEC_MARK: Final = (0x5375, 0x6E53)
"""the marker SunS at the start of the chain"""
_END_MODEL: Final = 0xFFFF
_COMMON_MODEL: Final = 1
"""the common model, with maker, model and serial number"""
_SERIAL_OFFSET: Final = 50
_SERIAL_WORDS: Final = 16
_MAX_MODELS: Final = 50
_READ_FUNCTION: Final = 3
_INTEGER_MODELS: Final = {201: 1, 202: 2, 203: 3, 204: 3}
_FLOAT_MODELS: Final = {211: 1, 212: 2, 213: 3, 214: 3}
"""number of phases of each model"""

QUANTITIES: Final = frozenset(
    {*CURRENTS, *VOLTAGES, *POWERS, Quantity.POWER, Quantity.FREQUENCY, Quantity.IMPORT, Quantity.EXPORT}
)
"""quantities that a SunSpec meter may report"""

Search = Generator[RegisterBlock, "Sequence[int] | None", "MeterModel | None"]


def search_models(placeholder: MeterModel) -> Search:
    """Search the register table of a SunSpec meter: yield blocks, receive their words (None: refused).

    Returns `placeholder` with the registers that were found; None if there is no meter model.
    """
    for base in _BASE_ADDRESSES:
        mark = yield RegisterBlock(_READ_FUNCTION, base, 2)
        if mark is not None and tuple(mark) == _SUNSPEC_MARK:
            found = yield from _walk_models(base + 2)
            if found is not None:
                return replace(placeholder, registers=found[0], readable=(found[1],), serial_number=found[2])
    return None


_FoundRegisters = tuple[tuple[Register, ...], range, SerialNumber | None]


def _walk_models(address: int) -> Generator[RegisterBlock, Sequence[int] | None, _FoundRegisters | None]:
    serial: SerialNumber | None = None
    for _ in range(_MAX_MODELS):
        head = yield RegisterBlock(_READ_FUNCTION, address, 2)
        if head is None or head[0] == _END_MODEL:
            return None
        model, length = head
        end = address + 2 + length
        if model == _COMMON_MODEL:
            serial = SerialNumber(_READ_FUNCTION, address + _SERIAL_OFFSET, _SERIAL_WORDS, is_text=True)
        if model in _INTEGER_MODELS or model in _FLOAT_MODELS:
            registers = (
                _integer_registers(address, _INTEGER_MODELS[model])
                if model in _INTEGER_MODELS
                else _float_registers(address, _FLOAT_MODELS[model])
            )
            return registers, range(address, end), serial
        address = end
    return None


def _integer_registers(start: int, phases: int) -> tuple[Register, ...]:
    def register_of(quantity: Quantity, offset: int, scale: int, type_: NumberType = NumberType.S16) -> Register:
        counter = type_ is NumberType.U32
        return Register(
            quantity, _READ_FUNCTION, start + offset, type_, exponent_at=start + scale, zero_is_unknown=counter
        )

    return (
        *(register_of(quantity, 3 + at, 6) for at, quantity in enumerate(list(CURRENTS)[:phases])),
        *(register_of(quantity, 8 + at, 15) for at, quantity in enumerate(list(VOLTAGES)[:phases])),
        register_of(Quantity.FREQUENCY, 16, 17),
        register_of(Quantity.POWER, 18, 22),
        *(register_of(quantity, 19 + at, 22) for at, quantity in enumerate(list(POWERS)[:phases])),
        register_of(Quantity.EXPORT, 38, 54, NumberType.U32),
        register_of(Quantity.IMPORT, 46, 54, NumberType.U32),
    )


def _float_registers(start: int, phases: int) -> tuple[Register, ...]:
    def register_of(quantity: Quantity, offset: int) -> Register:
        return Register(quantity, _READ_FUNCTION, start + offset, NumberType.F32)

    return (
        *(register_of(quantity, 4 + 2 * at) for at, quantity in enumerate(list(CURRENTS)[:phases])),
        *(register_of(quantity, 12 + 2 * at) for at, quantity in enumerate(list(VOLTAGES)[:phases])),
        register_of(Quantity.FREQUENCY, 26),
        register_of(Quantity.POWER, 28),
        *(register_of(quantity, 30 + 2 * at) for at, quantity in enumerate(list(POWERS)[:phases])),
        register_of(Quantity.EXPORT, 60),
        register_of(Quantity.IMPORT, 68),
    )
