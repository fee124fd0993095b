"""Register tables of EVSE controllers on Modbus.

Most manufacturers' manuals were not available. Addresses are those on the wire, as published by projects that drive
these controllers:

- simple-evse (EVSE-WB, EVSE-DIN): openWB's notes and evcc (charger/evsedin.go): registers 1000, 1002, 1003, 1004 bit 0,
  1006; 9600 8N1, unit 1. The published list, 1000-1009 and 2000-2017, has no communication time-out.
- phoenix-em-cp-pp-eth: evcc (charger/phoenix-em-eth.go): input 100, holding 300, coil 400, unit 180.
- phoenix-ev-cc-eth: evcc (charger/phoenix-ev-eth.go): input 100, holding 528, coil 400, unit 255; input 101, the cable:
  the Home Assistant integration phoenix_ev_charger. DIP switch 10 has to be on.
- phoenix-ev-cc-serial: evcc (charger/phoenix-ev-ser.go) and the manual 106377_en_04 of EV Charge Control Basic: input
  24000, holding 22000, coil 20000, unit 1; the coil has an effect only if register 4000 is 3. Not verified: the parity.
  The manual's pages that were available, all but 58 and 59, have no communication time-out.
- phoenix-charx (CHARX SEC, CHARX control modular): the library aiophoenixcontactcharx (registers.py, from appendix B3
  of the manual UM EN CHARX SEC, revision 08) and evcc (charger/phoenix-charx.go). The web interface has to enable the
  Modbus server, and to set the release mode to Modbus. Writes restart its time-out. At its end the release is withdrawn
  and the current falls to that of register x306 (the library's CONTEXT.md), or the latter only (its client.py); x306
  accepts 6 A at least.
- heidelberg-energy-control (also Walther basicEVO PRO): the register table in Walther's manual, evcc
  (charger/heidelberg-ec.go), the Home Assistant integration heidelberg_energy_control; 19200 8E1. The registers 257,
  258 and 262 keep their values without power from layout 1.0.8 on, 261 does not. Any request restarts its time-out.
- bender-cc612 (CC612, CC613; MENNEKES ECU, ebee, Webasto Live, Garo): evcc (charger/bender.go), nymea
  (bender-omcci-registers.json); registers 131, 132: three Home Assistant integrations for MENNEKES AMTRON. Function 3
  only. The web interface has to enable "Modbus TCP server for energy management" with the register set of Bender.
  Any request restarts its time-out (changelog of an ioBroker adapter); not verified.

Of the Phoenix tables only that of CHARX reports whether the pilot signals a current. With the others the contactor
counts as closed in state C or D while charging is enabled.

No table has a contact of the contactor, and none commands the lock: the controllers operate both. What else a
controller does not report is in docs/modbus-controllers.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from metering.drivers.registers import RegisterBlock, SerialLine
from station.core.model import Fault, PilotState
from station.devices.modbus.controller_table import (
    CommunicationTimeout,
    EnableSwitch,
    EvseController,
    RegisterSetting,
)

ControllerName = Literal[
    "heidelberg-energy-control",
    "phoenix-charx",
    "bender-cc612",
    "simple-evse",
    "phoenix-em-cp-pp-eth",
    "phoenix-ev-cc-eth",
    "phoenix-ev-cc-serial",
]

TIMEOUT_S: Final = 10
"""the communication time-out of every controller that has one, seconds; the station writes every 2 s"""
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
        enable=EnableSwitch(enable_coil, is_coil=True),
        cable_at=cable_at,
        state_shift=state_shift,
    )


def _charx_state(text: str) -> int:
    """The word of a state of CHARX: two characters, a letter and 1 without or 2 with a signalled current."""
    return int.from_bytes(text.encode(), "big")


_SIMPLE_EVSE: Final = EvseController(
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
    offer_at=(3, 1006),
    offer_values=frozenset({2}),
    cable_at=(3, 1003),
)
_CHARX: Final = EvseController(
    name="Phoenix Contact CHARX",
    unit=1,
    line=None,
    blocks=(RegisterBlock(3, 293, 7),),
    state_at=(3, 299),
    states={
        **{_charx_state(f"{letter}{digit}"): PilotState(letter) for letter in "ABCD" for digit in "12"},
        _charx_state("E0"): PilotState.E,
        _charx_state("F0"): PilotState.F,
    },
    fault_states=frozenset({_charx_state("E0")}),
    current_at=301,
    single_register_writes=True,
    highest_a=80,
    enable=EnableSwitch(300, is_coil=False),
    state_mask=0xFFFF,
    offer_at=(3, 299),
    offer_values=frozenset(_charx_state(f"{letter}2") for letter in "ABCD"),
    cable_at=(3, 298),
    fault_bits={
        (3, 294): {0: Fault.OVER_TEMPERATURE},
        (3, 293): {  # bits 16 to 31 of the double word
            5: Fault.LOCK,
            6: Fault.LOCK,
            8: Fault.OVER_CURRENT,
            11: Fault.CONTACTOR_WELDED,  # or stuck open: it does not report which
            12: Fault.DIODE,
            14: Fault.DC_RESIDUAL_CURRENT,
            15: Fault.RESIDUAL_MONITOR,
        },
    },
    timeout=CommunicationTimeout(
        time_at=307,
        time_s=TIMEOUT_S,
        counts_per_s=1,
        fallback_at=306,
        fallback=6,
    ),
    settings=(RegisterSetting(120, 5, "release mode; 5: Modbus", read_only=True),),
    has_points=True,
)
_HEIDELBERG: Final = EvseController(
    name="Heidelberg Energy Control",
    unit=1,
    line=SerialLine(19200, "E", 1),
    blocks=(RegisterBlock(4, 5, 1),),
    state_at=(4, 5),
    states={
        2: PilotState.A,
        3: PilotState.A,
        4: PilotState.B,
        5: PilotState.B,
        6: PilotState.C,
        7: PilotState.C,
        8: PilotState.C,  # derating: charges with less current, since it is hot
        9: PilotState.E,
        10: PilotState.F,  # locked by its key switch or register 259
        11: PilotState.E,  # an error
    },
    fault_states=frozenset({9, 11}),
    current_at=261,
    single_register_writes=False,
    counts_per_a=10,
    highest_a=16,
    offer_at=(4, 5),
    offer_values=frozenset({3, 5, 7, 8}),
    timeout=CommunicationTimeout(
        time_at=257,
        time_s=TIMEOUT_S,
        counts_per_s=1000,
        fallback_at=262,
        fallback=0,
    ),
    settings=(RegisterSetting(258, 4, "standby; 4: disabled, since a box in standby does not answer"),),
)
_BENDER: Final = EvseController(
    name="Bender CC612",
    unit=255,
    line=None,
    blocks=(RegisterBlock(3, 122, 1), RegisterBlock(3, 706, 1)),
    state_at=(3, 122),
    states={1: PilotState.A, 2: PilotState.B, 3: PilotState.C, 4: PilotState.D, 5: PilotState.E},
    fault_states=frozenset({5}),
    current_at=1000,
    single_register_writes=True,
    highest_a=32,
    offer_at=(3, 706),
    timeout=CommunicationTimeout(
        time_at=132,
        time_s=TIMEOUT_S,
        counts_per_s=1,
        fallback_at=131,
        fallback=0,
    ),
)

CONTROLLERS: Final[Mapping[ControllerName, EvseController]] = {
    "heidelberg-energy-control": _HEIDELBERG,
    "phoenix-charx": _CHARX,
    "bender-cc612": _BENDER,
    "simple-evse": _SIMPLE_EVSE,
    "phoenix-em-cp-pp-eth": _phoenix("EM-CP-PP-ETH", unit=180, at=100, current_at=300, enable_coil=400),
    "phoenix-ev-cc-eth": _phoenix(
        "EV-CC-AC1-M3-…-ETH", unit=255, at=100, current_at=528, enable_coil=400, cable_at=(4, 101)
    ),
    "phoenix-ev-cc-serial": _phoenix(
        "EV-CC-AC1-M3-…-SER", unit=1, at=24000, current_at=22000, enable_coil=20000, state_shift=8
    ),
}
