"""What a driver and a vehicle do at the simulated hardware, through the local API."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import FastAPI, HTTPException
from pydantic import Field

from foundation.constants import MAXIMUM_CURRENT_A, MINIMUM_CURRENT_A, NOMINAL_VOLTAGE_V
from simulator.board import SimulatedBoard
from simulator.vehicle import VehicleModel
from simulator.world import World
from station.core.hardware.pilot import UnratedCable, cable_limit_a
from station.interfaces.api.route_services import Command, Wait, accepted
from station.interfaces.host import Host
from station.interfaces.json_object import Json

_Current = Annotated[float, Field(ge=0, le=200)]
_Seconds = Annotated[float, Field(ge=0, le=86_400)]


class Ev(Command):
    """A vehicle that is plugged in."""

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
    """the resistor in the cable's plug, in place of what it means"""


class Plug(Command):
    """Plug a vehicle in."""

    connector: int = 1
    ev: Ev = Ev()


class Unplug(Command):
    """Unplug it; with `ev_side` the cable stays in the socket."""

    connector: int = 1
    ev_side: bool = False


class VehicleWish(Command):
    """What the vehicle wants, or what is wrong with it."""

    state: Literal["charging", "suspend", "not_ready", "resume", "sleep"] | None = None
    diode_fail: bool | None = None
    pilot_short: bool | None = None
    max_current_a: _Current | None = None


class Bay(Command):
    """The parking-bay sensor."""

    occupied: bool


def board_of(world: World, evse_id: int, connector: int = 1) -> SimulatedBoard:
    """The simulated board of an EVSE; 404 when there is none."""
    board = world.boards.get(evse_id)
    if board is None:
        raise HTTPException(404, f"EVSE {evse_id} does not exist")
    if connector != 1:
        raise HTTPException(404, f"connector {connector} does not exist")
    return board


def driver_routes(api: FastAPI, host: Host, world: World) -> None:
    """Plug, unplug, and what the vehicle wants."""

    @api.post("/api/sim/evses/{evse_id}/plug", status_code=202)
    async def plug(evse_id: int, body: Plug, wait: Wait = None) -> Json:
        board, ev = board_of(world, evse_id, body.connector), body.ev
        unrated = host.configuration.evse[evse_id - 1].cable_without_rating
        if ev.delay_s > 0.0:
            host.clock.call_later(ev.delay_s, lambda: board.vehicle is None and _plug(host, board, ev, unrated))
        else:
            try:
                _plug(host, board, ev, unrated)
            except ValueError as error:
                raise HTTPException(409, str(error)) from error
        return await accepted(host, wait)

    @api.post("/api/sim/evses/{evse_id}/unplug", status_code=202)
    async def unplug(evse_id: int, body: Unplug | None = None, wait: Wait = None) -> Json:
        body = body or Unplug()
        board = board_of(world, evse_id, body.connector)
        try:
            board.unplug(keep_cable=body.ev_side)
        except ValueError as error:
            raise HTTPException(409, str(error)) from error
        return await accepted(host, wait)

    @api.post("/api/sim/evses/{evse_id}/vehicle", status_code=202)
    async def vehicle(evse_id: int, body: VehicleWish, wait: Wait = None) -> Json:
        board = board_of(world, evse_id)
        if board.vehicle is None:
            raise HTTPException(409, "no vehicle is plugged in")
        _wish(board, body)
        return await accepted(host, wait)

    @api.post("/api/sim/evses/{evse_id}/parking-bay", status_code=202)
    async def parking_bay(evse_id: int, body: Bay, wait: Wait = None) -> Json:
        board_of(world, evse_id).occupy_bay(body.occupied)
        return await accepted(host, wait)

    @api.get("/api/sim/evses/{evse_id}/circuit")
    async def circuit(evse_id: int) -> Json:
        return {"currents_a": list(board_of(world, evse_id).currents_a), "voltage_v": NOMINAL_VOLTAGE_V}


def _plug(host: Host, board: SimulatedBoard, ev: Ev, unrated: UnratedCable) -> None:
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

        host.clock.call_later(ev.auto_unplug_s, leave)


def _wish(board: SimulatedBoard, wish: VehicleWish) -> None:
    vehicle = board.vehicle
    if vehicle is None:
        return
    if wish.max_current_a is not None:
        vehicle.limit(wish.max_current_a)
    if wish.diode_fail is not None:
        vehicle.break_diode(wish.diode_fail)
    if wish.pilot_short is not None:
        board.short_pilot(wish.pilot_short)
    match wish.state:
        case "charging" | "resume":
            vehicle.resume()
        case "suspend" | "not_ready":
            vehicle.suspend()
        case "sleep":
            vehicle.suspend()
            vehicle.asleep = True
        case None:
            pass
