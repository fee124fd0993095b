"""What a driver asks besides: what has my charge brought, how does one start here, how did house and car go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import FastAPI, Query

from station.charging.evse_state import connection_deadline_s, ev_connected
from station.interfaces.json_object import Json
from station.load.load_history import Moment

if TYPE_CHECKING:
    from borne.life import Life
    from metering.reading import Reading
    from station.billing.logged_transaction import Transaction
    from station.charging.evse import Evse
    from station.interfaces.api.route_services import Living
    from station.interfaces.status_light import Past


def charge_routes(api: FastAPI, living: Living) -> None:
    """The running charges, and the figures of the chart."""

    @api.get("/api/charges")
    async def charges() -> list[Json]:
        life = living.life
        return [await _charge(life, evse) for evse in life.station.evses.values()]

    @api.get("/api/history")
    async def history(since_s: Annotated[float, Query(ge=0)] = 0.0) -> Json:
        life = living.life
        moments = life.history.since(since_s)
        grid = life.load.controller.watch
        return {
            "phases": grid.connection.phases if grid is not None else 3,
            "has_grid_meter": life.load.watches_grid,
            "evses": [{"evse": evse.id, "phases": evse.layout.phases} for evse in life.station.evses.values()],
            "columns": Moment._fields,
            "rows": moments,
        }


def _start(life: Life, evse: Evse) -> str:
    """How one starts: with a card, with one's account where there is no CSMS, with the button, or by plugging in."""
    if life.station.settings.auth_enabled:
        return "account" if life.connect is None else "token"
    return "button" if evse.layout.start_button else "plug"


async def _charge(life: Life, evse: Evse) -> Json:
    past = life.light.past(evse.id) if life.light is not None else None
    return {
        "evse": evse.id,
        "start": _start(life, evse),
        "rating_a": evse.layout.max_current_a,
        "phases": evse.layout.phases,
        "signs": evse.id in life.metrology.signatures,
        "authorized": evse.state.authorization is not None,
        "awaits_vehicle": _awaits_vehicle(life, evse),
        "stopped": past is not None and past.stopped,
        "charge": await _figures(life, evse, past),
    }


def _awaits_vehicle(life: Life, evse: Evse) -> Json | None:
    """How long an authorization still waits for a vehicle; None if it does not wait."""
    if evse.state.authorization is None or ev_connected(evse.state):
        return None
    deadline_s = connection_deadline_s(evse.state, evse.connection_timeout_s)
    return {
        "left_s": max(0.0, deadline_s - life.clock.monotonic()) if deadline_s is not None else None,
        "timeout_s": evse.connection_timeout_s,
    }


async def _figures(life: Life, evse: Evse, past: Past | None) -> Json | None:
    """Energy and time of the open transaction, or of the one that was stopped while its vehicle is still there."""
    transaction_id = evse.state.transaction.id if evse.state.transaction is not None else None
    if transaction_id is None and past is not None and past.stopped:
        transaction_id = past.transaction_id
    found = await life.transactions.get(transaction_id) if transaction_id is not None else None
    if found is None:
        return None
    return {
        "began_at": found.began_at.isoformat(),
        "duration_s": found.duration.total_seconds() if found.duration is not None else None,
        "authorized": evse.state.authorization is not None,
        "energy_wh": _energy_wh(found, evse.meter.latest),
    }


def _energy_wh(one: Transaction, latest: Reading | None) -> float | None:
    if one.ended_at is not None:
        return float(one.energy_wh) if one.energy_wh is not None else None
    begin_wh, now_wh = one.begin.energy_wh, latest.energy_import_wh if latest is not None else None
    return max(0.0, now_wh - float(begin_wh)) if now_wh is not None and begin_wh is not None else None
