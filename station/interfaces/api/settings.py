"""What the installer sets on site, through the local API: refused as a whole, or kept and in force at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastapi import FastAPI, HTTPException
from pydantic import JsonValue

from station.interfaces.api.route_services import Wait
from station.maintenance.commissioning.site_settings import SettingsRefusedError, told_of
from station.storage.database import StorageError

if TYPE_CHECKING:
    from borne.life import Life
    from station.interfaces.api.route_services import Living
    from station.interfaces.host import Host


def settings_routes(api: FastAPI, living: Living, host: Host) -> None:
    """Look and change."""
    turn = asyncio.Lock()

    @api.get("/api/commissioning/settings")
    async def show() -> dict[str, object]:
        return host.site_settings.shown

    @api.get("/api/commissioning/settings/in-force")
    async def in_force() -> dict[str, object]:
        """What counts now, from site or installation file."""
        return told_of(host.configuration)

    @api.patch("/api/commissioning/settings", status_code=202)
    async def change(body: dict[str, JsonValue], wait: Wait = None) -> dict[str, object]:
        """A JSON merge patch. The station begins a new life with it, as after a reset; `?wait=settled` awaits it."""
        async with turn:
            require_idle(living.life)
            try:
                configuration = await asyncio.to_thread(host.site_settings.change, dict(body))
            except SettingsRefusedError as error:
                raise HTTPException(422, str(error)) from error
            except OSError as error:
                raise StorageError(f"the settings are not kept: {error.strerror}") from error
            host.live_anew(configuration)
            if wait is not None:
                await host.begun()
        return {"accepted": True} | host.site_settings.shown


def require_idle(life: Life) -> None:
    """409 while somebody charges: a new life would end it."""
    if any(evse.state.authorization is not None for evse in life.station.evses.values()):
        raise HTTPException(409, "somebody charges: end that first")
