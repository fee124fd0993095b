"""What the service does before a station is handed on, through the local API: factory reset, and a label to print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import Response

from station.interfaces.access.visitor import visitor_of
from station.interfaces.api.route_services import Command, Living
from station.interfaces.host import Host
from station.interfaces.json_object import Json
from station.maintenance.commissioning.label import Label, label_svg, page_address
from station.maintenance.factory_reset import NotSafeError, reset_to_factory
from station.security.access.accounts import Role

if TYPE_CHECKING:
    from borne.life import Life


class Confirmation(Command):
    """The word that keeps anybody from doing it by mistake."""

    confirm: Literal["FACTORY-RESET"]


def factory_routes(api: FastAPI, living: Living, host: Host) -> None:
    """Service alone may do this."""

    @api.post("/api/factory-reset", status_code=202)
    async def reset(_: Confirmation, request: Request) -> Json:
        try:
            installed = await reset_to_factory(living.life, host.site_settings, visitor_of(request).words)
        except NotSafeError as error:
            raise HTTPException(409, str(error)) from error
        host.live_anew(installed)
        return {"accepted": True}

    @api.get("/api/label.svg", response_class=Response)
    async def label(code: bool = False) -> Response:
        """The identification label; with the installer's code only while that is good."""
        who = host.configuration.station
        shown = await _open_code(living.life, host) if code else None
        svg = label_svg(Label(who.identity, who.serial_number, page_address(host.configuration), shown))
        return Response(svg, media_type="image/svg+xml")


async def _open_code(life: Life, host: Host) -> str:
    code = host.configuration.http.installer_code
    await life.access.ready()
    if code is None or not life.access.accounts.awaits_label(Role.INSTALLER):
        raise HTTPException(409, "there is no code, or it was used")
    return code.get_secret_value()
