"""Register tables, and the conversion between registers and readings. Pure.

Addresses are those on the wire. The tables themselves are in models.py.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Literal

from msgspec.structs import replace

from foundation.frozen import Frozen
from metering.drivers.quantities import CURRENTS, POWERS, Quantity, reading_of, values_of
from metering.drivers.serial_number import SerialNumber
from metering.reading import Reading

RegisterAddress = tuple[int, int]
"""function code and address on the wire"""
RegisterWords = Mapping[RegisterAddress, int]
"""16-bit words by register address"""


class NumberType(Enum):
    """Number type of a value in registers; each member's own value is the format character for `struct`."""

    U16 = "H"
    S16 = "h"
    U32 = "I"
    S32 = "i"
    U64 = "Q"
    S64 = "q"
    F32 = "f"
    F64 = "d"

    @property
    def layout(self) -> str:
        """The format for `struct`; the bytes inside a register are always big-endian."""
        return ">" + self.value

    @property
    def words(self) -> int:
        """Number of registers of the value."""
        return struct.calcsize(self.layout) // 2

    @property
    def is_float(self) -> bool:
        """Whether this is an IEEE 754 number; "not available" is then NaN."""
        return self.value in "fd"

    @property
    def span(self) -> tuple[int, int]:
        """The smallest and the largest integer of this type, which mean "not available"."""
        bits = 16 * self.words
        return (0, 2**bits - 1) if self.value.isupper() else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


class WordOrder(StrEnum):
    """Order of the registers of a value that takes several."""

    BIG = "big"
    """most significant register first"""
    LOW_FIRST = "low-first"
    """least significant register first"""


class Register(Frozen):
    """One value in a meter's registers: where and how it is stored.

    Number times `factor` is in V, A, W, Hz, Wh or the like.
    """

    quantity: Quantity
    function: int
    """3 (holding) or 4 (input)"""
    address: int
    type: NumberType
    word_order: WordOrder = WordOrder.BIG
    factor: Decimal = Decimal(1)
    exponent_at: int | None = None
    """address of a signed register with the exponent of a power of ten to multiply with (SunSpec)"""
    zero_is_unknown: bool = False
    """0 means that there is no such counter (SunSpec acc32)"""

    @property
    def end(self) -> int:
        """The first register address after the value."""
        return self.address + self.type.words

    @property
    def addresses(self) -> tuple[RegisterAddress, ...]:
        """The addresses of its words, most significant first."""
        places = tuple((self.function, address) for address in range(self.address, self.end))
        return places if self.word_order is WordOrder.BIG else places[::-1]


class SerialLine(Frozen):
    """Settings of a serial line with eight data bits."""

    baud: int
    parity: Literal["N", "E", "O"]
    stop_bits: Literal[1, 2]

    @property
    def silence_s(self) -> float:
        """Silence between two frames, in seconds: 3.5 characters (Modbus over serial line 2.5.1.1)."""
        return 3.5 * 11 / self.baud if self.baud <= 19200 else 0.00175

    def __str__(self) -> str:
        return f"{self.baud} 8{self.parity}{self.stop_bits}"


class MeterModel(Frozen):
    """The register table of a model of Modbus meter. Several registers of one quantity are added up: one per tariff."""

    name: str
    registers: tuple[Register, ...]
    """registers to read; empty: found by asking the meter (SunSpec)"""
    line: SerialLine
    """factory settings of the serial line"""
    optional_registers: tuple[Register, ...] = ()
    """registers that charging does not need and that some variants of the model lack: for samples only"""
    aliases: tuple[str, ...] = ()
    """other names of the model, and of models with the same registers"""
    either_function: bool = False
    """functions 3 and 4 read the same registers"""
    unit: int = 1
    """factory address on a serial line"""
    max_registers: int = 125
    """the most registers that one request may ask for"""
    serial_number: SerialNumber | None = None
    """None: not known where the meter reports it"""
    readable: tuple[range, ...] = ()
    """ranges of addresses that can be read without a gap, although not all are in the table"""

    @property
    def quantities(self) -> frozenset[Quantity]:
        """The quantities that such a meter can report, with the optional registers."""
        return frozenset(register.quantity for register in (*self.registers, *self.optional_registers))

    @property
    def phases(self) -> int:
        """Number of phases measured individually; 0: totals only."""
        known = self.quantities
        return sum(bool({current, power} & known) for current, power in zip(CURRENTS, POWERS, strict=True))


class RegisterBlock(Frozen):
    """Consecutive registers that are read with one Modbus request."""

    function: int
    address: int
    count: int


def plan_blocks(model: MeterModel, quantities: frozenset[Quantity] | None = None) -> tuple[RegisterBlock, ...]:
    """Plan the requests that read these quantities: few, none too long, none over a gap, no value split.

    Without `quantities`: all of the table except its optional registers.
    """
    if quantities is None:
        return _plan(model, model.registers)
    return _plan(
        model,
        [register for register in (*model.registers, *model.optional_registers) if register.quantity in quantities],
    )


def plan_optional_blocks(model: MeterModel) -> tuple[RegisterBlock, ...]:
    """Plan the requests that read the optional registers, any of which a meter may refuse."""
    return _plan(model, model.optional_registers)


def _plan(model: MeterModel, registers: Iterable[Register]) -> tuple[RegisterBlock, ...]:
    planned: list[RegisterBlock] = []
    for function, start, end in sorted(_address_spans(registers)):
        last = planned[-1] if planned else None
        if (
            last is not None
            and last.function == function
            and end - last.address <= model.max_registers
            and _can_read_across(model, last.address + last.count, start)
        ):
            planned[-1] = RegisterBlock(function, last.address, max(last.count, end - last.address))
        else:
            planned.append(RegisterBlock(function, start, end - start))
    return tuple(planned)


def _address_spans(registers: Iterable[Register]) -> set[tuple[int, int, int]]:
    """Function, first address, and end address of every value and of every exponent."""
    spans = {(register.function, register.address, register.end) for register in registers}
    exponents = {
        (register.function, register.exponent_at) for register in registers if register.exponent_at is not None
    }
    return spans | {(function, address, address + 1) for function, address in exponents}


def _can_read_across(model: MeterModel, end: int, start: int) -> bool:
    gap = range(end, start)
    return not gap or any(gap[0] in run and gap[-1] in run for run in model.readable)


def decode(model: MeterModel, registers: RegisterWords, taken_at: datetime) -> Reading:
    """Decode registers to a reading. A missing word, NaN, infinity and "not available" give None."""
    totals: dict[Quantity, Decimal | None] = {}
    for register in (*model.registers, *model.optional_registers):
        value = _decode_number(register, registers)
        total = totals.get(register.quantity, Decimal(0))
        totals[register.quantity] = None if value is None or total is None else total + value

    def known(quantity: Quantity) -> float | None:
        total = totals.get(quantity)
        return None if total is None or math.isinf(float(total)) else float(total)

    # The only phase of a single-phase meter is the total.
    only_phase = model.phases == 1 and Quantity.POWER not in totals
    return reading_of(
        lambda quantity: known(Quantity.POWER_L1 if only_phase and quantity is Quantity.POWER else quantity), taken_at
    )


def encode(model: MeterModel, reading: Reading) -> dict[RegisterAddress, int]:
    """Encode a reading to the registers of a meter, to simulate it: the inverse of `decode`, within their resolution.

    Of registers that are added up the first gets the value, the others zero. Optional registers without a value
    are left out.

    Raises:
        ValueError: a value does not fit in its register; the message names both.
    """
    values = values_of(reading)
    written: set[Quantity] = set()
    words: dict[RegisterAddress, int] = {}
    present = [register for register in model.optional_registers if values[register.quantity] is not None]
    for register in (*model.registers, *present):
        value = values[register.quantity]
        if value is not None and register.quantity in written:
            value = 0.0
        written.add(register.quantity)
        words.update(zip(register.addresses, _encode_number(register, value), strict=True))
    return words


def swap_direction(reading: Reading) -> Reading:
    """Return the reading of a meter mounted in reverse with import and export swapped, and powers negated.

    Currents are unchanged: these meters report their magnitude.
    """
    return replace(
        negate_powers(reading),
        energy_import_wh=reading.energy_export_wh,
        energy_export_wh=reading.energy_import_wh,
        energies_import_wh=reading.energies_export_wh,
        energies_export_wh=reading.energies_import_wh,
        reactive_import_varh=reading.reactive_export_varh,
        reactive_export_varh=reading.reactive_import_varh,
    )


def negate_powers(reading: Reading) -> Reading:
    """Return the reading with negated powers: some meters invert their sign, but count correctly (SolarEdge)."""
    return replace(
        reading,
        power_w=_negated(reading.power_w),
        powers_w=reading.powers_w.map(_negated),
        reactive_power_var=_negated(reading.reactive_power_var),
        reactive_powers_var=reading.reactive_powers_var.map(_negated),
    )


def mismatch(model: MeterModel, reading: Reading) -> str | None:
    """The reason why this reading cannot come from such a meter on a live grid; None if it can.

    A wrong word order or a wrong table shows at once in the frequency and the voltages. A phase that is not
    connected has no voltage, but at least one must supply the meter.
    """
    if reading.frequency_hz is not None and not 45.0 <= reading.frequency_hz <= 65.0:
        return f"shows {reading.frequency_hz:g} Hz, so the model is not {model.name}"
    voltages = [voltage for voltage in reading.voltages_v if voltage is not None]
    if voltages and not any(80.0 <= voltage <= 300.0 for voltage in voltages):
        listed_voltages = ", ".join(f"{voltage:g}" for voltage in voltages)
        return f"shows {listed_voltages} V, so the model is not {model.name}"
    return None


def _negated(value: float | None) -> float | None:
    return None if value is None else 0.0 - value  # zero has no sign here


def _decode_number(register: Register, registers: RegisterWords) -> Decimal | None:
    """Decode the exact value of a register, in the unit of its quantity; None if not available."""
    if any(place not in registers for place in register.addresses):
        return None
    raw = b"".join(registers[place].to_bytes(2, "big") for place in register.addresses)
    number: float = struct.unpack(register.type.layout, raw)[0]
    if register.type.is_float:
        return shortest_decimal(register.type, number, raw) * register.factor if math.isfinite(number) else None
    # ABB B23, Carlo Gavazzi: the largest number means "not available"; Schneider, SunSpec: the smallest.
    smallest, largest = register.type.span
    unavailable = number == largest or (smallest < 0 and number == smallest)
    unavailable |= register.zero_is_unknown and number == 0
    scale = _scale_factor(register, registers)
    return None if unavailable or scale is None else Decimal(number) * register.factor * scale


def _scale_factor(register: Register, registers: RegisterWords) -> Decimal | None:
    """The power of ten of a value; None if its exponent is invalid (SunSpec: -10 to 10)."""
    if register.exponent_at is None:
        return Decimal(1)
    word = registers.get((register.function, register.exponent_at))
    if word is None:
        return None
    exponent = word - 0x10000 if word & 0x8000 else word
    return Decimal(10) ** exponent if -10 <= exponent <= 10 else None


def shortest_decimal(type_: NumberType, number: float, raw: bytes) -> Decimal:
    """The shortest decimal with the binary representation `raw` of `number`: 230.1, not 230.10000610351562."""
    if type_ is NumberType.F32:
        for digits in (6, 7, 8):
            text = f"{number:.{digits}g}"
            if struct.pack(type_.layout, float(text)) == raw:
                return Decimal(text)
        return Decimal(f"{number:.9g}")  # nine digits distinguish all F32 numbers
    return Decimal(repr(number))


def _encode_number(register: Register, value: float | None) -> Sequence[int]:
    type_ = register.type
    smallest, largest = (0, 0) if type_.is_float else type_.span
    if value is None:
        raw = struct.pack(type_.layout, math.nan if type_.is_float else largest)
    elif not math.isfinite(value):
        raise ValueError(f"{register.quantity}: {value} is not a finite number")
    else:
        number = Decimal(repr(value)) / register.factor
        try:
            raw = struct.pack(type_.layout, float(number) if type_.is_float else _to_words_integer(number, largest))
        except (struct.error, OverflowError):
            limits = "" if type_.is_float else f" ({smallest} to {largest - 1} x {register.factor})"
            raise ValueError(f"{register.quantity}: {value} does not fit in {type_.name}{limits}") from None
    return [int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2)]


def _to_words_integer(number: Decimal, largest: int) -> int:
    rounded = int(number.to_integral_value())
    if rounded == largest:
        raise OverflowError("the largest number is reserved for: not available")
    return rounded
