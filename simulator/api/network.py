"""Routes with which a test bench sets the CSMS of a simulated station, as its installer would."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import HTTPException
from pydantic import Field

from foundation.bounds import DURATION_S
from station.interfaces.access.roles import require_role
from station.interfaces.api.dependencies import ACCEPTED, Accepted, Command, example, part
from station.interfaces.api.routing import api_router
from station.security.access.accounts import Role
from station.security.credentials import Credentials
from station.security.network_profile import OFFERED_VERSIONS, NetworkProfile, OcppVersion
from station.security.network_profiles import NetworkProfiles

router = api_router("simulation")

_Profiles = Annotated[NetworkProfiles, part(NetworkProfiles)]
_Credentials = Annotated[Credentials, part(Credentials)]


class SimulatedCsmsAddress(Command):
    """Body of PUT /api/sim/network: address of the CSMS instead of that in the installation file.

    All network profiles that a CSMS has set are removed.
    """

    model_config = example(url="ws://localhost:9000/ocpp", security_profile=1, password="a-password-of-16-characters")

    url: Annotated[str, Field(max_length=512)]
    """ws:// or wss:// URL, without the identity of the station"""
    security_profile: Literal[0, 1, 2, 3]
    """OCPP security profile: 1: password, 2: TLS and password, 3: TLS with a client certificate; 0: none of them"""
    message_timeout_s: Annotated[float, Field(gt=0, le=DURATION_S.highest)] = 30.0
    """seconds to wait for the response to a request"""
    password: str | None = None
    """BasicAuthPassword; null: unchanged"""
    versions: Annotated[tuple[OcppVersion, ...], Field(min_length=1, max_length=2)] = OFFERED_VERSIONS
    """versions of OCPP that the station offers, the preferred one first"""


@router.put(
    "/api/sim/network",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Set the CSMS",
)
async def set_csms(body: SimulatedCsmsAddress, profiles: _Profiles, credentials: _Credentials) -> Accepted:
    """Set the CSMS to which the station connects from the next boot on, without the rules for security profiles.

    A password applies from the next connection on.
    """
    try:
        await profiles.store_only_profile(
            NetworkProfile(body.url, body.security_profile, body.message_timeout_s, versions=body.versions)
        )
        if body.password is not None:
            await credentials.change(body.password)
    except ValueError as error:
        raise HTTPException(422, str(error)) from error
    return ACCEPTED


@router.delete(
    "/api/sim/network",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Restore the CSMS of the installation file",
)
async def restore_csms(profiles: _Profiles, credentials: _Credentials) -> Accepted:
    """Use address and password of the installation file again, from the next boot on.

    All network profiles that a CSMS has set are removed.
    """
    await profiles.store_only_profile(None)
    await credentials.reset()
    return ACCEPTED
