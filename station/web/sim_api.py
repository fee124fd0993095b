"""The simulated hardware through the local API: what a driver, a meter, a network or time itself does."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import FastAPI, HTTPException
from pydantic import Field

from metering.reading import Phases
from station.model import Fault
from station.ports import VariableRow
from station.simulation.board import SimulatedBoard
from station.simulation.vehicle import VOLTAGE_V, VehicleModel
from station.web.api import Command, Living, Wait, maybe_settle
from station.web.host import Host
from station.web.status import Json

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
    cable_max_a: Annotated[float, Field(ge=6, le=80)] | None = None


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


class Failure(Command):
    """Something that breaks or is mended."""

    evse: int = 1
    connector: int = 1
    code: Fault


class LinkState(Command):
    """The network to the CSMS."""

    state: Literal["up", "down"]


class Power(Command):
    """The station's supply."""

    action: Literal["loss", "restore", "cycle"]


class Meter(Command):
    """What the billing meter shows in place of the truth; null is the truth again."""

    evse: int = 1
    energy_wh: float | None = None
    power_w: float | None = None
    current_a: float | None = None
    voltage_v: float | None = None
    failure: bool | None = None


class Grid(Command):
    """The house behind the grid meter."""

    currents_a: Annotated[list[_Current], Field(min_length=1, max_length=3)] | None = None
    loads: dict[str, Annotated[list[_Current], Field(min_length=1, max_length=3)] | None] | None = None
    """named loads that go on; null: off"""
    silence: bool | None = None
    noise: Annotated[float, Field(ge=0, le=1)] | None = None
    """bit flips per byte on the meter's wire"""


class VariableValue(Command):
    """A device-model value to put in force past its mutability."""

    component: str
    component_instance: str | None = None
    evse: int | None = None
    connector: int | None = None
    variable: str
    instance: str | None = None
    attribute: Literal["Actual"] = "Actual"
    value: str


class Time(Command):
    """How time goes on."""

    advance_s: Annotated[float, Field(ge=0, le=10 * 86_400)] | None = None
    rate: Annotated[float, Field(ge=0, le=1000)] | None = None


def simulation_routes(api: FastAPI, host: Host, living: Living) -> None:
    """Everything below /api/sim/."""
    _driver_routes(api, host)
    _station_routes(api, host, living)
    _surroundings_routes(api, host)


def _board(host: Host, evse_id: int, connector: int = 1) -> SimulatedBoard:
    board = host.world.boards.get(evse_id)
    if board is None:
        raise HTTPException(404, f"EVSE {evse_id} does not exist")
    if connector != 1:
        raise HTTPException(404, f"connector {connector} does not exist")
    return board


def _driver_routes(api: FastAPI, host: Host) -> None:
    @api.post("/api/sim/evses/{evse_id}/plug", status_code=202)
    async def plug(evse_id: int, body: Plug, wait: Wait = None) -> Json:  # pyright: ignore[reportUnusedFunction]
        board, ev = _board(host, evse_id, body.connector), body.ev
        if ev.delay_s > 0.0:
            host.clock.call_later(ev.delay_s, lambda: board.vehicle is None and _plug(host, board, ev))
        else:
            try:
                _plug(host, board, ev)
            except ValueError as error:
                raise HTTPException(409, str(error)) from error
        await maybe_settle(host, wait)
        return {"accepted": True}

    @api.post("/api/sim/evses/{evse_id}/unplug", status_code=202)
    async def unplug(evse_id: int, body: Unplug | None = None, wait: Wait = None) -> Json:  # pyright: ignore[reportUnusedFunction]
        body = body or Unplug()
        board = _board(host, evse_id, body.connector)
        try:
            board.unplug(keep_cable=body.ev_side)
        except ValueError as error:
            raise HTTPException(409, str(error)) from error
        await maybe_settle(host, wait)
        return {"accepted": True}

    @api.post("/api/sim/evses/{evse_id}/vehicle", status_code=202)
    async def vehicle(evse_id: int, body: VehicleWish, wait: Wait = None) -> Json:  # pyright: ignore[reportUnusedFunction]
        board = _board(host, evse_id)
        if board.vehicle is None:
            raise HTTPException(409, "no vehicle is plugged in")
        _wish(board, body)
        await maybe_settle(host, wait)
        return {"accepted": True}

    @api.post("/api/sim/evses/{evse_id}/parking-bay", status_code=202)
    async def parking_bay(evse_id: int, body: Bay, wait: Wait = None) -> Json:  # pyright: ignore[reportUnusedFunction]
        _board(host, evse_id).occupy_bay(body.occupied)
        await maybe_settle(host, wait)
        return {"accepted": True}

    @api.get("/api/sim/evses/{evse_id}/circuit")
    async def circuit(evse_id: int) -> Json:  # pyright: ignore[reportUnusedFunction]
        return {"currents_a": list(_board(host, evse_id).currents_a), "voltage_v": VOLTAGE_V}


def _plug(host: Host, board: SimulatedBoard, ev: Ev) -> None:
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
        cable_max_a=ev.cable_max_a,
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


def _station_routes(api: FastAPI, host: Host, living: Living) -> None:
    @api.post("/api/sim/faults", status_code=202)
    async def raise_fault(body: Failure, wait: Wait = None) -> Json:  # pyright: ignore[reportUnusedFunction]
        _break(host, body, True)
        await maybe_settle(host, wait)
        return {"accepted": True}

    @api.delete("/api/sim/faults", status_code=202)
    async def clear_fault(body: Failure, wait: Wait = None) -> Json:  # pyright: ignore[reportUnusedFunction]
        _break(host, body, False)
        await maybe_settle(host, wait)
        return {"accepted": True}

    @api.post("/api/sim/csms-link", status_code=202)
    async def csms_link(body: LinkState, wait: Wait = None) -> Json:  # pyright: ignore[reportUnusedFunction]
        link = living.life.link
        if link is None:
            raise HTTPException(409, "there is no CSMS")
        if body.state == "down":
            link.cut()
        else:
            link.mend()
        await maybe_settle(host, wait)
        return {"accepted": True}

    @api.post("/api/sim/power", status_code=202)
    async def power(body: Power) -> Json:  # pyright: ignore[reportUnusedFunction]
        if body.action in {"loss", "cycle"}:
            await host.lose_power()
        if body.action in {"restore", "cycle"}:
            await host.restore_power()
        return {"accepted": True}

    @api.put("/api/sim/variables", status_code=202)
    async def variables(body: VariableValue) -> Json:  # pyright: ignore[reportUnusedFunction]
        model = living.life.variables
        if model is None:
            raise HTTPException(409, "there is no device model")
        row = VariableRow(
            body.component,
            body.component_instance,
            body.evse,
            body.connector,
            body.variable,
            body.instance,
            body.attribute,
            body.value,
            "",
        )
        try:
            model.override(row)
        except KeyError as error:
            raise HTTPException(404, str(error.args[0])) from error
        except ValueError as error:
            raise HTTPException(422, f"value: {error}") from error
        return {"accepted": True}


def _break(host: Host, what: Failure, broken: bool) -> None:
    """Something breaks, or is mended."""
    board = _board(host, what.evse, what.connector)
    if what.code is Fault.METER:
        host.world.fail_meter(what.evse, broken)
    elif broken:
        board.raise_fault(what.code)
    else:
        board.clear_fault(what.code)


def _surroundings_routes(api: FastAPI, host: Host) -> None:
    @api.post("/api/sim/meter", status_code=202)
    async def meter(body: Meter, wait: Wait = None) -> Json:  # pyright: ignore[reportUnusedFunction]
        board = _board(host, body.evse)
        board.override_meter(body.energy_wh, body.power_w, body.current_a, body.voltage_v)
        if body.failure is not None:
            host.world.fail_meter(body.evse, body.failure)
        await maybe_settle(host, wait)
        return {"accepted": True}

    @api.post("/api/sim/grid", status_code=202)
    async def grid(body: Grid, wait: Wait = None) -> Json:  # pyright: ignore[reportUnusedFunction]
        house, linky = host.world.house, host.world.linky
        if body.currents_a is not None:
            house.set_currents(_three(body.currents_a))
        for name, currents in (body.loads or {}).items():
            if currents is None:
                house.switch_off(name)
            else:
                house.switch_on(name, _three(currents))
        if (body.silence is not None or body.noise is not None) and linky is None:
            raise HTTPException(409, "the house has no simulated meter")
        if linky is not None:
            linky.silent = linky.silent if body.silence is None else body.silence
            linky.flips_per_byte = linky.flips_per_byte if body.noise is None else body.noise
        await maybe_settle(host, wait)
        return {"accepted": True}

    @api.post("/api/sim/clock")
    async def clock(body: Time) -> Json:  # pyright: ignore[reportUnusedFunction]
        if (body.advance_s is None) == (body.rate is None):
            raise HTTPException(422, "advance_s or rate: one of them")
        if body.rate is not None:
            host.clock.run(body.rate)
        if body.advance_s is not None:
            await host.clock.advance(body.advance_s)
        return {"now": host.clock.now().isoformat(), "monotonic_s": host.clock.monotonic(), "rate": host.clock.rate}


def _three(currents_a: list[float]) -> Phases[float]:
    filled = [*currents_a, 0.0, 0.0]
    return Phases(filled[0], filled[1], filled[2])
