"""What a driver asks: what has my charge brought and cost, how does one start here, and how did house and car go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import FastAPI, Query

from station.web.api.status import Json

if TYPE_CHECKING:
    from station.billing.price import Bill
    from station.evse import Evse
    from station.life import Life
    from station.web.api.living import Living


def charge_routes(api: FastAPI, living: Living) -> None:
    """The running charges, and the figures of the chart."""
    bills = _Bills()

    @api.get("/api/charges")
    async def charges() -> list[Json]:
        life = living.life
        return [await _charge(life, evse, bills) for evse in life.station.evses.values()]

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


class _Bills:
    """The bills so far, made anew at most every few seconds: each costs a look at the record."""

    _FRESH_S = 5.0

    def __init__(self) -> None:
        self._made: dict[int, tuple[str, float, Bill | None]] = {}

    async def of(self, life: Life, evse: Evse) -> Bill | None:
        """What the running charge costs until now."""
        transaction = evse.state.transaction
        if transaction is None:
            return None
        now_s = life.clock.monotonic()
        known = self._made.get(evse.id)
        if known is not None and known[0] == transaction.id and now_s - known[1] < self._FRESH_S:
            return known[2]
        made = await life.billing.bill_so_far(evse)
        self._made[evse.id] = (transaction.id, now_s, made)
        return made


async def _charge(life: Life, evse: Evse, bills: _Bills) -> Json:
    shown: Json = {
        "evse": evse.id,
        "start": _start(life, evse),
        "rating_a": evse.layout.max_current_a,
        "phases": evse.layout.phases,
        "charge": None,
    }
    if (transaction := evse.state.transaction) is None:
        return shown
    found = await life.transactions.get(transaction.id)
    if found is None:
        return shown
    latest, bill = evse.meter.latest, await bills.of(life, evse)
    asked = bill if bill is not None and bill.objection is None else None
    begin_wh = found.begin.energy_wh
    now_wh = latest.energy_import_wh if latest is not None else None
    shown["charge"] = {
        "began_at": found.began_at.isoformat(),
        "authorized": evse.state.authorization is not None,
        "energy_wh": max(0.0, now_wh - float(begin_wh)) if now_wh is not None and begin_wh is not None else None,
        "cost": None if asked is None else {"total": str(asked.total), "currency": asked.currency},
    }
    return shown
