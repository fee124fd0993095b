"""Routes for the time zone of the station."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from foundation.clock import Clock
from station.core.clock_settings import ClockSettings
from station.core.identifiers import check_time_zone
from station.core.local_time import local_time
from station.interfaces.access.roles import require_role
from station.interfaces.api.dependencies import ACCEPTED, Accepted, Command, Settle, example, part
from station.interfaces.api.routing import api_router
from station.interfaces.part_keys import CLOCK
from station.load.load_management import LoadManagement
from station.security.access.accounts import Role

router = api_router("time zone")

TimeZoneName = Annotated[str, Field(max_length=50), AfterValidator(check_time_zone)]


class NewTimeZone(Command):
    """Body of PUT /api/time-zone: the new time zone of the station."""

    model_config = example(time_zone="Europe/Paris")

    time_zone: TimeZoneName
    """IANA name, such as Europe/Paris"""


class TimeZoneShown(TypedDict):
    """Response of GET /api/time-zone: the time zone of the station, and its local time."""

    time_zone: str
    """empty: not set; local time then uses the offset set by the CSMS, or UTC"""
    local_time: str
    """local time of the station now (ISO 8601, with its offset)"""
    utc_offset: str
    """offset of local time from UTC now, such as +02:00"""


@router.get("/api/time-zone", dependencies=[require_role(Role.OWNER)], summary="Read the time zone")
async def read_time_zone(
    settings: Annotated[ClockSettings, part(ClockSettings)], clock: Annotated[Clock, part(CLOCK)]
) -> TimeZoneShown:
    """Returns the time zone, the current local time, and its offset from UTC."""
    now = local_time(clock.now(), settings)
    return {
        "time_zone": settings.time_zone,
        "local_time": now.isoformat(),
        "utc_offset": now.isoformat()[-6:],
    }


@router.put("/api/time-zone", status_code=202, dependencies=[require_role(Role.OWNER)], summary="Set the time zone")
async def set_time_zone(
    body: NewTimeZone,
    settings: Annotated[ClockSettings, part(ClockSettings)],
    load: Annotated[LoadManagement, part(LoadManagement)],
    settle: Settle,
) -> Accepted:
    """Set the time zone of the station; departure times are interpreted in it from now on."""
    await settings.change(ClockSettings.time_zone, body.time_zone)
    load.decisions.request()  # the departure time is a different moment now
    await settle()
    return ACCEPTED
