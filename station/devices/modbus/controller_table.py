"""The register table of an EVSE controller on Modbus: its fields, without any table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec.structs import replace

from foundation.frozen import Frozen
from metering.drivers.registers import RegisterAddress, RegisterBlock, RegisterWords, SerialLine
from station.core.model import Fault, PilotState

REGISTERS_PER_POINT: Final = 1000
"""distance between the registers of the charging points of one group (CHARX)"""


class RegisterSetting(Frozen):
    """A holding register that must contain a certain value for the station to use the controller."""

    address: int
    value: int
    meaning: str
    """for errors, with the unit of the value"""
    read_only: bool = False
    """the station does not write it: the installer sets it in another way"""


class CommunicationTimeout(Frozen):
    """How a controller withdraws the current by itself if the station's program stops.

    Some restart it at any request, some at writes only. The station writes every 2 s, which counts for both.
    """

    time_at: int
    """holding register of the time-out"""
    time_s: int
    """the time-out, seconds"""
    counts_per_s: int
    """unit of the register: 1 for seconds, 1000 for milliseconds"""
    fallback_at: int
    """holding register of the current that is permitted after the time-out"""
    fallback: int
    """what is written there, in the unit of the permitted current: 0, or the least that the register accepts"""

    @property
    def settings(self) -> tuple[RegisterSetting, ...]:
        """The registers to write: the fallback current first, so that no time-out applies an earlier one."""
        return (
            RegisterSetting(self.fallback_at, self.fallback, "current after the communication time-out"),
            RegisterSetting(
                self.time_at,
                self.time_s * self.counts_per_s,
                f"communication time-out, {'s' if self.counts_per_s == 1 else 'ms'}",
            ),
        )


class EnableSwitch(Frozen):
    """A register or coil that permits charging: 1, or on."""

    address: int
    is_coil: bool


class EvseController(Frozen):
    """The register table and factory settings of one model of EVSE controller, which `ModbusBoard` uses to drive it."""

    name: str
    """for logs"""
    unit: int
    """Modbus unit, factory setting"""
    line: SerialLine | None
    """serial line, factory setting; not used over TCP. None: the controller has Modbus TCP only"""
    blocks: tuple[RegisterBlock, ...]
    """registers read at each observation"""
    state_at: RegisterAddress
    """register of the pilot state"""
    states: Mapping[int, PilotState]
    """pilot state by its number in the register"""
    fault_states: frozenset[int]
    """numbers in the state register that mean a failure; reported as a ground fault"""
    current_at: int
    """holding register of the permitted current"""
    single_register_writes: bool
    """write registers one by one (function 6), not as a block (function 16)"""
    counts_per_a: int = 1
    """unit of the permitted current: 1 for amperes, 10 for tenths"""
    highest_a: int | None = None
    """the highest current that the register of the permitted current accepts, amperes; None: not known"""
    enable: EnableSwitch | None = None
    """enables charging; if None, a current of 0 disables it"""
    emergency_off_bit: tuple[int, int] | None = None
    """register and bit that open the contactor at once"""
    state_shift: int = 0
    """8 if the letter of the state is in the upper byte"""
    state_mask: int = 0xFF
    """the bits of the state, after the shift"""
    offer_at: RegisterAddress | None = None
    """register that tells whether the pilot signals a current; None: the controller does not report it"""
    offer_values: frozenset[int] | None = None
    """its values while the pilot signals a current; None: any but 0"""
    cable_at: RegisterAddress | None = None
    """rating of the cable, whole amperes"""
    fault_bits: Mapping[RegisterAddress, Mapping[int, Fault]] = {}
    """registers of faults: the fault that each bit reports, 0 for the least significant bit"""
    timeout: CommunicationTimeout | None = None
    """None: no register is known by which the controller stops when the program does"""
    settings: tuple[RegisterSetting, ...] = ()
    """registers that must have certain values besides those of the time-out"""
    has_points: bool = False
    """several charging points share one unit: the addresses are those of point 0, and n x 1000 is added for point n"""

    def at_point(self, point: int) -> EvseController:
        """Return the table with the addresses of one charging point of a group."""
        offset = point * REGISTERS_PER_POINT

        def moved(address: RegisterAddress) -> RegisterAddress:
            return (address[0], address[1] + offset)

        return replace(
            self,
            name=f"{self.name}, charging point {point}",
            blocks=tuple(replace(block, address=block.address + offset) for block in self.blocks),
            state_at=moved(self.state_at),
            current_at=self.current_at + offset,
            enable=replace(self.enable, address=self.enable.address + offset) if self.enable is not None else None,
            offer_at=moved(self.offer_at) if self.offer_at is not None else None,
            cable_at=moved(self.cable_at) if self.cable_at is not None else None,
            fault_bits={moved(address): bits for address, bits in self.fault_bits.items()},
            timeout=replace(
                self.timeout,
                time_at=self.timeout.time_at + offset,
                fallback_at=self.timeout.fallback_at + offset,
            )
            if self.timeout is not None
            else None,
            settings=tuple(replace(setting, address=setting.address + offset) for setting in self.settings),
        )

    def permitted_counts(self, current_a: float) -> int:
        """Convert a current to the unit of its register, rounded down and not above what the register accepts."""
        return int(min(current_a, self.highest_a or current_a) * self.counts_per_a)

    def state_number(self, registers: RegisterWords) -> int:
        """Extract the number of the pilot state, a key of `states`, from registers that were read."""
        return registers[self.state_at] >> self.state_shift & self.state_mask

    def is_offering(self, registers: RegisterWords, *, enabled: bool) -> bool:
        """Return whether the pilot signals a current, as the controller reports it.

        `enabled`: whether the station has commanded one; returned for a controller that does not report it.
        """
        if self.offer_at is None:
            return enabled
        word = registers[self.offer_at]
        return word in self.offer_values if self.offer_values is not None else word != 0

    def faults(self, registers: RegisterWords) -> frozenset[Fault]:
        """The faults that the controller reports; a failure state that no fault bit explains is a ground fault."""
        reported = frozenset(self._reported_faults(registers))
        if self.state_number(registers) in self.fault_states and not reported:
            # Which part failed, residual-current device or diode, is not known: assume the former.
            return frozenset({Fault.GROUND_FAULT})
        return reported

    def _reported_faults(self, registers: RegisterWords) -> Iterator[Fault]:
        for address, bits in self.fault_bits.items():
            for bit, fault in bits.items():
                if registers[address] >> bit & 1:
                    yield fault
