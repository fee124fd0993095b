"""Routes with which a test bench simulates driver and vehicle."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, HTTPException
from pydantic import Field
from typing_extensions import TypedDict

from foundation.clock import Clock
from foundation.constants import MAXIMUM_CURRENT_A, MINIMUM_CURRENT_A, NOMINAL_VOLTAGE_V
from simulator.board import SimulatedBoard
from simulator.vehicle import Vehicle, VehicleModel
from simulator.world import World
from station.configuration.installation_file import Configuration
from station.core.hardware.pilot import UnratedCable, cable_limit_a
from station.interfaces.access.roles import require_role
from station.interfaces.api.dependencies import ACCEPTED, Accepted, Command, Settle, part
from station.interfaces.part_keys import CLOCK
from station.security.access.accounts import Role

router = APIRouter(tags=["simulation"])

_Current = Annotated[float, Field(ge=0, le=200)]
_Seconds = Annotated[float, Field(ge=0, le=86_400)]


class SimulatedEv(Command):
    """A simulated vehicle."""

    delay_s: _Seconds = 0.0
    ready_after_s: _Seconds = 0.0
    max_current_a: _Current = 32.0
    phases: Literal[1, 2, 3] = 3
    battery_wh: Annotated[float, Field(gt=0)] = 50_000.0
    soc: Annotated[float, Field(ge=0, le=1)] = 0.3
    reaction_s: Annotated[float, Field(ge=0, le=5)] = 1.0
    ventilation: bool = False
    auto_unplug_s: _Seconds | None = None
    cable_max_a: Annotated[float, Field(ge=MINIMUM_CURRENT_A, le=MAXIMUM_CURRENT_A)] | None = None
    cable_ohm: Annotated[float, Field(ge=0)] | None = None
    """the coding resistor in the cable's plug, instead of `cable_max_a`"""


class PlugOrder(Command):
    """Plug a vehicle in."""

    connector: int = 1
    ev: SimulatedEv = SimulatedEv()


class UnplugOrder(Command):
    """Unplug the vehicle; with `ev_side` the cable stays in the socket."""

    connector: int = 1
    ev_side: bool = False


class VehicleOrder(Command):
    """A change of the vehicle's behaviour, or a defect."""

    state: Literal["charging", "suspend", "not_ready", "resume", "sleep"] | None = None
    diode_fail: bool | None = None
    pilot_short: bool | None = None
    max_current_a: _Current | None = None


class ParkingBayOrder(Command):
    """State of the parking-bay sensor."""

    occupied: bool


class MeteredCircuit(TypedDict):
    """Currents and voltage of an EVSE's circuit, for a simulated meter in another process."""

    currents_a: list[float]
    """amperes on L1, L2, L3 of the EVSE"""
    voltage_v: float


def board_of(world: World, evse_id: int, connector: int = 1) -> SimulatedBoard:
    """The simulated board of an EVSE; 404 if there is none."""
    board = world.boards.get(evse_id)
    if board is None:
        raise HTTPException(404, f"EVSE {evse_id} does not exist")
    if connector != 1:
        raise HTTPException(404, f"connector {connector} does not exist")
    return board


async def _path_board(evse_id: int, world: Annotated[World, part(World)]) -> SimulatedBoard:
    return board_of(world, evse_id)


_PathBoard = Annotated[SimulatedBoard, Depends(_path_board)]
"""the simulated board of the EVSE in the path"""


@router.post(
    "/api/sim/evses/{evse_id}/plug",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Plug in a simulated vehicle",
)
async def plug_vehicle(
    evse_id: int,
    body: PlugOrder,
    world: Annotated[World, part(World)],
    configuration: Annotated[Configuration, part(Configuration)],
    clock: Annotated[Clock, part(CLOCK)],
    settle: Settle,
) -> Accepted:
    """Plug a vehicle in, at once or after a delay; 409 if one is plugged in already."""
    board, ev = board_of(world, evse_id, body.connector), body.ev
    unrated = configuration.evse[evse_id - 1].cable_without_rating
    if ev.delay_s > 0.0:
        clock.call_later(ev.delay_s, lambda: board.vehicle is None and _plug(clock, board, ev, unrated))
    else:
        try:
            _plug(clock, board, ev, unrated)
        except ValueError as error:
            raise HTTPException(409, str(error)) from error
    await settle()
    return ACCEPTED


@router.post(
    "/api/sim/evses/{evse_id}/unplug",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Unplug the simulated vehicle",
)
async def unplug_vehicle(
    evse_id: int, world: Annotated[World, part(World)], settle: Settle, body: UnplugOrder | None = None
) -> Accepted:
    """Unplug the vehicle; 409 if the cable is locked or there is none."""
    body = body or UnplugOrder()
    board = board_of(world, evse_id, body.connector)
    try:
        board.unplug(keep_cable=body.ev_side)
    except ValueError as error:
        raise HTTPException(409, str(error)) from error
    await settle()
    return ACCEPTED


@router.post(
    "/api/sim/evses/{evse_id}/vehicle",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Change how the simulated vehicle behaves",
)
async def change_vehicle(board: _PathBoard, body: VehicleOrder, settle: Settle) -> Accepted:
    """Suspend or resume charging, limit the current, or simulate a defect; 409 if no vehicle is plugged in."""
    if board.vehicle is None:
        raise HTTPException(409, "no vehicle is plugged in")
    _change(board, board.vehicle, body)
    await settle()
    return ACCEPTED


@router.post(
    "/api/sim/evses/{evse_id}/parking-bay",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Occupy or leave the parking bay",
)
async def occupy_parking_bay(board: _PathBoard, body: ParkingBayOrder, settle: Settle) -> Accepted:
    """Set the state of the parking-bay sensor."""
    board.occupy_bay(body.occupied)
    await settle()
    return ACCEPTED


@router.get(
    "/api/sim/evses/{evse_id}/circuit",
    dependencies=[require_role(Role.VISITOR, logs_changes=False)],  # read by a simulated meter in another process
    summary="Read the currents of an EVSE",
)
async def read_metered_circuit(board: _PathBoard) -> MeteredCircuit:
    """Read the present currents and the voltage."""
    return {"currents_a": list(board.currents_a), "voltage_v": NOMINAL_VOLTAGE_V}


def _plug(clock: Clock, board: SimulatedBoard, ev: SimulatedEv, unrated: UnratedCable) -> None:
    board.plug(
        VehicleModel(
            max_current_a=ev.max_current_a,
            phases=ev.phases,
            battery_wh=ev.battery_wh,
            soc=ev.soc,
            reaction_s=ev.reaction_s,
            ventilation=ev.ventilation,
            ready_after_s=ev.ready_after_s,
        ),
        cable_max_a=ev.cable_max_a if ev.cable_ohm is None else cable_limit_a(ev.cable_ohm, unrated),
    )
    if ev.auto_unplug_s is not None:
        plugged = board.vehicle

        def leave() -> None:
            if board.vehicle is plugged and not board.locked:
                board.unplug()

        clock.call_later(ev.auto_unplug_s, leave)


def _change(board: SimulatedBoard, vehicle: Vehicle, order: VehicleOrder) -> None:
    if order.max_current_a is not None:
        vehicle.limit(order.max_current_a)
    if order.diode_fail is not None:
        vehicle.break_diode(order.diode_fail)
    if order.pilot_short is not None:
        board.short_pilot(order.pilot_short)
    match order.state:
        case "charging" | "resume":
            vehicle.resume()
        case "suspend" | "not_ready":
            vehicle.suspend()
        case "sleep":
            vehicle.suspend()
            vehicle.asleep = True
        case None:
            pass
