"""Read and set the time zone of the station through the local API."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI
from pydantic import AfterValidator, Field

from station.core.identifiers import check_time_zone
from station.core.local_time import local_time
from station.core.settings import Settings
from station.interfaces.api.route_services import Command, Living, Wait, accepted
from station.interfaces.host import Host
from station.interfaces.json_object import Json

TimeZoneName = Annotated[str, Field(max_length=50), AfterValidator(check_time_zone)]


class NewTimeZone(Command):
    """The time zone in which the station stands."""

    time_zone: TimeZoneName
    """IANA name, such as Europe/Paris"""


def time_zone_routes(api: FastAPI, living: Living, host: Host) -> None:
    """GET and PUT of /api/time-zone."""

    @api.get("/api/time-zone")
    async def time_zone() -> Json:
        """The time zone. If it is empty, none is set: local time has the offset that the CSMS has set, or is UTC."""
        life = living.life
        now = local_time(life.clock.now(), life.station.settings)
        return {
            "time_zone": life.station.settings.time_zone,
            "local_time": now.isoformat(),
            "utc_offset": now.isoformat()[-6:],
        }

    @api.put("/api/time-zone", status_code=202)
    async def change(body: NewTimeZone, wait: Wait = None) -> Json:
        life = living.life
        await life.station.settings.change(Settings.time_zone, body.time_zone)
        life.load.poke()  # the departure time is now another moment
        return await accepted(host, wait)
