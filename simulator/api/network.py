"""The CSMS of a simulated station through the local API: what its installer wrote, for the length of a test."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import FastAPI, HTTPException
from pydantic import Field

from station.interfaces.api.route_services import Command, Living
from station.interfaces.json_object import Json
from station.security.network_profiles import NetworkProfile


class Csms(Command):
    """Where the CSMS is, in place of what the installation file says; all profiles that a CSMS has set go."""

    url: Annotated[str, Field(max_length=512)]
    security_profile: Literal[0, 1, 2, 3]
    message_timeout_s: Annotated[float, Field(gt=0)] = 30.0
    password: str | None = None
    """BasicAuthPassword; None leaves it as it is"""


def network_routes(api: FastAPI, living: Living) -> None:
    """Counts from the next boot on, past the rules about security profiles."""

    @api.put("/api/sim/network", status_code=202)
    async def put(body: Csms) -> Json:
        life = living.life
        try:
            await life.network.put(NetworkProfile(body.url, body.security_profile, body.message_timeout_s))
            if body.password is not None:
                await life.credentials.change(body.password)
        except ValueError as error:
            raise HTTPException(422, str(error)) from error
        return {"accepted": True}

    @api.delete("/api/sim/network", status_code=202)
    async def delete() -> Json:
        """The installation file's CSMS and password again."""
        await living.life.network.put(None)
        await living.life.credentials.forget()
        return {"accepted": True}
