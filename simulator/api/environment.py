"""Routes with which a test bench changes the environment of a simulated station: meter, house, back plate, time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException
from pydantic import Field
from typing_extensions import TypedDict

from metering.reading import Phases
from simulator.api.driver import board_of
from simulator.board import MeterOverride
from simulator.house import TariffPeriod
from simulator.trace import TraceError, read_trace
from simulator.world import World
from station.core.hardware.back_plate import JumperPosition
from station.interfaces.access.roles import require_role
from station.interfaces.api.dependencies import ACCEPTED, Accepted, Command, Settle, part
from station.security.access.accounts import Role

router = APIRouter(tags=["simulation"])

_Current = Annotated[float, Field(ge=0, le=200)]


class BillingMeterOrder(Command):
    """Values for the billing meter to show instead of the simulated ones; null: the simulated value."""

    evse: int = 1
    energy_wh: float | None = None
    power_w: float | None = None
    current_a: float | None = None
    voltage_v: float | None = None
    noise: Annotated[float, Field(ge=0, le=1)] | None = None
    """highest relative random deviation of current and voltage from reading to reading"""
    failure: bool | None = None


class TemperatureOrder(Command):
    """Temperature shown by the sensor inside the station; null: there is no sensor."""

    evse: int | None = None
    """null: every EVSE"""
    celsius: Annotated[float, Field(ge=-60, le=150)] | None


class SelectorOrder(Command):
    """Position of the current selector on the back plate; null: unreadable."""

    position: Literal["32", "25", "20", "16", "12", "8", "X", "Y", "Z"] | None


class HouseOrder(Command):
    """A change of the house behind the grid meter, of this meter, or of the grid operator's contact."""

    currents_a: Annotated[list[_Current], Field(min_length=1, max_length=3)] | None = None
    loads: dict[str, Annotated[list[_Current], Field(min_length=1, max_length=3)] | None] | None = None
    """named loads to switch on; null: to switch off"""
    trace_file: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """a CSV file on this machine: a header, then the amperes of L1, L2, L3 for each second from now on"""
    silence: bool | None = None
    noise: Annotated[float, Field(ge=0, le=1)] | None = None
    """bit flips per byte on the meter's wire; on Modbus any value but 0 corrupts every answer"""
    frozen: bool | None = None
    """the meter repeats its last values, whatever the house draws"""
    tariff_period: TariffPeriod | None = None
    """running tariff period of a Linky, in historique notation"""
    tomorrow: Literal["----", "BLEU", "BLAN", "ROUG"] | None = None
    """tomorrow's colour reported by the Linky"""
    contact: bool | None = None
    """whether the grid operator's contact is closed; its opposite is set to the other state"""
    contact_wire_broken: bool | None = None
    """both contacts of the changeover relay appear open; null: unchanged"""
    contact_failing: bool | None = None
    """the input of the contacts does not respond"""


class JumpersOrder(Command):
    """Position of the jumpers of the smart-meter port; null: unreadable."""

    position: JumperPosition | None


class ClockOrder(Command):
    """A change of the virtual clock: exactly one of the two."""

    advance_s: Annotated[float, Field(ge=0, le=10 * 86_400)] | None = None
    rate: Annotated[float, Field(ge=0, le=1000)] | None = None


class ClockShown(TypedDict):
    """State of the virtual clock."""

    now: str
    monotonic_s: float
    rate: float
    """seconds of the clock per second; 0: it stands still"""


_World = Annotated[World, part(World)]


@router.post(
    "/api/sim/meter",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Change the register or state of a billing meter",
)
async def change_billing_meter(body: BillingMeterOrder, world: _World, settle: Settle) -> Accepted:
    """Let the billing meter of an EVSE show other values, or fail."""
    board = board_of(world, body.evse)
    board.meter_override = MeterOverride(
        body.energy_wh, body.power_w, body.current_a, body.voltage_v, body.noise or 0.0
    )
    if body.failure is not None:
        world.fail_meter(body.evse, body.failure)
    await settle()
    return ACCEPTED


@router.post(
    "/api/sim/grid",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Change the house and its grid meter",
)
async def change_house(body: HouseOrder, world: _World, settle: Settle) -> Accepted:
    """Switch loads, disturb the grid meter, or set the grid operator's contact; 409 if it would have no effect."""
    trace = await _trace(body)
    _require_meter(world, body)
    if body.frozen is not None and not world.freeze_grid_meter(body.frozen):
        raise HTTPException(409, "freeze: the house has no simulated grid meter")
    house, contacts = world.house, world.contacts
    if trace is not None:
        house.replay(trace)
    if body.currents_a is not None:
        house.set_currents(_three(body.currents_a))
    for name, currents in (body.loads or {}).items():
        if currents is None:
            house.switch_off(name)
        else:
            house.switch_on(name, _three(currents))
    world.disturb_grid_meter(silence=body.silence, noise=body.noise)
    period, tomorrow = world.tariff
    world.tariff = (body.tariff_period or period, body.tomorrow or tomorrow)
    if body.contact is not None:
        contacts.closed = (body.contact, not body.contact)
    if body.contact_wire_broken:
        contacts.closed = (False, False)
    if body.contact_failing is not None:
        contacts.failing = body.contact_failing
    await settle()
    return ACCEPTED


async def _trace(body: HouseOrder) -> Sequence[Phases[float]] | None:
    """Read the trace that the house is to replay; 422 if it is invalid."""
    if body.trace_file is None:
        return None
    try:
        return await asyncio.to_thread(read_trace, Path(body.trace_file))
    except TraceError as error:
        raise HTTPException(422, f"trace_file: {error}") from error


def _require_meter(world: World, body: HouseOrder) -> None:
    """Raise 409, before any change, if the request would have no effect."""
    of_house = (body.currents_a, body.loads, body.trace_file, body.tariff_period, body.tomorrow)
    if not world.has_grid and any(one is not None for one in of_house):
        raise HTTPException(409, "loads have no effect: the installation file has no [grid]")
    disturbs = body.silence is not None or body.noise is not None
    if disturbs and not world.disturb_grid_meter(silence=None, noise=None):
        raise HTTPException(409, "the house has no simulated grid meter")


@router.post(
    "/api/sim/temperature",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Change the temperature",
)
async def change_temperature(body: TemperatureOrder, world: _World, settle: Settle) -> Accepted:
    """Set the temperature shown by the sensor of an EVSE, or of all."""
    boards = world.boards.values() if body.evse is None else [board_of(world, body.evse)]
    for board in boards:
        board.set_temperature(body.celsius)
    await settle()
    return ACCEPTED


@router.post(
    "/api/sim/selector",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Turn the current selector",
)
async def turn_selector(body: SelectorOrder, world: _World, settle: Settle) -> Accepted:
    """Turn the current selector on the back plate."""
    world.back_plate.turn(body.position)
    await settle()
    return ACCEPTED


@router.post(
    "/api/sim/jumpers",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Move the jumpers of the smart-meter port",
)
async def move_jumpers(body: JumpersOrder, world: _World, settle: Settle) -> Accepted:
    """Set the position of the jumpers."""
    world.back_plate.plug_jumpers(body.position)
    await settle()
    return ACCEPTED


@router.post(
    "/api/sim/clock",
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Move the virtual clock",
)
async def move_clock(body: ClockOrder, world: _World) -> ClockShown:
    """Advance the clock at once, or set its rate."""
    time = world.clock
    if (body.advance_s is None) == (body.rate is None):
        raise HTTPException(422, "advance_s or rate: exactly one of them is required")
    if body.rate is not None:
        time.run(body.rate)
    if body.advance_s is not None:
        await time.advance(body.advance_s)
    return {"now": time.now().isoformat(), "monotonic_s": time.monotonic(), "rate": time.rate}


def _three(currents_a: list[float]) -> Phases[float]:
    filled = [*currents_a, 0.0, 0.0]
    return Phases(filled[0], filled[1], filled[2])
