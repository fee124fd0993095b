"""Routes for the station as a whole: its state, its records, and manual operations at an EVSE."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import HTTPException, Query, Request
from fastapi.responses import PlainTextResponse
from msgspec.structs import replace
from starlette.responses import Response
from typing_extensions import TypedDict

from energy.charging_profile import ChargingProfile
from energy.grid_view import GridView
from foundation.supervision import AuxiliaryCalls
from station.charging.authorization.authorization_cache import AuthorizationCache
from station.charging.authorization.authorizer import loggable_token
from station.charging.authorization.local_list import LocalAuthorizationList
from station.charging.authorization.owner_cards import OwnerCards
from station.charging.availability import ChangeAvailabilityStatus
from station.charging.charging_station import ChargingStation
from station.configuration.installation_file import Configuration
from station.core.csms import CsmsLink, VariableRow, Variables
from station.core.invalid_messages import InvalidMessageCounts
from station.core.model import EvseRef, IdToken, IdTokenInfo, StoppedReason, TriggerReason
from station.interfaces.access.roles import require_role
from station.interfaces.access.visitor import visitor_of
from station.interfaces.access.visitor_view import status_for
from station.interfaces.api.dependencies import (
    ACCEPTED,
    Accepted,
    Command,
    PathEvse,
    Settle,
    evse_of,
    example,
    optional_part,
    part,
    part_if_running,
)
from station.interfaces.api.routing import api_router
from station.interfaces.part_keys import CSMS_LINK, DEVICE_MODEL, STATION_STATUS
from station.interfaces.status_report import Status, StatusSource
from station.load.charging_profiles import PersistentProfiles
from station.load.tamper import TamperAlarm
from station.maintenance.firmware.firmware import FirmwareUpdates
from station.maintenance.monitoring.variable_monitoring import VariableMonitoring
from station.security.access.accounts import Role
from station.security.security_events import SecurityEvent, SecurityEvents
from station.storage.outbox import Outbox

router = api_router("station")


class Operation(Command):
    """Body of POST /api/evses/{evse_id}/availability: whether the EVSE is to be in service."""

    model_config = example(operative=False)

    operative: bool
    """true: into service; false: out of service"""


class Unlock(Command):
    """Body of POST /api/unlock: the EVSE whose cable is to be unlocked; without a body EVSE 1."""

    model_config = example(evse=1)

    evse: int = 1
    """the EVSE whose cable is unlocked"""


class AvailabilityChange(TypedDict):
    """Response of POST /api/evses/{evse_id}/availability: whether the change has to wait for a transaction."""

    accepted: Literal[True]
    """always true: the request was accepted"""
    scheduled: bool
    """whether the change is stored, and waits for the end of a transaction"""


class CableLock(TypedDict):
    """Response of POST /api/unlock: whether the cable is still locked."""

    accepted: Literal[True]
    """always true: the request was accepted"""
    locked: bool
    """whether the cable is still locked now; with `?wait=settled` after the station has acted"""


class CachedAuthorization(TypedDict):
    """An entry of the station's authorization cache: what the CSMS answered last about a token."""

    token: str
    """the id token, shortened"""
    type: str
    """what kind of token it is (IdTokenEnumType)"""
    info: IdTokenInfo
    """the last answer of the CSMS about it"""


class ListedAuthorization(TypedDict):
    """An entry of the local authorization list: what the CSMS sent about a token."""

    token: str
    """the id token, shortened"""
    type: str
    """what kind of token it is (IdTokenEnumType)"""
    name: str | None
    """label of the owner's card with this token; null: it is none"""
    info: IdTokenInfo
    """what the CSMS sent about it with the list"""


class LocalListShown(TypedDict):
    """Response of GET /api/auth/list: version and size of the local authorization list, and some of its entries."""

    version: int
    """version number of the list, from the CSMS; 0: it has sent none, or the list is disabled"""
    entries: int
    """number of tokens in the whole list"""
    tokens: list[ListedAuthorization]
    """the entries from `skip` on, at most `most`, in the order of their numbers"""


@router.get(
    "/healthz",
    dependencies=[require_role(Role.VISITOR)],
    summary="Check that the local API responds",
    response_class=PlainTextResponse,
)
async def check_health() -> str:
    """Returns `ok` as long as the process responds, also while the station is off or faulted; for a supervisor."""
    return "ok\n"


@router.get(
    "/metrics",
    dependencies=[require_role(Role.DRIVER)],
    summary="Read the metrics for Prometheus",
    response_class=PlainTextResponse,
)
async def read_metrics(  # noqa: PLR0913  # query parameters
    configuration: Annotated[Configuration, part(Configuration)],
    firmware: Annotated[FirmwareUpdates | None, part_if_running(FirmwareUpdates)],
    station: Annotated[ChargingStation | None, part_if_running(ChargingStation)],
    grid: Annotated[GridView | None, part_if_running(GridView)],
    outbox: Annotated[Outbox | None, part_if_running(Outbox)],
    link: Annotated[CsmsLink | None, part_if_running(CSMS_LINK)],
    monitoring: Annotated[VariableMonitoring | None, part_if_running(VariableMonitoring)],
    auxiliary: Annotated[AuxiliaryCalls, part(AuxiliaryCalls)],
    invalid_messages: Annotated[InvalidMessageCounts | None, part_if_running(InvalidMessageCounts)],
) -> Response:
    """Returns the metrics in the text format of Prometheus, without personal data; two while the station is off."""
    from station.interfaces.api import metrics  # loads a library that only few installations use

    running = None
    if (
        firmware is not None
        and station is not None
        and grid is not None
        and outbox is not None
        and monitoring is not None
    ):
        running = metrics.RunningStation(
            firmware_version=firmware.version,
            evses=list(station.evses.values()),
            grid_sample=grid.last_sample,
            grid_sample_age_s=grid.sample_age_s,
            link=link,
            waiting=await outbox.count_waiting(),
            device_events=monitoring.detection.counts.counts(),
            device_events_waiting=len(monitoring.queue),
            device_events_dropped=monitoring.queue.dropped,
            contained_errors=auxiliary.error_count,
            invalid_messages=invalid_messages.counts() if invalid_messages is not None else (),
        )
    return Response(metrics.prometheus_text(configuration.station, running), media_type=metrics.CONTENT_TYPE)


@router.get(
    "/api/status",
    dependencies=[require_role(Role.VISITOR)],
    summary="Read the state of the station",
)
async def read_status(
    request: Request,
    status: Annotated[StatusSource, part(STATION_STATUS)],
    configuration: Annotated[Configuration, part(Configuration)],
) -> Status:
    """Returns the state of the whole station, as far as the role of the user may see it."""
    return status_for(visitor_of(request).role, await status.status(), configuration.page)


@router.get(
    "/api/variables", dependencies=[require_role(Role.INSTALLER)], summary="List the variables of the device model"
)
async def list_variables(model: Annotated[Variables | None, optional_part(DEVICE_MODEL)]) -> list[VariableRow]:
    """Returns each attribute of each variable with its value; null: it cannot be read, as it is write-only."""
    return model.rows() if model is not None else []


@router.get("/api/auth/cache", dependencies=[require_role(Role.OWNER)], summary="List the authorization cache")
async def list_authorization_cache(
    cache: Annotated[AuthorizationCache, part(AuthorizationCache)],
) -> list[CachedAuthorization]:
    """Returns the station's cached answers of the CSMS about presented tokens; tokens are shortened."""
    return [
        {"token": loggable_token(IdToken(token, kind)), "type": kind, "info": _with_short_group(info)}
        for (token, kind), info in cache.entries()
    ]


@router.get("/api/auth/list", dependencies=[require_role(Role.OWNER)], summary="List the local authorization list")
async def list_local_authorizations(
    local_list: Annotated[LocalAuthorizationList, part(LocalAuthorizationList)],
    cards: Annotated[OwnerCards, part(OwnerCards)],
    most: Annotated[int, Query(ge=1, le=1000, description="maximum number of entries")] = 100,
    skip: Annotated[int, Query(ge=0, le=1_000_000, description="number of entries before the first one")] = 0,
) -> LocalListShown:
    """Returns the list of tokens that the CSMS has sent, in the order of their numbers; tokens are shortened."""
    labels = cards.labels()
    return {
        "version": await local_list.version(),
        "entries": local_list.entries,
        "tokens": [
            {
                "token": loggable_token(token),
                "type": token.type,
                "name": labels.get(token.key),
                "info": _with_short_group(info),
            }
            for token, info in await local_list.page(most, skip=skip)
        ],
    }


@router.get(
    "/api/security-events", dependencies=[require_role(Role.INSTALLER)], summary="List the latest security events"
)
async def list_security_events(
    events: Annotated[SecurityEvents, part(SecurityEvents)],
    most: Annotated[int, Query(ge=1, le=2000, description="maximum number of entries")] = 100,
) -> list[SecurityEvent]:
    """Returns the latest entries of the security log, the newest last."""
    return list(await events.entries(max_count=most))


@router.get("/api/profiles", dependencies=[require_role(Role.INSTALLER)], summary="List the charging profiles")
async def list_charging_profiles(
    profiles: Annotated[PersistentProfiles, part(PersistentProfiles)],
) -> list[ChargingProfile]:
    """Returns the charging profiles stored at the station: those of the CSMS, and external limits."""
    return list(profiles.store.all())


@router.post(
    "/api/evses/{evse_id}/stop",
    status_code=202,
    dependencies=[require_role(Role.DRIVER)],
    summary="Stop the charge at an EVSE",
    tags=["charging"],
)
async def stop_charge(evse: PathEvse, settle: Settle) -> Accepted:
    """Stop the charge as if the driver had presented the card that started it; 409 if none is authorized."""
    if evse.state.authorization is None:
        raise HTTPException(409, "no charge is in progress at this EVSE")
    evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL)
    await settle()
    return ACCEPTED


@router.post(
    "/api/evses/{evse_id}/availability",
    status_code=202,
    dependencies=[require_role(Role.OWNER)],
    summary="Put an EVSE into or out of service",
)
async def change_availability(
    evse: PathEvse, body: Operation, station: Annotated[ChargingStation, part(ChargingStation)], settle: Settle
) -> AvailabilityChange:
    """Put an EVSE into or out of service, also after a restart; while a transaction runs, at its end."""
    answer = await station.availability.apply_order(EvseRef(evse.id), operative=body.operative)
    await settle()
    return {"accepted": True, "scheduled": answer is ChangeAvailabilityStatus.SCHEDULED}


@router.post(
    "/api/unlock", status_code=202, dependencies=[require_role(Role.OWNER)], summary="Unlock the cable of an EVSE"
)
async def unlock(
    station: Annotated[ChargingStation, part(ChargingStation)], settle: Settle, body: Unlock | None = None
) -> CableLock:
    """Unlock a cable that is kept locked for its driver; 409 while a charge is in progress or authorized."""
    evse = evse_of(station, (body or Unlock()).evse)
    if evse.state.authorization is not None:
        raise HTTPException(409, "a charge is in progress or authorized at this EVSE")
    evse.release_lock()
    await settle()
    return {"accepted": True, "locked": evse.state.observation.locked}


@router.delete(
    "/api/evses/{evse_id}/faults",
    status_code=202,
    dependencies=[require_role(Role.SERVICE)],
    summary="Clear the latched faults of an EVSE",
)
async def clear_faults(evse: PathEvse, settle: Settle) -> Accepted:
    """Clear the faults after a repair, for example of the contactor; the EVSE is checked again as after power-up.

    409 while a charge is in progress or authorized.
    """
    if evse.state.transaction is not None or evse.state.authorization is not None:
        raise HTTPException(409, "a charge is in progress or authorized at this EVSE")
    evse.reset()
    await settle()
    return ACCEPTED


@router.delete(
    "/api/tamper", status_code=202, dependencies=[require_role(Role.INSTALLER)], summary="Clear the tamper alarm"
)
async def clear_tamper_alarm(tamper: Annotated[TamperAlarm, part(TamperAlarm)], settle: Settle) -> Accepted:
    """Acknowledge that the station was opened; 409 while it is still open."""
    try:
        await tamper.acknowledge()
    except ValueError as error:
        raise HTTPException(409, str(error)) from error
    await settle()
    return ACCEPTED


def _with_short_group(info: IdTokenInfo) -> IdTokenInfo:
    group = info.group_id
    short = replace(group, value=loggable_token(group), additional_info=()) if group is not None else None
    return replace(info, group_id=short)
