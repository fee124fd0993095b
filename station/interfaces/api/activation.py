"""Routes for completing commissioning, its test session, and activating the station for public use."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import HTTPException
from typing_extensions import TypedDict

from foundation.clock import Clock
from station.charging.charging_station import ChargingStation
from station.interfaces.access.roles import require_role
from station.interfaces.api.dependencies import ACCEPTED, Accepted, Command, Settle, evse_of, example, part
from station.interfaces.api.routing import api_router
from station.interfaces.part_keys import CLOCK
from station.maintenance.commissioning.activation import ActivationStage, StationActivation
from station.maintenance.commissioning.installation_facts import InstallationFacts
from station.maintenance.commissioning.installer_session import end_session, start_session
from station.maintenance.commissioning.record import CommissioningRecord
from station.maintenance.commissioning.report import ReportWriter
from station.maintenance.commissioning.site_settings import SiteSettings
from station.maintenance.commissioning.steps import open_steps
from station.security.access.accounts import Role
from station.security.access.sign_in_service import SignInService

router = api_router("commissioning")

_Activation = Annotated[StationActivation, part(StationActivation)]
_Facts = Annotated[InstallationFacts, part(InstallationFacts)]
_Record = Annotated[CommissioningRecord, part(CommissioningRecord)]


class InstallerTest(Command):
    """Body of POST and DELETE /api/commissioning/test-session: the EVSE; without a body EVSE 1."""

    model_config = example(evse=1)

    evse: int = 1
    """the EVSE at which the test session runs"""


class CommissioningStage(TypedDict):
    """Response of GET /api/commissioning: how far the station is commissioned and activated."""

    stage: ActivationStage
    """how far the station has come, and thus who must act next"""
    required: bool
    """whether nobody can charge before activation"""
    commissioned_at: str | None
    """when the installer completed commissioning (ISO 8601, UTC); null: not yet"""
    activated_at: str | None
    """when the owner activated the station (ISO 8601, UTC); null: not yet"""


class CommissioningStageReached(CommissioningStage):
    """Response of POST /api/commissioning and /api/activation: the stage reached."""

    accepted: Literal[True]
    """always true: the request was accepted"""


@router.get(
    "/api/commissioning", dependencies=[require_role(Role.INSTALLER)], summary="Read the stage of commissioning"
)
async def read_commissioning_stage(activation: _Activation) -> CommissioningStage:
    """Returns the stage, whether commissioning is required, and when the station was commissioned and activated."""
    return _stage(activation)


@router.post(
    "/api/commissioning", status_code=202, dependencies=[require_role(Role.INSTALLER)], summary="Complete commissioning"
)
async def complete_commissioning(
    activation: _Activation,
    facts: _Facts,
    record: _Record,
    report: Annotated[ReportWriter, part(ReportWriter)],
    site_settings: Annotated[SiteSettings, part(SiteSettings)],
    access: Annotated[SignInService, part(SignInService)],
    settle: Settle,
) -> CommissioningStageReached:
    """Set the station commissioned, and write and sign its commissioning report; 409 while steps are open.

    The installer's code on the label becomes invalid. May be repeated; before activation, the report is written again.
    """
    if not activation.activated:
        _require_no_open_step(facts, record)
        await report.write(site_settings.to_json)
    await activation.commission()
    await access.invalidate_label_code(Role.INSTALLER)
    await settle()
    return {"accepted": True, **_stage(activation)}


@router.post(
    "/api/commissioning/test-session",
    status_code=202,
    dependencies=[require_role(Role.INSTALLER)],
    summary="Start a test session",
)
async def start_test_session(
    station: Annotated[ChargingStation, part(ChargingStation)],
    activation: _Activation,
    clock: Annotated[Clock, part(CLOCK)],
    settle: Settle,
    body: InstallerTest | None = None,
) -> Accepted:
    """Start a charge without a card at an EVSE of a station that is not activated yet; ends by itself after 15 minutes.

    409 if the station is activated, or the EVSE is reserved, in use or out of service.
    """
    evse = evse_of(station, (body or InstallerTest()).evse)
    if activation.activated:
        raise HTTPException(409, "the station is already activated; test sessions are for commissioning only")
    if await start_session(station, evse, clock) is not None:
        raise HTTPException(409, "the EVSE is reserved, in use or out of service")
    await settle()
    return ACCEPTED


@router.delete(
    "/api/commissioning/test-session",
    status_code=202,
    dependencies=[require_role(Role.INSTALLER)],
    summary="End the test session",
)
async def end_test_session(
    station: Annotated[ChargingStation, part(ChargingStation)],
    settle: Settle,
    body: InstallerTest | None = None,
) -> Accepted:
    """End the test session at an EVSE; 409 if none is in progress there."""
    if not end_session(station, evse_of(station, (body or InstallerTest()).evse)):
        raise HTTPException(409, "no test session is in progress at this EVSE")
    await settle()
    return ACCEPTED


@router.post(
    "/api/activation", status_code=202, dependencies=[require_role(Role.OWNER)], summary="Activate the station"
)
async def activate_station(
    activation: _Activation, facts: _Facts, record: _Record, settle: Settle
) -> CommissioningStageReached:
    """Let the public charge at the station from now on; 409 if it is not commissioned, or a step is open again."""
    if activation.stage is ActivationStage.COMMISSIONED:
        _require_no_open_step(facts, record)  # a change of the current selector opens its step again
    if not await activation.activate():
        raise HTTPException(409, "the station has not been commissioned yet")
    await settle()
    return {"accepted": True, **_stage(activation)}


def _require_no_open_step(facts: InstallationFacts, record: CommissioningRecord) -> None:
    """Raise 409 while a step is open."""
    if open_names := open_steps(facts.read(), record.findings):
        raise HTTPException(409, f"open commissioning steps: {', '.join(open_names)}")


def _stage(activation: StationActivation) -> CommissioningStage:
    return {
        "stage": activation.stage,
        "required": activation.required,
        "commissioned_at": _time_text(activation.commissioned_at),
        "activated_at": _time_text(activation.activated_at),
    }


def _time_text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
