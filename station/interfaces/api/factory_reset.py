"""Routes for the service: the factory reset, and the identification label to print."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import HTTPException, Query, Request
from fastapi.responses import Response

from station.configuration.installation_file import Configuration
from station.core.station_control import StationControl
from station.interfaces.access.roles import require_role
from station.interfaces.access.visitor import visitor_of
from station.interfaces.api.dependencies import ACCEPTED, Accepted, Command, current_part, example, part
from station.interfaces.api.routing import api_router
from station.interfaces.part_keys import STATION_CONTROL
from station.maintenance.commissioning.label import Label, label_svg, page_address
from station.maintenance.factory_reset import FactoryReset, ResetNotSafeError
from station.security.access.accounts import Role
from station.security.access.sign_in_service import SignInService

router = api_router("service")


class ResetConfirmation(Command):
    """Body of POST /api/factory-reset: a fixed word, to prevent a reset by mistake."""

    model_config = example(confirm="FACTORY-RESET")

    confirm: Literal["FACTORY-RESET"]
    """this very word, which confirms that the reset is meant"""


@router.post(
    "/api/factory-reset",
    status_code=202,
    dependencies=[require_role(Role.SERVICE)],
    summary="Reset to the factory state",
)
async def reset_to_factory_settings(
    _: ResetConfirmation,
    request: Request,
    reset: Annotated[FactoryReset, part(FactoryReset)],
    control: Annotated[StationControl, part(STATION_CONTROL)],
) -> Accepted:
    """Stop all charging, delete accounts, cards and site settings, and restart. Billing data is kept.

    409 if a contactor does not open, or a transaction does not end; then nothing is deleted, and nobody can charge.
    """
    try:
        await reset.reset(visitor_of(request).log_name)
    except ResetNotSafeError as error:
        raise HTTPException(409, str(error)) from error
    control.restart()
    return ACCEPTED


@router.get(
    "/api/label.svg",
    dependencies=[require_role(Role.SERVICE)],
    response_class=Response,
    responses={200: {"content": {"image/svg+xml": {"schema": {"type": "string"}}}}},
    summary="Draw the identification label",
)
async def draw_label(
    configuration: Annotated[Configuration, part(Configuration)],
    access: Annotated[Callable[[], SignInService], current_part(SignInService)],
    code: Annotated[bool, Query(description="whether the label shows the installer's code")] = False,
) -> Response:
    """Returns an SVG label with identity, serial number and page address; with `code` also the installer's code.

    That code sets the first password of the installer; 409 if none is configured, or it was used.
    """
    station = configuration.station
    label_code = await _unused_code(access(), configuration) if code else None
    svg = label_svg(Label(station.identity, station.serial_number, page_address(configuration), label_code))
    return Response(svg, media_type="image/svg+xml")


async def _unused_code(access: SignInService, configuration: Configuration) -> str:
    code = configuration.http.installer_code
    await access.ensure_loaded()
    if code is None or not access.accounts.label_code_is_unused(Role.INSTALLER):
        raise HTTPException(409, "no installer code is set, or it was already used")
    return code.get_secret_value()
