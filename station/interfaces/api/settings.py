"""Routes for the site settings of the installer: a change is rejected as a whole, or stored and applied at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Final, Literal, cast

from fastapi import Body, HTTPException
from pydantic import JsonValue
from typing_extensions import TypedDict

from station.charging.charging_station import ChargingStation
from station.configuration.installation_file import Configuration
from station.core.station_control import StationControl
from station.interfaces.access.roles import require_role
from station.interfaces.api.dependencies import Wait, current_part, part, require_idle
from station.interfaces.api.routing import api_router
from station.interfaces.part_keys import STATION_CONTROL
from station.maintenance.commissioning.site_settings import SettingsRefusedError, SiteSettings, site_settings_to_json
from station.security.access.accounts import Role
from station.storage.database import StorageError

router = api_router("commissioning")

_SiteSettings = Annotated[SiteSettings, part(SiteSettings)]

_EXAMPLE: Final = {
    "csms": {"url": "wss://csms.example.com/ocpp", "password": "a-password-of-16-characters"},
    "grid_order": None,
}
"""a merge patch: sets the CSMS, and removes the settings of the grid operator's contact"""


class CsmsAddress(TypedDict, total=False):
    """URL and password of the CSMS among the site settings; a stored password is returned as ***."""

    url: str
    """ws:// or wss:// URL of the CSMS, without the identity of the station"""
    password: str | None
    """the BasicAuthPassword, always as ***; null: none"""


class ProtectionSettings(TypedDict, total=False):
    """How the installation is protected, among the site settings: the shunt trip."""

    shunt_trip: str
    """as `shunt_trip` in [protection] of the installation file"""


class EvseWiring(TypedDict, total=False):
    """How one EVSE is wired, among the site settings: its phase rotation."""

    phase_rotation: str
    """as `phase_rotation` in [[evse]] of the installation file"""


class EnteredSettings(TypedDict, total=False):
    """Response of GET /api/commissioning/settings: settings made on site; others are as in the installation file."""

    csms: CsmsAddress
    """URL and password of the CSMS; missing: as in the installation file"""
    grid: dict[str, JsonValue]
    """as [grid] of the installation file; free JSON, since its fields depend on the type of meter"""
    grid_order: dict[str, JsonValue]
    """as [grid_order] of the installation file; free JSON for the same reason"""
    protection: ProtectionSettings
    """the shunt trip; missing: as in the installation file"""
    evse: list[EvseWiring]
    """in the order of [[evse]] of the installation file"""


class SettingsInForce(TypedDict):
    """Response of GET /api/commissioning/settings/in-force: the values of all settings that can be made on site."""

    csms: CsmsAddress | None
    """URL and password of the CSMS; null: no CSMS"""
    grid: dict[str, JsonValue] | None
    """as in `EnteredSettings`; null: no grid meter"""
    grid_order: dict[str, JsonValue] | None
    """as in `EnteredSettings`; null: no contact of the grid operator"""
    protection: ProtectionSettings
    """how the installation is protected: the shunt trip"""
    evse: list[EvseWiring]
    """in the order of [[evse]] of the installation file"""


class SettingsChanged(EnteredSettings):
    """Response of PATCH /api/commissioning/settings: the settings made on site, after the change."""

    accepted: Literal[True]
    """always true: the request was accepted"""


@router.get(
    "/api/commissioning/settings", dependencies=[require_role(Role.INSTALLER)], summary="Read the settings made on site"
)
async def read_entered_settings(site_settings: _SiteSettings) -> EnteredSettings:
    """Returns only the settings that were made on site and override the installation file, without secrets."""
    return _entered_settings(site_settings)


@router.get(
    "/api/commissioning/settings/in-force",
    dependencies=[require_role(Role.INSTALLER)],
    summary="Read the settings in force",
)
async def read_settings_in_force(configuration: Annotated[Configuration, part(Configuration)]) -> SettingsInForce:
    """Returns the values in force of all settings that can be made on site, without secrets."""
    return cast("SettingsInForce", site_settings_to_json(configuration))  # its model has these fields


@router.patch(
    "/api/commissioning/settings",
    status_code=202,
    dependencies=[require_role(Role.INSTALLER)],
    summary="Change the settings made on site",
)
async def change_settings(
    body: Annotated[dict[str, JsonValue], Body(examples=[_EXAMPLE])],
    site_settings: _SiteSettings,
    running_station: Annotated[Callable[[], ChargingStation], current_part(ChargingStation)],
    control: Annotated[StationControl, part(STATION_CONTROL)],
    wait: Wait = None,
) -> SettingsChanged:
    """Apply a JSON merge patch (RFC 7396) to the settings, and restart the station; `?wait=settled` awaits the restart.

    In the body, null removes a setting, so that the installation file applies. Validated as the installation file is,
    422 names the invalid setting; 409 while somebody charges.
    """
    async with site_settings.changing:
        require_idle(running_station())
        try:
            await asyncio.to_thread(site_settings.apply_patch, dict(body))
        except SettingsRefusedError as error:
            raise HTTPException(422, str(error)) from error
        except OSError as error:
            raise StorageError(f"the settings could not be stored: {error.strerror}") from error
        control.restart()
        if wait is not None:
            await control.wait_until_started()
    return {"accepted": True, **_entered_settings(site_settings)}


def _entered_settings(site_settings: SiteSettings) -> EnteredSettings:
    return cast("EnteredSettings", site_settings.to_json)  # stored settings have been validated by the model
