"""What every part of the local API is built with: the living station, a body, and waiting for what was asked."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import HTTPException, Query
from pydantic import BaseModel, ConfigDict

from borne.life import Life
from station.charging.evse import Evse
from station.interfaces.host import Host
from station.interfaces.json_object import Json


class Command(BaseModel):
    """The body of a request that does something. Unknown keys are mistakes."""

    # No body is that long; but only where it counts their letters does pydantic refuse texts that UTF-8 has not.
    model_config = ConfigDict(extra="forbid", str_max_length=256 * 1024)


class Living:
    """Finds the parts of the living station, or says why there are none."""

    def __init__(self, host: Host) -> None:
        self._host = host

    @property
    def life(self) -> Life:
        """The living station; 409 while its power is cut."""
        if self._host.life is None:
            raise HTTPException(409, "the station has no power")
        return self._host.life

    def evse(self, evse_id: int) -> Evse:
        """An EVSE by its number; 404 when there is none."""
        evse = self.life.station.evses.get(evse_id)
        if evse is None:
            raise HTTPException(404, f"EVSE {evse_id} does not exist")
        return evse


Wait = Annotated[Literal["settled"] | None, Query()]
"""`?wait=settled` answers only when the station has acted on it"""


async def maybe_settle(host: Host, wait: str | None) -> None:
    """Wait until the station has done all that follows from what was asked, where that is wanted."""
    if wait is not None:
        await host.clock.settle()


async def accepted(host: Host, wait: str | None) -> Json:
    """The answer to what the station will do, or has done where that is waited for."""
    await maybe_settle(host, wait)
    return {"accepted": True}
