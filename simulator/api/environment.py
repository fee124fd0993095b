"""Routes with which a test bench changes the environment of a simulated station: meter, house, back plate, time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from fastapi import HTTPException
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
from station.interfaces.api.dependencies import ACCEPTED, Accepted, Command, Settle, example, part
from station.interfaces.api.routing import api_router
from station.security.access.accounts import Role

router = api_router("simulation")

_Current = Annotated[float, Field(ge=0, le=200)]
_LoadCurrent = Annotated[float, Field(ge=-200, le=200)]


class BillingMeterOverride(Command):
    """Body of POST /api/sim/meter: values that the billing meter of an EVSE reports instead of the simulated ones.

    Each request replaces the values of the one before; null or left out: the simulated value.
    """

    model_config = example(evse=1, current_a=15.5, voltage_v=231)

    evse: int = 1
    """the EVSE whose billing meter it is"""
    energy_wh: float | None = None
    """register of all phases, Wh"""
    register_offset_wh: Annotated[float, Field(ge=-1e9, le=1e9)] | None = None
    """what the register shows too much, Wh: it jumps, or with a negative value runs back; null: nothing"""
    power_w: float | None = None
    """total active power, W"""
    current_a: float | None = None
    """current on each phase, A"""
    voltage_v: float | None = None
    """voltage on each phase, V"""
    noise: Annotated[float, Field(ge=0, le=1)] | None = None
    """highest relative random deviation of current and voltage from reading to reading; null: none"""
    failure: bool | None = None
    """whether the meter does not answer; null: unchanged"""


class TemperatureOrder(Command):
    """Body of POST /api/sim/temperature: the temperature that the sensor inside the station reports."""

    model_config = example(evse=1, celsius=45)

    evse: int | None = None
    """the EVSE whose sensor it is; null: those of every EVSE"""
    celsius: Annotated[float, Field(ge=-60, le=150)] | None
    """degrees Celsius; null: none is reported"""


class SelectorOrder(Command):
    """Body of POST /api/sim/selector: the printed position of the current selector; null: unreadable."""

    model_config = example(position="16")

    position: Literal["32", "25", "20", "16", "12", "8", "X", "Y", "Z"] | None
    """amperes per phase as printed, or a reserved position: X, Y, Z; null: unreadable"""


class HouseOrder(Command):
    """Body of POST /api/sim/grid: changes of the house, its grid meter, or the grid operator's contact.

    Null or left out: unchanged.
    """

    model_config = example(currents_a=[8.5, 2, 3.1])

    currents_a: Annotated[list[_Current], Field(min_length=1, max_length=3)] | None = None
    """total current without the EVSEs, A on L1, L2, L3, in place of all loads and of the recording"""
    loads: dict[str, Annotated[list[_LoadCurrent], Field(min_length=1, max_length=3)] | None] | None = None
    """named loads to switch on, with their A on L1, L2, L3; negative: a source, such as the sun on a roof; null: to
    switch off; loads not named are unchanged"""
    trace_file: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """a CSV file on this machine, in place of all loads: a header, then the amperes of L1, L2, L3 for each second from
    now on"""
    silence: bool | None = None
    """whether the grid meter sends or answers nothing"""
    noise: Annotated[float, Field(ge=0, le=1)] | None = None
    """bit flips per byte on the meter's wire; on Modbus any value but 0 corrupts every answer"""
    frozen: bool | None = None
    """whether the grid meter repeats its last values, whatever the house draws; not for a Linky"""
    tariff_period: TariffPeriod | None = None
    """running tariff period of a Linky, in historique notation"""
    tomorrow: Literal["----", "BLEU", "BLAN", "ROUG"] | None = None
    """tomorrow's colour reported by the Linky"""
    contact: bool | None = None
    """whether the grid operator's contact is closed; its opposite is set to the other state"""
    contact_wire_broken: bool | None = None
    """true: both contacts of the changeover relay appear open; false: no effect, `contact` sets them again"""
    contact_failing: bool | None = None
    """whether the input of the contacts does not respond"""


class JumpersOrder(Command):
    """Body of POST /api/sim/jumpers: the position of the jumpers of the smart-meter port; null: unreadable."""

    model_config = example(position="1-2")

    position: JumperPosition | None
    """the pins that the jumpers J1 and J2 connect; null: their position cannot be read"""


class ClockOrder(Command):
    """Body of POST /api/sim/clock: a change of the virtual clock, exactly one of the three."""

    model_config = example(advance_s=3600)

    advance_s: Annotated[float, Field(ge=0, le=10 * 86_400)] | None = None
    """virtual seconds to advance at once"""
    rate: Annotated[float, Field(ge=0, le=1000)] | None = None
    """virtual seconds per real second from now on; 0: the clock stands still"""
    jump_s: Annotated[float, Field(ge=-3650 * 86_400, le=3650 * 86_400)] | None = None
    """seconds by which the wall time alone jumps, as if the clock of the station was set wrongly; negative: back"""


class ClockShown(TypedDict):
    """Response of POST /api/sim/clock: the virtual clock after the change."""

    now: str
    """virtual wall time, ISO 8601 in UTC"""
    monotonic_s: float
    """virtual seconds since the clock was created"""
    rate: float
    """virtual seconds per real second; 0: it stands still"""


_World = Annotated[World, part(World)]


@router.post(
    "/api/sim/meter",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Change the register or state of a billing meter",
)
async def change_billing_meter(body: BillingMeterOverride, world: _World, settle: Settle) -> Accepted:
    """Let the simulated billing meter of an EVSE report other values, or fail.

    The values replace all those of the request before.
    """
    board = board_of(world, body.evse)
    board.meter_override = MeterOverride(
        body.energy_wh,
        body.power_w,
        body.current_a,
        body.voltage_v,
        body.noise or 0.0,
        body.register_offset_wh or 0.0,
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
    """Change the loads of the house, disturb its grid meter, or set the grid operator's contact.

    409 if the station has no [grid] or no simulated grid meter to change.
    """
    trace = await _read_trace(body)
    _require_meter(world, body)
    if body.frozen is not None and not world.freeze_grid_meter(body.frozen):
        raise HTTPException(409, "freeze: the house has no simulated grid meter")
    house, contacts = world.house, world.contacts
    if trace is not None:
        house.replay(trace)
    if body.currents_a is not None:
        house.set_currents(_three_phases(body.currents_a))
    for name, currents in (body.loads or {}).items():
        if currents is None:
            house.switch_off(name)
        else:
            house.switch_on(name, _three_phases(currents))
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


async def _read_trace(body: HouseOrder) -> Sequence[Phases[float]] | None:
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
    if not world.has_grid and any(value is not None for value in of_house):
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
    """Set the temperature that the sensor of an EVSE reports, or those of all EVSEs."""
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
    """Set the position of the current selector on the back plate."""
    world.back_plate.turn_selector(body.position)
    await settle()
    return ACCEPTED


@router.post(
    "/api/sim/jumpers",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Move the jumpers of the smart-meter port",
)
async def move_jumpers(body: JumpersOrder, world: _World, settle: Settle) -> Accepted:
    """Set the position of the jumpers of the smart-meter port."""
    world.back_plate.plug_jumpers(body.position)
    await settle()
    return ACCEPTED


@router.post(
    "/api/sim/clock",
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Move the virtual clock",
)
async def move_clock(body: ClockOrder, world: _World) -> ClockShown:
    """Advance the virtual clock of the station at once, set its rate, or let its wall time jump.

    Advancing runs everything that is due meanwhile, then responds.
    """
    clock = world.clock
    if sum(value is not None for value in (body.advance_s, body.rate, body.jump_s)) != 1:
        raise HTTPException(422, "advance_s, rate or jump_s: exactly one of them is required")
    if body.jump_s is not None:
        clock.adjust(timedelta(seconds=body.jump_s))
    if body.rate is not None:
        clock.set_rate(body.rate)
    if body.advance_s is not None:
        await clock.advance(body.advance_s)
    return {"now": clock.now().isoformat(), "monotonic_s": clock.monotonic(), "rate": clock.rate}


def _three_phases(currents_a: list[float]) -> Phases[float]:
    filled = [*currents_a, 0.0, 0.0]
    return Phases(filled[0], filled[1], filled[2])
