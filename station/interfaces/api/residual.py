"""The residual-current monitors through the local API: what they told, their tests, and clearing by the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI, HTTPException

from station.core.model import Fault
from station.interfaces.api.route_services import Living, Wait, accepted
from station.interfaces.host import Host
from station.interfaces.json_object import Json

if TYPE_CHECKING:
    from station.charging.evse import Evse
    from station.load.residual_current import ResidualCurrentGuard


def residual_routes(api: FastAPI, host: Host, living: Living) -> None:
    """State, test and clearing."""

    @api.get("/api/evses/{evse_id}/residual-current")
    async def show(evse_id: int) -> Json:
        return residual_status(living.life.residual, living.evse(evse_id))

    @api.post("/api/evses/{evse_id}/residual-current/test")
    async def test(evse_id: int) -> Json:
        result = await living.life.residual.test(living.evse(evse_id).id)
        if result is None:
            raise HTTPException(409, "the monitor cannot be tested now: somebody uses this EVSE")
        return {"result": result.value}

    @api.delete("/api/evses/{evse_id}/residual-current", status_code=202)
    async def clear(evse_id: int, wait: Wait = None) -> Json:
        try:
            await living.life.residual.clear(living.evse(evse_id).id)
        except ValueError as error:
            raise HTTPException(409, str(error)) from error
        return await accepted(host, wait)


def residual_status(guard: ResidualCurrentGuard, evse: Evse) -> Json:
    """What is latched at an EVSE, and its last test."""
    last = guard.evidence.get(evse.id)
    return {
        "tripped": Fault.DC_RESIDUAL_CURRENT in evse.state.faults,
        "shunt_trip": guard.wants_trip,
        "last_test": None if last is None else {"at": last.at.isoformat(), "result": last.result.value},
    }
