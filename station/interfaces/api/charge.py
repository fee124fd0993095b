"""Routes for drivers: charges in progress, how a charge is started, and recent currents for the chart."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query
from typing_extensions import TypedDict

from energy.grid_view import GridView
from foundation.clock import Clock
from station.billing.transaction_log import TransactionLog
from station.charging.authorization.authorization_settings import AuthorizationSettings
from station.charging.charging_station import ChargingStation
from station.charging.evse import Evse
from station.charging.evse_state import connection_deadline_s, ev_connected
from station.configuration.installation_file import Configuration
from station.display.evse_reader import StartMethods
from station.display.screen_inputs import StartMethod
from station.interfaces.access.roles import require_role
from station.interfaces.api.dependencies import SeesCharges, part
from station.interfaces.api.routing import api_router
from station.interfaces.part_keys import CLOCK
from station.interfaces.status_light import StatusLight, VehicleHistory
from station.load.load_history import LoadHistory, LoadSample
from station.security.access.accounts import Role

router = api_router("charging")


class AwaitedVehicle(TypedDict):
    """How long an authorization without a plugged-in vehicle still waits for one."""

    left_s: float | None
    """seconds from now until the authorization ends; null: no timeout"""
    timeout_s: float
    """seconds that an authorization waits for a vehicle in all (EVConnectionTimeOut)"""


class ChargeFigures(TypedDict):
    """Energy and time of a running or stopped transaction."""

    began_at: str
    """when the transaction began (ISO 8601, UTC)"""
    duration_s: float | None
    """seconds from its begin to its end; null while the transaction is open"""
    authorized: bool
    """whether the charge is still authorized"""
    energy_wh: float | None
    """energy charged since the begin of the transaction, Wh; null: not measured"""


class ChargeStatus(TypedDict):
    """What the page shows drivers of one EVSE, in GET /api/charges: how to start, and the charge in progress."""

    evse: int
    """the number of the EVSE"""
    start: Literal["account", "token", "button", "plug"]
    """how a charge is started: in the driver's account, with a card, with the start button, or by plugging in"""
    start_method: StartMethod
    """how a driver who is not signed in starts a charge, as the display says: card, app, page, button, plug"""
    awaits_token: bool
    """whether an accepted card of anybody could start a charge at this EVSE now, reservations aside"""
    rating_a: float
    """the most that the EVSE is built for, amperes per phase"""
    phases: int
    """number of phases with which the EVSE is installed"""
    signs: bool
    """whether readings of this EVSE are signed"""
    authorized: bool
    """whether charging is authorized at this EVSE now"""
    awaits_vehicle: AwaitedVehicle | None
    """null: no authorization, or a vehicle is connected"""
    stopped: bool
    """whether the charge was stopped and the vehicle is still plugged in"""
    charge: ChargeFigures | None
    """of the open transaction, or of a stopped one while its vehicle is plugged in; for visitors with `[page] visitors`
    all only, else null"""


class EvsePhases(TypedDict):
    """The number of phases with which one EVSE is installed."""

    evse: int
    """the number of the EVSE"""
    phases: int
    """number of phases with which it is installed"""


class LoadHistoryRows(TypedDict):
    """Response of GET /api/history: recorded currents of house, vehicles and limits."""

    phases: int
    """number of phases of the house connection"""
    has_grid_meter: bool
    """whether a grid meter is configured; without one the current of the connection is not known"""
    evses: list[EvsePhases]
    """the EVSEs in the order of the values in each row"""
    columns: list[str]
    """the names of the values of each row, in order; currents in amperes, `at_s` in seconds since 1970"""
    rows: list[LoadSample]
    """the samples, the oldest first; each a list of the values that `columns` names"""


@router.get("/api/charges", dependencies=[require_role(Role.VISITOR)], summary="List the charge at each EVSE")
async def list_charges(  # noqa: PLR0913  # query parameters
    station: Annotated[ChargingStation, part(ChargingStation)],
    settings: Annotated[AuthorizationSettings, part(AuthorizationSettings)],
    configuration: Annotated[Configuration, part(Configuration)],
    start_methods: Annotated[StartMethods, part(StartMethods)],
    light: Annotated[StatusLight, part(StatusLight)],
    transactions: Annotated[TransactionLog, part(TransactionLog)],
    clock: Annotated[Clock, part(CLOCK)],
    sees_charges: SeesCharges,
) -> list[ChargeStatus]:
    """Returns for each EVSE how to start a charge and the charge in progress."""
    return [
        {
            "evse": evse.id,
            "start": _start_method(evse, needs_token=settings.auth_enabled, has_csms=bool(configuration.csms)),
            "start_method": start_methods.of(evse),
            "awaits_token": station.starter.is_possible(evse),
            "rating_a": evse.layout.max_current_a,
            "phases": evse.layout.phases,
            "signs": evse.layout.signs,
            "authorized": evse.state.authorization is not None,
            "awaits_vehicle": _awaited_vehicle(evse, clock),
            "stopped": light.vehicle_history(evse.id).stopped,
            "charge": await _charge_figures(evse, light.vehicle_history(evse.id), transactions)
            if sees_charges
            else None,
        }
        for evse in station.evses.values()
    ]


@router.get("/api/history", dependencies=[require_role(Role.DRIVER)], summary="Read the recent currents")
async def read_load_history(
    station: Annotated[ChargingStation, part(ChargingStation)],
    grid: Annotated[GridView, part(GridView)],
    load_history: Annotated[LoadHistory, part(LoadHistory)],
    since_s: Annotated[float, Query(ge=0, description="only samples after this time, in seconds since 1970")] = 0.0,
) -> LoadHistoryRows:
    """Returns the currents of at most the last six hours; `since_s`: only those after it, in seconds since 1970."""
    return {
        "phases": grid.phases,
        "has_grid_meter": grid.has_meter,
        "evses": [{"evse": evse.id, "phases": evse.layout.phases} for evse in station.evses.values()],
        "columns": list(LoadSample._fields),
        "rows": load_history.samples_since(since_s),
    }


def _start_method(evse: Evse, *, needs_token: bool, has_csms: bool) -> Literal["account", "token", "button", "plug"]:
    if needs_token:
        return "token" if has_csms else "account"
    return "button" if evse.layout.start_button else "plug"


def _awaited_vehicle(evse: Evse, clock: Clock) -> AwaitedVehicle | None:
    """How long an authorization still waits for a vehicle, or None if it does not wait."""
    if evse.state.authorization is None or ev_connected(evse.state):
        return None
    deadline_s = connection_deadline_s(evse.state, evse.connection_timeout_s)
    return {
        "left_s": max(0.0, deadline_s - clock.monotonic()) if deadline_s is not None else None,
        "timeout_s": evse.connection_timeout_s,
    }


async def _charge_figures(evse: Evse, past: VehicleHistory, transactions: TransactionLog) -> ChargeFigures | None:
    """Energy and time of the open transaction, or of the stopped one while its vehicle is plugged in."""
    transaction_id = evse.state.transaction.id if evse.state.transaction is not None else None
    if transaction_id is None and past.stopped:
        transaction_id = past.transaction_id
    transaction = await transactions.get(transaction_id) if transaction_id is not None else None
    if transaction is None:
        return None
    return {
        "began_at": transaction.began_at.isoformat(),
        "duration_s": transaction.duration.total_seconds() if transaction.duration is not None else None,
        "authorized": evse.state.authorization is not None,
        "energy_wh": transaction.energy_so_far_wh(evse.meter.latest),
    }
