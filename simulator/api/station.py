"""What breaks in a simulated station, and what a test bench sets in it past its rules, through the local API."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import FastAPI, HTTPException
from pydantic import Field

from simulator.api.driver import board_of
from simulator.world import World
from station.core.csms import VariableRow, Variables
from station.core.model import Fault
from station.interfaces.api.route_services import Command, Living, Wait, accepted
from station.interfaces.host import Host
from station.interfaces.json_object import Json


class Failure(Command):
    """Something that breaks or is mended."""

    evse: int = 1
    connector: int = 1
    code: Fault


class Lock(Command):
    """The connector lock does not move any more, or does again."""

    evse: int = 1
    connector: int = 1
    failure: bool


class Reader(Command):
    """A token reader of type "simulated": a card is held to it, or it breaks or is mended."""

    name: str = "reader"
    uid: Annotated[str, Field(max_length=64)] | None = None
    """the digits as the card sends them; what is no UID is not presented"""
    failing: bool | None = None


class Flap(Command):
    """The flap that the tamper switch watches. To shut it does not end the alarm."""

    open: bool


class Monitor(Command):
    """The residual-current monitor does not trip any more when it is tested, or does again."""

    evse: int = 1
    broken: bool


class LinkState(Command):
    """The network to the CSMS."""

    state: Literal["up", "down"]


class Power(Command):
    """The station's supply."""

    action: Literal["loss", "restore", "cycle"]


class VariableName(Command):
    """An attribute of the device model."""

    component: str
    component_instance: str | None = None
    evse: int | None = None
    connector: int | None = None
    variable: str
    instance: str | None = None
    attribute: Literal["Actual", "Target", "MinSet", "MaxSet"] = "Actual"


class VariableValue(VariableName):
    """A device-model value to put in force past its mutability."""

    value: str


def station_routes(api: FastAPI, host: Host, living: Living, world: World) -> None:
    """Faults, power, the network, and values of the device model."""
    _failing_routes(api, host, world)
    _connected_routes(api, host, living)
    _variable_routes(api, living)


def _failing_routes(api: FastAPI, host: Host, world: World) -> None:
    @api.post("/api/sim/reader", status_code=202)
    async def reader(body: Reader, wait: Wait = None) -> Json:
        found = world.readers.get(body.name)
        if found is None:
            raise HTTPException(404, f'there is no simulated reader "{body.name}"')
        if body.failing is not None:
            found.fail(body.failing)
        if body.uid is not None:
            found.hold(body.uid)
        return await accepted(host, wait)

    @api.post("/api/sim/faults", status_code=202)
    async def raise_fault(body: Failure, wait: Wait = None) -> Json:
        _break(world, body, True)
        return await accepted(host, wait)

    @api.delete("/api/sim/faults", status_code=202)
    async def clear_fault(body: Failure, wait: Wait = None) -> Json:
        _break(world, body, False)
        return await accepted(host, wait)

    @api.post("/api/sim/lock", status_code=202)
    async def lock(body: Lock, wait: Wait = None) -> Json:
        _break(world, Failure(evse=body.evse, connector=body.connector, code=Fault.LOCK), body.failure)
        return await accepted(host, wait)

    @api.post("/api/sim/tamper", status_code=202)
    async def tamper(body: Flap, wait: Wait = None) -> Json:
        world.back_plate.move_flap(body.open)
        return await accepted(host, wait)

    @api.post("/api/sim/residual-monitor", status_code=202)
    async def residual_monitor(body: Monitor, wait: Wait = None) -> Json:
        board_of(world, body.evse).monitor_broken = body.broken
        return await accepted(host, wait)


def _connected_routes(api: FastAPI, host: Host, living: Living) -> None:
    @api.post("/api/sim/csms-link", status_code=202)
    async def csms_link(body: LinkState, wait: Wait = None) -> Json:
        link = living.life.link
        if link is None:
            raise HTTPException(409, "there is no CSMS")
        if body.state == "down":
            link.cut()
        else:
            link.mend()
        return await accepted(host, wait)

    @api.post("/api/sim/power", status_code=202)
    async def power(body: Power) -> Json:
        if body.action in {"loss", "cycle"}:
            await host.lose_power()
        if body.action in {"restore", "cycle"}:
            await host.restore_power()
        return {"accepted": True}


def _variable_routes(api: FastAPI, living: Living) -> None:
    @api.put("/api/sim/variables", status_code=202)
    async def override(body: VariableValue) -> Json:
        try:
            _model(living).override(_row(body, body.value))
        except KeyError as error:
            raise HTTPException(404, str(error.args[0])) from error
        except ValueError as error:
            raise HTTPException(422, f"value: {error}") from error
        return {"accepted": True}

    @api.delete("/api/sim/variables", status_code=202)
    async def restore(body: VariableName) -> Json:
        try:
            _model(living).restore(_row(body))
        except KeyError as error:
            raise HTTPException(404, str(error.args[0])) from error
        return {"accepted": True}


def _model(living: Living) -> Variables:
    model = living.life.variables
    if model is None:
        raise HTTPException(409, "there is no device model")
    return model


def _row(name: VariableName, value: str | None = None) -> VariableRow:
    return VariableRow(
        name.component,
        name.component_instance,
        name.evse,
        name.connector,
        name.variable,
        name.instance,
        name.attribute,
        value,
        "",
    )


def _break(world: World, what: Failure, broken: bool) -> None:
    """Something breaks, or is mended."""
    board = board_of(world, what.evse, what.connector)
    if what.code is Fault.METER:
        world.fail_meter(what.evse, broken)
    elif broken:
        board.raise_fault(what.code)
    else:
        board.clear_fault(what.code)
