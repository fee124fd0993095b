"""Routes with which a test bench raises faults in a simulated station, cuts its power, and overrides variables."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import HTTPException
from pydantic import Field

from simulator.api.driver import board_of
from simulator.world import World
from station.core.csms import CsmsLink, VariableRow, Variables
from station.core.model import Fault
from station.core.station_control import StationControl
from station.interfaces.access.roles import require_role
from station.interfaces.api.dependencies import ACCEPTED, Accepted, Command, Settle, example, optional_part, part
from station.interfaces.api.routing import api_router
from station.interfaces.part_keys import CSMS_LINK, DEVICE_MODEL, STATION_CONTROL
from station.security.access.accounts import Role

router = api_router("simulation")

_World = Annotated[World, part(World)]
_Model = Annotated[Variables, part(DEVICE_MODEL)]


class FaultOrder(Command):
    """Body of POST and DELETE /api/sim/faults: the fault to raise or clear at an EVSE."""

    model_config = example(evse=1, code="ground-fault")

    evse: int = 1
    """the EVSE at which the fault is raised or cleared"""
    connector: int = 1
    """number of the connector; only 1 exists"""
    code: Fault
    """the fault to raise or to clear"""


class LockOrder(Command):
    """Body of POST /api/sim/lock: whether the connector lock of an EVSE is jammed."""

    model_config = example(evse=1, failure=True)

    evse: int = 1
    """the EVSE whose connector lock it is"""
    connector: int = 1
    """number of the connector; only 1 exists"""
    failure: bool
    """whether it is jammed (the fault of the lock), or free again"""


class ReaderOrder(Command):
    """Body of POST /api/sim/reader: a card to present to a simulated token reader, or whether the reader fails."""

    model_config = example(name="front", uid="04A3B2C1D5E680")

    name: str = "reader"
    """name of the reader in the installation file"""
    uid: Annotated[str, Field(max_length=64)] | None = None
    """digits as sent by the card; an invalid UID is ignored by the station; null: no card"""
    failing: bool | None = None
    """whether the reader fails from now on; null: unchanged"""


class FlapOrder(Command):
    """Body of POST /api/sim/tamper: whether the flap with the tamper switch is open."""

    model_config = example(open=True)

    open: bool
    """false closes it, which does not end the alarm"""


class MonitorOrder(Command):
    """Body of POST /api/sim/residual-monitor: whether the residual-current monitor of an EVSE fails its tests."""

    model_config = example(evse=1, broken=True)

    evse: int = 1
    """the EVSE whose residual-current monitor it is"""
    broken: bool
    """true: its self-tests fail from now on; false: they pass again"""


class LinkOrder(Command):
    """Body of POST /api/sim/csms-link: whether the network between station and CSMS works."""

    model_config = example(state="down")

    state: Literal["up", "down"]
    """`up`: works; `down`: cut, and the station does not dial until it works again"""


class PowerOrder(Command):
    """Body of POST /api/sim/power: a simulated power cut of the station (`loss`), its end (`restore`), or both."""

    model_config = example(action="cycle")

    action: Literal["loss", "restore", "cycle"]
    """`loss`: cut and stay off; `restore`: end the cut; `cycle`: cut, then restore"""


class VariableName(Command):
    """Body of DELETE /api/sim/variables: the attribute of a device-model variable whose override ends."""

    model_config = example(component="OCPPCommCtrlr", variable="HeartbeatInterval")

    component: str
    """name of the component, such as OCPPCommCtrlr"""
    component_instance: str | None = None
    """instance of the component; null: none"""
    evse: int | None = None
    """EVSE of the component; null: none"""
    connector: int | None = None
    """connector of the component; null: none"""
    variable: str
    """name of the variable, such as HeartbeatInterval"""
    instance: str | None = None
    """instance of the variable; null: none"""
    attribute: Literal["Actual", "Target", "MinSet", "MaxSet"] = "Actual"
    """AttributeEnumType: which of the values of the variable"""


class VariableValue(VariableName):
    """Body of PUT /api/sim/variables: the value that overrides a device-model attribute, whatever its mutability."""

    model_config = example(component="OCPPCommCtrlr", variable="HeartbeatInterval", value="60")

    value: str
    """the value as text, in the form of OCPP; in force at once, until it is removed or the station restarts"""


@router.post(
    "/api/sim/reader",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Present a card to a simulated reader",
)
async def hold_card(body: ReaderOrder, world: _World, settle: Settle) -> Accepted:
    """Present a card to a simulated token reader, or make the reader fail or work again.

    404 if no simulated reader has this name.
    """
    found = world.readers.get(body.name)
    if found is None:
        raise HTTPException(404, f'no simulated reader is named "{body.name}"')
    if body.failing is not None:
        found.set_failing(body.failing)
    if body.uid is not None:
        found.present_card(body.uid)
    await settle()
    return ACCEPTED


@router.post(
    "/api/sim/faults",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Raise a fault",
)
async def raise_fault(body: FaultOrder, world: _World, settle: Settle) -> Accepted:
    """Raise a fault at an EVSE, until it is cleared; for the fault of the meter, the billing meter becomes silent."""
    _set_fault(world, body, True)
    await settle()
    return ACCEPTED


@router.delete(
    "/api/sim/faults",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Clear a fault",
)
async def clear_fault(body: FaultOrder, world: _World, settle: Settle) -> Accepted:
    """Clear a fault at an EVSE; for the fault of the meter, the billing meter answers again."""
    _set_fault(world, body, False)
    await settle()
    return ACCEPTED


@router.post(
    "/api/sim/lock",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Jam or free the connector lock",
)
async def jam_lock(body: LockOrder, world: _World, settle: Settle) -> Accepted:
    """Jam the connector lock of an EVSE, so that it stays as it is, or free it."""
    _set_fault(world, FaultOrder(evse=body.evse, connector=body.connector, code=Fault.LOCK), body.failure)
    await settle()
    return ACCEPTED


@router.post(
    "/api/sim/tamper",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Open or close the SIM-card flap",
)
async def move_flap(body: FlapOrder, world: _World, settle: Settle) -> Accepted:
    """Open or close the SIM-card flap, which has the tamper switch."""
    world.back_plate.move_flap(body.open)
    await settle()
    return ACCEPTED


@router.post(
    "/api/sim/residual-monitor",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Break or repair the residual-current monitor",
)
async def break_residual_monitor(body: MonitorOrder, world: _World, settle: Settle) -> Accepted:
    """Let the residual-current monitor of an EVSE fail its tests, or pass them again; raises no fault by itself."""
    board_of(world, body.evse).monitor_broken = body.broken
    await settle()
    return ACCEPTED


@router.post(
    "/api/sim/csms-link",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Cut or restore the network to the CSMS",
)
async def set_csms_link(
    body: LinkOrder, link: Annotated[CsmsLink | None, optional_part(CSMS_LINK)], settle: Settle
) -> Accepted:
    """Cut the simulated network between station and CSMS, or restore it; 409 if no CSMS is configured."""
    if link is None:
        raise HTTPException(409, "no CSMS is configured")
    if body.state == "down":
        link.cut_network()
    else:
        link.restore_network()
    await settle()
    return ACCEPTED


@router.post(
    "/api/sim/power",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Cut or restore the power",
)
async def switch_power(body: PowerOrder, control: Annotated[StationControl, part(STATION_CONTROL)]) -> Accepted:
    """Cut the power of the simulated station, restore it, or both; returns when the station has stopped or started.

    What is not on disk is lost. The simulated hardware and this API keep running.
    """
    if body.action in {"loss", "cycle"}:
        await control.cut_power()
    if body.action in {"restore", "cycle"}:
        await control.restore_power()
    return ACCEPTED


@router.put(
    "/api/sim/variables",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Override a device-model variable",
)
async def override_variable(body: VariableValue, model: _Model) -> Accepted:
    """Override the value of a device-model attribute, whatever its mutability, without storing it.

    404 if there is no such variable, 422 if it cannot have the value.
    """
    try:
        model.override(_variable_row(body, body.value))
    except KeyError as error:
        raise HTTPException(404, str(error.args[0])) from error
    except ValueError as error:
        raise HTTPException(422, f"value: {error}") from error
    return ACCEPTED


@router.delete(
    "/api/sim/variables",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Restore a device-model variable",
)
async def restore_variable(body: VariableName, model: _Model) -> Accepted:
    """End the override of a device-model attribute; without effect if it is not overridden.

    404 if there is no such variable.
    """
    try:
        model.restore(_variable_row(body))
    except KeyError as error:
        raise HTTPException(404, str(error.args[0])) from error
    return ACCEPTED


def _variable_row(name: VariableName, value: str | None = None) -> VariableRow:
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


def _set_fault(world: World, order: FaultOrder, broken: bool) -> None:
    """Raise or clear a fault."""
    board = board_of(world, order.evse, order.connector)
    if order.code is Fault.METER:
        world.fail_meter(order.evse, broken)
    elif broken:
        board.raise_fault(order.code)
    else:
        board.clear_fault(order.code)
