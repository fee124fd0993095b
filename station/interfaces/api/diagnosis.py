"""Routes for diagnosis: inputs and outputs, raw bytes of the meters, and the station's log."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Annotated

from fastapi import Query
from fastapi.responses import PlainTextResponse
from typing_extensions import TypedDict

from energy.grid_orders import RecordedGridOrders
from foundation.byte_tap import ByteTap
from foundation.clock import Clock
from station.charging.charging_station import ChargingStation
from station.charging.evse import Evse
from station.charging.evse_state import all_faults, outputs
from station.core.hardware.back_plate import JumperPosition
from station.interfaces.access.roles import require_role
from station.interfaces.api.dependencies import optional_part, part
from station.interfaces.api.routing import api_router
from station.interfaces.part_keys import CLOCK
from station.load.back_plate_monitor import BackPlateMonitor
from station.load.load_management import LoadManagement
from station.load.tamper import TamperAlarm
from station.maintenance.logs.store import LogStore
from station.security.access.accounts import Role

router = api_router("diagnosis")

_Since = Annotated[int, Query(ge=0, description="the number of the last entry already received")]
_MAX_LINES = 20_000


class EvseLines(TypedDict):
    """The inputs and outputs of one EVSE: `…_ordered` and `pilot_offers_a` are commanded, the others observed."""

    evse: int
    """the number of the EVSE"""
    pilot: str
    """state of the control pilot (IEC 61851-1)"""
    pilot_offers_a: float | None
    """current offered by the pilot now, amperes per phase; null: steady pilot without PWM, no energy offered"""
    cable_plugged: bool
    """for an attached cable: whether a vehicle is connected"""
    cable_max_a: float | None
    """rating coded by the cable's resistor, amperes per phase; null: none to read"""
    contactor_ordered: bool
    """whether the station commands it to close"""
    contactor_closed: bool
    """as read from its auxiliary contact"""
    lock_ordered: bool
    """whether the station commands the cable to be locked"""
    locked: bool
    """whether the cable is locked, as read from the lock"""
    bay_occupied: bool
    """whether the parking-bay sensor detects a vehicle; false also without a sensor"""
    temperature_c: float | None
    """temperature inside the station, °C; null: not measured"""
    faults: list[str]
    """the faults present now; empty: none"""


class InputsAndOutputs(TypedDict):
    """Response of GET /api/io: the inputs and outputs of the station, and what they mean now."""

    evses: list[EvseLines]
    """the inputs and outputs of each EVSE"""
    selector_a: float | None
    """limit of the current selector, amperes per phase; null: none has been read"""
    jumpers: JumperPosition | None
    """of the smart-meter port; null: their position cannot be read"""
    jumpers_expected: JumperPosition
    """the position that the configured meter requires"""
    jumpers_mismatch: str | None
    """a sentence if they are in a wrong position"""
    tamper: bool
    """whether the station was opened and the alarm is not acknowledged"""
    grid_order: bool
    """whether the grid operator's contact currently orders a limit"""


class MeterFrame(TypedDict):
    """Bytes sent or received at one time on the wire of a grid meter or billing meter; numbered, with the time."""

    number: int
    """consecutive number; a client passes the last one as `since`"""
    at: str
    """when the bytes were sent or received (ISO 8601, UTC)"""
    wire: str
    """names the meter and its connection"""
    sent: bool
    """true: sent by the station to the meter; false: received"""
    hex: str
    """the bytes, each as two hexadecimal digits"""
    text: str
    """printable ASCII characters; `·` stands for any other"""


@router.get("/api/io", dependencies=[require_role(Role.INSTALLER)], summary="Read inputs and outputs")
async def read_inputs_and_outputs(
    station: Annotated[ChargingStation, part(ChargingStation)],
    load: Annotated[LoadManagement, part(LoadManagement)],
    back_plate: Annotated[BackPlateMonitor, part(BackPlateMonitor)],
    tamper: Annotated[TamperAlarm, part(TamperAlarm)],
    grid_orders: Annotated[RecordedGridOrders | None, optional_part(RecordedGridOrders)],
    clock: Annotated[Clock, part(CLOCK)],
) -> InputsAndOutputs:
    """Returns commanded and last read states of each EVSE, the back plate and the grid operator's contact."""
    jumpers = back_plate.jumpers
    return {
        "evses": [_evse_lines_to_json(evse, clock.monotonic()) for evse in station.evses.values()],
        "selector_a": load.grid.selector_a,
        "jumpers": jumpers.position,
        "jumpers_expected": jumpers.expected,
        "jumpers_mismatch": jumpers.mismatch,
        "tamper": tamper.alarm,
        "grid_order": grid_orders is not None and grid_orders.order is not None,
    }


@router.get(
    "/api/meter-frames", dependencies=[require_role(Role.INSTALLER)], summary="Read the raw bytes of the meters"
)
async def list_meter_frames(wires: Annotated[ByteTap, part(ByteTap)], since: _Since = 0) -> list[MeterFrame]:
    """Returns the newest bytes on the wires of grid meter and billing meters; only those after `since`."""
    return [
        {
            "number": chunk.number,
            "at": chunk.at.isoformat(),
            "wire": chunk.wire,
            "sent": chunk.sent,
            "hex": chunk.data.hex(" "),
            "text": "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in chunk.data),
        }
        for chunk in wires.chunks_after(since)
    ]


@router.get(
    "/api/logs",
    dependencies=[require_role(Role.INSTALLER)],
    response_class=PlainTextResponse,
    summary="Read the log of the station",
)
async def read_log(
    store: Annotated[LogStore, part(LogStore)],
    most: Annotated[int, Query(ge=1, le=_MAX_LINES, description="maximum number of lines")] = 500,
    having: Annotated[str, Query(max_length=100, description="only lines that contain this text, ignoring case")] = "",
) -> PlainTextResponse:
    """Returns the newest `most` lines of the log that contain the text `having`, ignoring case; the newest last."""
    text = having.casefold()

    def newest() -> list[str]:
        return list(deque((line for line in store.between(None, None) if text in line.casefold()), most))

    lines = await asyncio.to_thread(newest)
    return PlainTextResponse("".join(f"{line}\n" for line in lines))


def _evse_lines_to_json(evse: Evse, now_s: float) -> EvseLines:
    observation, ordered = evse.state.observation, outputs(evse.state, now_s)
    return {
        "evse": evse.id,
        "pilot": observation.pilot.value,
        "pilot_offers_a": ordered.pilot_a,
        "cable_plugged": observation.cable_plugged,
        "cable_max_a": observation.cable_max_a,
        "contactor_ordered": ordered.contactor,
        "contactor_closed": observation.contactor_closed,
        "lock_ordered": ordered.lock,
        "locked": observation.locked,
        "bay_occupied": observation.bay_occupied,
        "temperature_c": observation.temperature_c,
        "faults": sorted(fault.value for fault in all_faults(evse.state)),
    }
