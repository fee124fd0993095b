"""Register tables of EVSE controllers on Modbus.

The manufacturers' manuals were not available. Addresses are as published by projects that drive these controllers:

- simple-evse (EVSE-WB, EVSE-DIN): openWB's notes and evcc (charger/evsedin.go): registers 1000, 1002, 1003, 1004 bit 0,
  1006; 9600 8N1, unit 1. Not verified: what opens the relay when the bus falls silent, and the other bits of 1004.
- phoenix-em-cp-pp-eth: evcc (charger/phoenix-em-eth.go): input 100, holding 300, coil 400, unit 180.
- phoenix-ev-cc-eth: evcc (charger/phoenix-ev-eth.go): input 100, holding 528, coil 400, unit 255; input 101, the cable:
  the Home Assistant integration phoenix_ev_charger. DIP switch 10 has to be on.
- phoenix-ev-cc-serial: evcc (charger/phoenix-ev-ser.go): input 24000, holding 22000, coil 20000, unit 1. Not verified:
  the factory setting of the line.

None of the Phoenix tables has a contact of the contactor: it counts as closed in state C or D while charging is
enabled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from foundation.frozen import Frozen
from metering.drivers.registers import RegisterAddress, RegisterBlock, RegisterWords, SerialLine
from station.core.model import PilotState

ControllerName = Literal["simple-evse", "phoenix-em-cp-pp-eth", "phoenix-ev-cc-eth", "phoenix-ev-cc-serial"]


class EvseController(Frozen):
    """The register table and factory settings of one model of EVSE controller, which `ModbusBoard` uses to drive it."""

    name: str
    """for logs"""
    unit: int
    """Modbus unit, factory setting"""
    line: SerialLine
    """serial line, factory setting; not used over TCP"""
    blocks: tuple[RegisterBlock, ...]
    """registers read at each observation"""
    state_at: RegisterAddress
    """register of the pilot state"""
    states: Mapping[int, PilotState]
    """pilot state by its number in the register"""
    fault_states: frozenset[int]
    """numbers in the state register that mean a failure; reported as a ground fault"""
    current_at: int
    """holding register of the permitted current, whole amperes"""
    single_register_writes: bool
    """write registers one by one (function 6), not as a block (function 16)"""
    enable_coil: int | None = None
    """enables charging; if None, a current of 0 disables it"""
    emergency_off_bit: tuple[int, int] | None = None
    """register and bit that open the contactor at once"""
    state_shift: int = 0
    """8 if the letter of the state is in the upper byte"""
    pwm_at: tuple[RegisterAddress, int] | None = None
    """register, and its value while the pilot signals a current"""
    cable_at: RegisterAddress | None = None
    """rating of the cable, whole amperes"""

    def state_number(self, registers: RegisterWords) -> int:
        """Extract the number of the pilot state, a key of `states`, from registers that were read."""
        return registers[self.state_at] >> self.state_shift & 0xFF

    def is_offering(self, registers: RegisterWords, *, enabled: bool) -> bool:
        """Return whether the pilot signals a current, as the controller reports it.

        `enabled`: whether the station has commanded one; returned for a controller that does not report it.
        """
        if self.pwm_at is None:
            return enabled
        address, signalling_value = self.pwm_at
        return registers[address] == signalling_value


_LETTERS: Final = {ord(state.value): state for state in PilotState}
_ERRORS: Final = frozenset({ord("E"), ord("F")})
_LINE: Final = SerialLine(9600, "N", 1)


def _phoenix(
    name: str,
    *,
    unit: int,
    at: int,
    current_at: int,
    enable_coil: int,
    cable_at: tuple[int, int] | None = None,
    state_shift: int = 0,
) -> EvseController:
    """A table of Phoenix Contact: the state is a letter in the input register `at`, followed by the cable's rating."""
    return EvseController(
        name=f"Phoenix Contact {name}",
        unit=unit,
        line=_LINE,
        blocks=(RegisterBlock(4, at, 1 if cable_at is None else 2),),
        state_at=(4, at),
        states=_LETTERS,
        fault_states=_ERRORS,
        current_at=current_at,
        single_register_writes=True,
        enable_coil=enable_coil,
        cable_at=cable_at,
        state_shift=state_shift,
    )


CONTROLLERS: Final[Mapping[str, EvseController]] = {
    "simple-evse": EvseController(
        name="SimpleEVSE",
        unit=1,
        line=_LINE,
        blocks=(RegisterBlock(3, 1000, 7),),
        state_at=(3, 1002),
        states={1: PilotState.A, 2: PilotState.B, 3: PilotState.C, 4: PilotState.D, 5: PilotState.E},
        fault_states=frozenset({5}),
        current_at=1000,
        single_register_writes=False,
        emergency_off_bit=(1004, 0),
        pwm_at=((3, 1006), 2),
        cable_at=(3, 1003),
    ),
    "phoenix-em-cp-pp-eth": _phoenix("EM-CP-PP-ETH", unit=180, at=100, current_at=300, enable_coil=400),
    "phoenix-ev-cc-eth": _phoenix(
        "EV-CC-AC1-M3-…-ETH", unit=255, at=100, current_at=528, enable_coil=400, cable_at=(4, 101)
    ),
    "phoenix-ev-cc-serial": _phoenix(
        "EV-CC-AC1-M3-…-SER", unit=1, at=24000, current_at=22000, enable_coil=20000, state_shift=8
    ),
}
