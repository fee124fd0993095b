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

_BASES: Final = (40000, 50000, 0)
_MARK: Final = (0x5375, 0x6E53)
"""the marker SunS at the start of the chain"""
_END: Final = 0xFFFF
_COMMON: Final = 1
"""the common model, with maker, model and serial number"""
_SERIAL_AT: Final = 50
_SERIAL_WORDS: Final = 16
_LONGEST_CHAIN: Final = 50
_FUNCTION: Final = 3
_INTEGERS: Final = {201: 1, 202: 2, 203: 3, 204: 3}
_FLOATS: Final = {211: 1, 212: 2, 213: 3, 214: 3}
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
    for base in _BASES:
        mark = yield RegisterBlock(_FUNCTION, base, 2)
        if mark is not None and tuple(mark) == _MARK:
            found = yield from _walk(base + 2)
            if found is not None:
                return replace(placeholder, registers=found[0], readable=(found[1],), serial_number=found[2])
    return None


_Found = tuple[tuple[Register, ...], range, SerialNumber | None]


def _walk(address: int) -> Generator[RegisterBlock, Sequence[int] | None, _Found | None]:
    serial: SerialNumber | None = None
    for _ in range(_LONGEST_CHAIN):
        head = yield RegisterBlock(_FUNCTION, address, 2)
        if head is None or head[0] == _END:
            return None
        model, length = head
        end = address + 2 + length
        if model == _COMMON:
            serial = SerialNumber(_FUNCTION, address + _SERIAL_AT, _SERIAL_WORDS, is_text=True)
        if model in _INTEGERS or model in _FLOATS:
            registers = _integers(address, _INTEGERS[model]) if model in _INTEGERS else _floats(address, _FLOATS[model])
            return registers, range(address, end), serial
        address = end
    return None


def _integers(start: int, phases: int) -> tuple[Register, ...]:
    def one(quantity: Quantity, offset: int, scale: int, type_: NumberType = NumberType.S16) -> Register:
        counter = type_ is NumberType.U32
        return Register(quantity, _FUNCTION, start + offset, type_, exponent_at=start + scale, zero_is_unknown=counter)

    return (
        *(one(quantity, 3 + at, 6) for at, quantity in enumerate(list(CURRENTS)[:phases])),
        *(one(quantity, 8 + at, 15) for at, quantity in enumerate(list(VOLTAGES)[:phases])),
        one(Quantity.FREQUENCY, 16, 17),
        one(Quantity.POWER, 18, 22),
        *(one(quantity, 19 + at, 22) for at, quantity in enumerate(list(POWERS)[:phases])),
        one(Quantity.EXPORT, 38, 54, NumberType.U32),
        one(Quantity.IMPORT, 46, 54, NumberType.U32),
    )


def _floats(start: int, phases: int) -> tuple[Register, ...]:
    def one(quantity: Quantity, offset: int) -> Register:
        return Register(quantity, _FUNCTION, start + offset, NumberType.F32)

    return (
        *(one(quantity, 4 + 2 * at) for at, quantity in enumerate(list(CURRENTS)[:phases])),
        *(one(quantity, 12 + 2 * at) for at, quantity in enumerate(list(VOLTAGES)[:phases])),
        one(Quantity.FREQUENCY, 26),
        one(Quantity.POWER, 28),
        *(one(quantity, 30 + 2 * at) for at, quantity in enumerate(list(POWERS)[:phases])),
        one(Quantity.EXPORT, 60),
        one(Quantity.IMPORT, 68),
    )
