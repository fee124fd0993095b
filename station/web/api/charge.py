"""What a driver asks besides: what has my charge brought, how does one start here, how did house and car go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import FastAPI, Query

from station.web.api.status import Json

if TYPE_CHECKING:
    from station.evse import Evse
    from station.life import Life
    from station.web.api.living import Living


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
            "columns": ["at_s", "grid_a", "car_a", "limit_a", "offered_a"],
            "rows": moments,
        }


def _start(life: Life, evse: Evse) -> str:
    """How one starts: with a card, with one's account where there is no CSMS, with the button, or by plugging in."""
    if life.station.settings.auth_enabled:
        return "account" if life.connect is None else "token"
    return "button" if evse.layout.start_button else "plug"


async def _charge(life: Life, evse: Evse) -> Json:
    shown: Json = {
        "evse": evse.id,
        "start": _start(life, evse),
        "rating_a": evse.layout.max_current_a,
        "phases": evse.layout.phases,
        "signs": evse.id in life.metrology.signatures,
        "charge": None,
    }
    if (transaction := evse.state.transaction) is None:
        return shown
    found = await life.transactions.get(transaction.id)
    if found is None:
        return shown
    latest = evse.meter.latest
    begin_wh = found.begin.energy_wh
    now_wh = latest.energy_import_wh if latest is not None else None
    shown["charge"] = {
        "began_at": found.began_at.isoformat(),
        "authorized": evse.state.authorization is not None,
        "energy_wh": max(0.0, now_wh - float(begin_wh)) if now_wh is not None and begin_wh is not None else None,
    }
    return shown
