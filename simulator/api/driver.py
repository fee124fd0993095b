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
from simulator.communication_model import CommunicationFault, CommunicationModel
from simulator.pki.contracts import contract_of
from simulator.vehicle import Vehicle, VehicleModel
from simulator.world import World
from station.configuration.installation_file import Configuration
from station.core.hardware.pilot import UnratedCable, cable_limit_a
from station.core.vehicle_link import ISO_15118_2, MAX_CHAIN_CHARACTERS, CertificateAction, Contract
from station.interfaces.access.roles import require_role
from station.interfaces.api.dependencies import ACCEPTED, Accepted, Command, EvseId, Settle, example, part
from station.interfaces.api.routing import api_router
from station.interfaces.part_keys import CLOCK
from station.security.access.accounts import Role

router = api_router("simulation")

_SessionChange = Literal["renegotiate", "pause", "wake", "stop", "fail", "hang"]
_Current = Annotated[float, Field(ge=0, le=200)]
_Seconds = Annotated[float, Field(ge=0, le=86_400)]


class SimulatedContract(Command):
    """`contract` in `ev.iso15118`: the contract of a simulated vehicle."""

    emaid: Annotated[str, Field(min_length=1, max_length=36)] | None = None
    """e-mobility account identifier; null: that of the certificate"""
    chain: Annotated[str, Field(min_length=1, max_length=MAX_CHAIN_CHARACTERS)]
    """PEM of the contract certificate and its sub-authorities, leaf first"""

    def to_contract(self) -> Contract:
        """The contract of a simulated vehicle.

        Raises:
            ValueError: `emaid` is null, and the certificate has none.
        """
        return Contract(self.emaid, self.chain) if self.emaid is not None else contract_of(self.chain)


class SimulatedCommunication(Command):
    """`iso15118` in `ev`: how a simulated vehicle communicates, by events and orders (no EXI)."""

    evccid: Annotated[str, Field(min_length=1, max_length=255)] = "0201020304AF"
    """identification of its communication controller"""
    protocol: Annotated[str, Field(min_length=1, max_length=100)] = ISO_15118_2
    """the protocol: namespace, major and minor version"""
    contract: SimulatedContract | None = None
    """its contract (Plug & Charge); null: it is authorized by card, remote start or display"""
    contract_only: bool = False
    """whether it leaves if its contract is not accepted, instead of waiting for a card"""
    certificate: Literal["Install", "Update"] | None = None
    """the request for a contract certificate that it sends first; null: none"""
    energy_wh: Annotated[float, Field(ge=0, le=10_000_000)] | None = None
    """energy that it requests, Wh; null: what its battery takes"""
    departs_in_s: Annotated[int, Field(ge=0, le=604_800)] | None = None
    """seconds until it leaves; null: it does not say"""
    min_current_a: _Current = 6.0
    """the least with which it charges, A per phase"""
    schedule: Annotated[int, Field(ge=1, le=3)] = 1
    """which of the schedules it chooses"""
    plans: bool = True
    """whether it sends its plan with its choice"""
    plan_factor: Annotated[float, Field(ge=0, le=10)] = 1.0
    """its plan as a part of the schedule that it has chosen"""
    max_periods: Annotated[int, Field(ge=1, le=1024)] | None = None
    """most periods of a schedule that it can read; null: it does not say"""
    renegotiate_after_s: _Seconds | None = None
    """seconds of charging after which it negotiates anew"""
    pause_after_s: _Seconds | None = None
    """seconds of charging after which it sleeps"""
    resume_after_s: _Seconds | None = None
    """seconds of sleep after which it resumes; null: when it is woken"""
    stop_after_s: _Seconds | None = None
    """seconds of charging after which it ends its session"""
    reports_soc: bool = False
    """whether it reports its state of charge"""
    faults: tuple[CommunicationFault, ...] = ()
    """how it misbehaves"""

    def to_model(self) -> CommunicationModel:
        """The model of a simulated vehicle that communicates so.

        Raises:
            ValueError: the certificate of its contract has no eMAID, and none is given.
        """
        contract = self.contract.to_contract() if self.contract is not None else None
        return CommunicationModel(
            evccid=self.evccid,
            protocol=self.protocol,
            contract=contract,
            contract_only=self.contract_only,
            certificate_action=CertificateAction(self.certificate) if self.certificate is not None else None,
            energy_wh=self.energy_wh,
            departs_in_s=self.departs_in_s,
            min_current_a=self.min_current_a,
            schedule=self.schedule,
            plans=self.plans,
            plan_factor=self.plan_factor,
            max_periods=self.max_periods,
            renegotiate_after_s=self.renegotiate_after_s,
            pause_after_s=self.pause_after_s,
            resume_after_s=self.resume_after_s,
            stop_after_s=self.stop_after_s,
            reports_soc=self.reports_soc,
            faults=frozenset(self.faults),
        )


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
    iso15118: SimulatedCommunication | None = None
    """how it communicates by ISO 15118; null: it charges by IEC 61851-1"""
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


class VehicleChange(Command):
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
    session: _SessionChange | None = None
    """what a vehicle that communicates does with its session (ISO 15118): negotiate a new schedule, sleep, resume,
    end it, break it off, or say nothing more"""
    secc: Literal["stop", "start"] | None = None
    """whether what speaks ISO 15118 for this EVSE ends, or starts again"""


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
    if ev.iso15118 is not None and board.secc is None:
        raise HTTPException(409, f"ev.iso15118: EVSE {evse_id} has no secc in the installation file")
    if ev.iso15118 is not None:
        try:
            ev.iso15118.to_model()
        except ValueError as error:
            raise HTTPException(422, f"ev.iso15118.contract.chain: {error}") from error
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
async def change_vehicle(board: _PathBoard, body: VehicleChange, settle: Settle) -> Accepted:
    """Suspend or resume charging, limit the current, or simulate a defect; 409 if no vehicle is plugged in.

    Fields that are null or left out change nothing.
    """
    if body.secc is not None:
        _change_secc(board, body.secc)
    if board.vehicle is None and body.secc is None:
        raise HTTPException(409, "no vehicle is plugged in")
    if board.vehicle is not None:
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
            communication=ev.iso15118.to_model() if ev.iso15118 is not None else None,
        ),
        cable_max_a=ev.cable_max_a if ev.cable_ohm is None else cable_limit_a(ev.cable_ohm, unrated),
    )
    if ev.auto_unplug_s is not None:
        plugged = board.vehicle

        def leave() -> None:
            if board.vehicle is plugged and not board.locked:
                board.unplug()

        clock.call_later(ev.auto_unplug_s, leave)


def _change_secc(board: SimulatedBoard, change: Literal["stop", "start"]) -> None:
    if board.secc is None:
        raise HTTPException(409, "secc: the EVSE has none in the installation file")
    if change == "stop":
        board.secc.stop()
    else:
        board.secc.start()


def _change_session(board: SimulatedBoard, change: _SessionChange) -> None:
    evcc = board.secc.evcc if board.secc is not None else None
    if evcc is None:
        raise HTTPException(409, "session: the vehicle does not communicate")
    actions = {
        "renegotiate": evcc.renegotiate,
        "pause": evcc.pause,
        "wake": evcc.wake,
        "stop": evcc.stop,
        "fail": evcc.fail,
        "hang": evcc.hang,
    }
    actions[change]()


def _change(board: SimulatedBoard, vehicle: Vehicle, order: VehicleChange) -> None:
    if order.max_current_a is not None:
        vehicle.limit(order.max_current_a)
    if order.diode_fail is not None:
        vehicle.break_diode(order.diode_fail)
    if order.pilot_short is not None:
        board.short_pilot(order.pilot_short)
    if order.session is not None:
        _change_session(board, order.session)
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
