"""The route that ends a safe start, in which stored rows are set aside after failed starts."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import HTTPException

from station.charging.charging_station import ChargingStation
from station.core.station_control import StationControl
from station.interfaces.access.roles import require_role
from station.interfaces.api.dependencies import ACCEPTED, Accepted, Command, example, part, require_idle
from station.interfaces.api.routing import api_router
from station.interfaces.part_keys import STATION_CONTROL
from station.maintenance.safe_start import SafeStart
from station.security.access.accounts import Role

router = api_router("service")


class SafeStartEnd(Command):
    """Body of POST /api/safe-start/end."""

    model_config = example(rows="put-back")

    rows: Literal["put-back", "delete"]
    """whether the rows that are set aside are used again, or deleted for good"""


@router.post(
    "/api/safe-start/end",
    status_code=202,
    dependencies=[require_role(Role.OWNER)],
    summary="End the safe start and restart",
)
async def end_safe_start(
    end: SafeStartEnd,
    safe_start: Annotated[SafeStart, part(SafeStart)],
    station: Annotated[ChargingStation, part(ChargingStation)],
    control: Annotated[StationControl, part(STATION_CONTROL)],
) -> Accepted:
    """Restart the station with all stored rows, or without those that are set aside, which are then deleted.

    409 if there is no safe start, or while somebody charges. GET /api/status says what is set aside (`safe_start`).
    """
    if not safe_start.active:
        raise HTTPException(409, "there is no safe start: nothing is set aside")
    require_idle(station)
    await safe_start.end(delete=end.rows == "delete")
    control.restart()
    return ACCEPTED
