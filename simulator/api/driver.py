"""Routes with which a test bench simulates driver and vehicle."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Depends, HTTPException
from pydantic import Field
from typing_extensions import TypedDict

from foundation.bounds import ENERGY_WH, RESISTANCE_OHM
from foundation.clock import Clock
from foundation.constants import MAXIMUM_CURRENT_A, MINIMUM_CURRENT_A, NOMINAL_VOLTAGE_V
from simulator.board import SimulatedBoard
from simulator.vehicle import Vehicle, VehicleModel
from simulator.world import World
from station.configuration.installation_file import Configuration
from station.core.hardware.pilot import UnratedCable, cable_limit_a
from station.interfaces.access.roles import require_role
from station.interfaces.api.dependencies import ACCEPTED, Accepted, Command, EvseId, Settle, example, part
from station.interfaces.api.routing import api_router
from station.interfaces.part_keys import CLOCK
from station.security.access.accounts import Role

router = api_router("simulation")

_Current = Annotated[float, Field(ge=0, le=200)]
_Seconds = Annotated[float, Field(ge=0, le=86_400)]


class SimulatedEv(Command):
    """`ev` in the body of POST /api/sim/evses/{evse_id}/plug: the vehicle and its cable."""

    delay_s: _Seconds = 0.0
    """seconds of the station's clock until it is plugged in; 0: at once"""
    ready_after_s: _Seconds = 0.0
    """seconds from plugging in until it requests energy"""
    max_current_a: _Current = 32.0
    """the most that its charger draws, A per phase"""
    phases: Literal[1, 2, 3] = 3
    """number of phases on which its charger draws"""
    battery_wh: Annotated[float, Field(gt=0, le=ENERGY_WH.highest)] = 50_000.0
    """capacity of the battery, Wh"""
    soc: Annotated[float, Field(ge=0, le=1)] = 0.3
    """state of charge when it is plugged in, 0 to 1"""
    reaction_s: Annotated[float, Field(ge=0, le=5)] = 1.0
    """delay with which it follows the pilot, s"""
    ventilation: bool = False
    """whether it requires ventilation (pilot state D)"""
    auto_unplug_s: _Seconds | None = None
    """seconds after which it is unplugged, unless the cable is locked then; null: not unplugged"""
    cable_max_a: Annotated[float, Field(ge=MINIMUM_CURRENT_A, le=MAXIMUM_CURRENT_A)] | None = None
    """rating of its cable, A per phase; null: not readable"""
    cable_ohm: Annotated[float, Field(ge=0, le=RESISTANCE_OHM.highest)] | None = None
    """the coding resistor in the cable's plug, ohms, instead of `cable_max_a`"""


class PlugOrder(Command):
    """Body of POST /api/sim/evses/{evse_id}/plug: the vehicle to plug in."""

    model_config = example(ev={"max_current_a": 16, "phases": 3, "battery_wh": 60_000, "soc": 0.4})

    connector: int = 1
    """number of the connector; only 1 exists"""
    ev: SimulatedEv = SimulatedEv()
    """the vehicle and its cable; left out: a three-phase vehicle of 32 A, plugged in at once"""


class UnplugOrder(Command):
    """Body of POST /api/sim/evses/{evse_id}/unplug, which may be left out."""

    model_config = example(ev_side=False)

    connector: int = 1
    """number of the connector; only 1 exists"""
    ev_side: bool = False
    """whether only the vehicle is unplugged, and the cable stays in the socket; false: both"""


class VehicleOrder(Command):
    """Body of POST /api/sim/evses/{evse_id}/vehicle: what changes at the plugged-in vehicle; null: unchanged."""

    model_config = example(state="suspend")

    state: Literal["charging", "suspend", "not_ready", "resume", "sleep"] | None = None
    """`suspend`, `not_ready`: request no energy; `charging`, `resume`: request it; `sleep`: suspend and ignore
    the pilot"""
    diode_fail: bool | None = None
    """whether the diode in its pilot circuit is broken"""
    pilot_short: bool | None = None
    """whether the control pilot is shorted to earth"""
    max_current_a: _Current | None = None
    """the most that its charger draws from now on, A per phase"""


class ParkingBayOrder(Command):
    """Body of POST /api/sim/evses/{evse_id}/parking-bay: what the parking-bay sensor reports."""

    model_config = example(occupied=True)

    occupied: bool
    """whether a vehicle stands in the parking bay of this EVSE"""


class MeteredCircuit(TypedDict):
    """Response of GET /api/sim/evses/{evse_id}/circuit: what flows to the vehicle, for the process `borne meter`."""

    currents_a: list[float]
    """amperes to the vehicle on L1, L2, L3 of the EVSE"""
    voltage_v: float
    """volts between each phase and neutral; always the nominal voltage"""


def board_of(world: World, evse_id: int, connector: int = 1) -> SimulatedBoard:
    """The simulated board of an EVSE.

    Raises:
        HTTPException: 404, there is no such EVSE or connector.
    """
    board = world.boards.get(evse_id)
    if board is None:
        raise HTTPException(404, f"EVSE {evse_id} does not exist")
    if connector != 1:
        raise HTTPException(404, f"connector {connector} does not exist")
    return board


async def _path_board(evse_id: EvseId, world: Annotated[World, part(World)]) -> SimulatedBoard:
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
    evse_id: EvseId,
    body: PlugOrder,
    world: Annotated[World, part(World)],
    configuration: Annotated[Configuration, part(Configuration)],
    clock: Annotated[Clock, part(CLOCK)],
    settle: Settle,
) -> Accepted:
    """Plug a simulated vehicle in, at once or after `delay_s`; 409 if one is plugged in already.

    With a delay, nothing happens if a vehicle is plugged in by then.
    """
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
    evse_id: EvseId, world: Annotated[World, part(World)], settle: Settle, body: UnplugOrder | None = None
) -> Accepted:
    """Unplug the simulated vehicle, and its cable unless `ev_side`.

    409 if the cable is to be unplugged but is locked, or nothing is plugged in.
    """
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
    """Suspend or resume charging, limit the current, or simulate a defect; 409 if no vehicle is plugged in.

    Fields that are null or left out change nothing.
    """
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
    """Set whether the parking-bay sensor of an EVSE reports an occupied bay."""
    board.occupy_bay(body.occupied)
    await settle()
    return ACCEPTED


@router.get(
    "/api/sim/evses/{evse_id}/circuit",
    dependencies=[require_role(Role.VISITOR, logs_changes=False)],  # read by a simulated meter in another process
    summary="Read the currents of an EVSE",
)
async def read_metered_circuit(board: _PathBoard) -> MeteredCircuit:
    """Read the present currents to the vehicle of an EVSE, and the voltage; needs no sign-in."""
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
