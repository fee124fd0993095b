"""Routes for the steps of commissioning: list, test, skip."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, cast

from fastapi import Depends, HTTPException, Path, Request
from msgspec.structs import replace
from pydantic import JsonValue
from typing_extensions import TypedDict

from station.charging.charging_station import ChargingStation
from station.core.clock_settings import ClockSettings
from station.core.csms import CsmsLink
from station.interfaces.access.roles import require_role
from station.interfaces.access.visitor import visitor_of
from station.interfaces.api.commissioning_trials import (
    BreakerTrial,
    ClampsTrial,
    Given,
    GridContactTrial,
    IdentityTrial,
    LimitsTrial,
    MeterTrial,
    NetworkTrial,
    PhaseMapsTrial,
    ResidualTrial,
    ShuntTripTrial,
    SiteTrial,
    TestSessionTrial,
    Text,
    WiringTrial,
)
from station.interfaces.api.dependencies import ACCEPTED, Accepted, Command, evse_of, example, optional_part, part
from station.interfaces.api.routing import api_router
from station.interfaces.part_keys import CSMS_LINK
from station.load.residual_current import ResidualCurrentGuard
from station.maintenance.commissioning.activation import StationActivation
from station.maintenance.commissioning.grid_tests import GridTests, LiveMeter
from station.maintenance.commissioning.input_tests import CommissioningTests
from station.maintenance.commissioning.installation_facts import InstallationFacts
from station.maintenance.commissioning.problems import Json, Problem, ProblemCause
from station.maintenance.commissioning.record import CommissioningRecord
from station.maintenance.commissioning.steps import (
    COVER_SCREWS_NM,
    SKIPPABLE,
    TORQUES_NM,
    CommissioningFinding,
    CommissioningStep,
    Installation,
    StepOutcome,
    StepResult,
    breaker_result,
    inapplicable_reason,
    is_done,
    wiring_result,
)
from station.security.access.accounts import Role

router = api_router("commissioning")


class SkipReason(Command):
    """Body of POST /api/commissioning/steps/{step}/skip: why the step is skipped."""

    model_config = example(reason="no grid meter in this house yet")

    reason: Text
    """why the step is skipped, for the commissioning report"""


class ProblemShown(TypedDict):
    """A problem that the last test of a commissioning step found."""

    cause: ProblemCause
    """code of the problem, by which the page finds its text"""
    sentence: str
    """the problem as a sentence in English"""
    values: dict[str, JsonValue]
    """free JSON: values to insert in the page's text of this cause"""


class CommissioningStepStatus(TypedDict):
    """A commissioning step of the station, and the result of its last test."""

    step: CommissioningStep
    """which step it is"""
    inapplicable: str | None
    """why the step does not apply to this station; null: it applies"""
    settled: bool
    """whether the step needs no further work: passed, skipped or inapplicable"""
    skippable: bool
    """whether it may be skipped with a reason"""
    outcome: StepOutcome | None
    """how the step ended last; null: it was neither tested nor skipped"""
    reason: str | None
    """why the step failed or was skipped"""
    problems: list[ProblemShown]
    """what the last test found; empty: passed, skipped or not tested"""
    evidence: dict[str, JsonValue] | None
    """free JSON: the values measured or entered in the test"""
    at: str | None
    """when it was last tested or skipped (ISO 8601, UTC); null: never"""
    by: str | None
    """the installer and the role, who did that"""


class TerminalTorque(TypedDict):
    """The torque for the terminals with conductors of one cross-section."""

    cross_section_mm2: float
    """cross-section of the conductors, mm²"""
    torque_nm: float
    """torque for the screws of the terminals, N·m"""


class TorqueCard(TypedDict):
    """Response of GET /api/commissioning/card: the torques of terminals and cover screws."""

    torques: list[TerminalTorque]
    """by cross-section, the smallest first"""
    cover_screws_nm: float
    """torque for the screws of the cover, N·m"""


class StationTests:
    """FastAPI dependency: the commissioning tests of the station, with the record that stores their results."""

    def __init__(
        self,
        facts: Annotated[InstallationFacts, part(InstallationFacts)],
        record: Annotated[CommissioningRecord, part(CommissioningRecord)],
        activation: Annotated[StationActivation, part(StationActivation)],
        tests: Annotated[CommissioningTests, part(CommissioningTests)],
        grid: Annotated[GridTests, part(GridTests)],
    ) -> None:
        self.installation = facts.read()
        self.grid = grid
        self.tests = tests
        self._activation = activation
        self._record = record

    def require_applies(self, step: CommissioningStep) -> None:
        """Refuse the request with 409 if the station is activated already, or the step does not apply to it."""
        if self._activation.activated:
            raise HTTPException(409, "the station is already activated")
        if (reason := inapplicable_reason(step, self.installation)) is not None:
            raise HTTPException(409, f"the step {step} does not apply: {reason}")

    async def store(
        self, step: CommissioningStep, trial: StepResult, request: Request, given_name: str | None = None
    ) -> CommissioningStepStatus:
        """Store a result with the name of the installer: `given_name`, else the name from the identity step."""
        finding = await self.tests.store_result(step, trial, self._installer_name(request, given_name))
        return _step_status(step, self.installation, finding)

    def _installer_name(self, request: Request, given_name: str | None) -> str:
        """The installer's name, if known, and the signed-in role."""
        identity_finding = self._record.findings.get(CommissioningStep.IDENTITY)
        name = (
            given_name
            if given_name is not None or identity_finding is None
            else identity_finding.result.evidence.get("by")
        )
        role_text = visitor_of(request).log_name
        return f"{name} ({role_text})" if name is not None else role_text


_Tests = Annotated[StationTests, Depends()]


@router.get(
    "/api/commissioning/steps", dependencies=[require_role(Role.INSTALLER)], summary="List the steps of commissioning"
)
async def list_commissioning_steps(
    facts: Annotated[InstallationFacts, part(InstallationFacts)],
    record: Annotated[CommissioningRecord, part(CommissioningRecord)],
) -> list[CommissioningStepStatus]:
    """Returns all steps with their last results; they may be tested in any order and repeatedly."""
    installation = facts.read()
    return [_step_status(step, installation, record.findings.get(step)) for step in CommissioningStep]


@router.get("/api/commissioning/card", dependencies=[require_role(Role.INSTALLER)], summary="Read the torques")
async def read_torque_card() -> TorqueCard:
    """Returns the torques of terminals and cover screws (installation guide of the reference station)."""
    return {
        "torques": [{"cross_section_mm2": size, "torque_nm": torque} for size, torque in TORQUES_NM.items()],
        "cover_screws_nm": COVER_SCREWS_NM,
    }


@router.get(
    "/api/commissioning/meter",
    dependencies=[require_role(Role.INSTALLER)],
    summary="Read the smart meter's live values",
)
async def read_live_meter(grid: Annotated[GridTests, part(GridTests)]) -> LiveMeter:
    """Returns the last values of the meter to compare with its display, the jumpers, and raw bytes; reads no device."""
    return grid.live_meter()


@router.post(
    "/api/commissioning/steps", dependencies=[require_role(Role.INSTALLER)], summary="Test a step of commissioning"
)
async def run_commissioning_step(
    body: Given,
    request: Request,
    tests: _Tests,
    station: Annotated[ChargingStation, part(ChargingStation)],
    settings: Annotated[ClockSettings, part(ClockSettings)],
    link: Annotated[CsmsLink | None, optional_part(CSMS_LINK)],
) -> CommissioningStepStatus:
    """Test a step with the given observations of the installer, and store the result.

    The response is 200 also if the test fails: see `outcome`. 409 if it does not apply, or the station is activated.
    """
    step = CommissioningStep(body.step)
    tests.require_applies(step)
    trial = await _run_trial(body, tests, station, settings, connected=link is not None and link.connected)
    return await tests.store(step, trial, request, body.by if isinstance(body, IdentityTrial) else None)


@router.post(
    "/api/commissioning/steps/{step}/skip",
    dependencies=[require_role(Role.INSTALLER)],
    summary="Skip a step of commissioning",
)
async def skip_commissioning_step(
    step: Annotated[CommissioningStep, Path(description="the step to skip")],
    body: SkipReason,
    request: Request,
    tests: _Tests,
) -> CommissioningStepStatus:
    """Mark a step as skipped, with a reason; 409 if it cannot be skipped, or the station is activated."""
    tests.require_applies(step)
    if step not in SKIPPABLE:
        raise HTTPException(409, f"the step {step} cannot be skipped")
    return await tests.store(step, StepResult(StepOutcome.SKIPPED, {}, body.reason), request)


@router.post(
    "/api/commissioning/shunt-trip",
    status_code=202,
    dependencies=[require_role(Role.INSTALLER)],
    summary="Energise the shunt trip",
)
async def energise_shunt_trip(
    tests: _Tests, residual: Annotated[ResidualCurrentGuard, part(ResidualCurrentGuard)]
) -> Accepted:
    """Energise the coil briefly, so that the upstream breaker trips; the station loses power if that works.

    409 while an EVSE is in use, if there is no shunt trip, or if the station is activated.
    """
    tests.require_applies(CommissioningStep.SHUNT_TRIP)
    if not await residual.test_shunt_trip():
        raise HTTPException(409, "the shunt trip cannot be tested now: an EVSE is in use, or the coil does not respond")
    return ACCEPTED


async def _run_trial(
    body: Given, tests: StationTests, station: ChargingStation, settings: ClockSettings, *, connected: bool
) -> StepResult:
    match body:
        case IdentityTrial():
            return _identity_result(body, tests.installation)
        case SiteTrial():
            if body.time_zone is not None:
                await settings.change(ClockSettings.time_zone, body.time_zone)
            return StepResult(StepOutcome.PASSED, body.model_dump(exclude={"step"}, exclude_none=True))
        case NetworkTrial():
            return tests.tests.check_network(connected=connected)
        case BreakerTrial():
            return breaker_result(body.rating_a, body.curve, tests.installation.selector_a)
        case WiringTrial():
            return wiring_result(body.cross_section_mm2, terminals=body.terminals_tightened, cover=body.cover_tightened)
        case MeterTrial():
            return tests.grid.check_meter(plausible=body.plausible)
        case ClampsTrial():
            return _clamps_result(body, tests.grid)
        case GridContactTrial():
            return tests.grid.check_contact(dims=body.dims)
        case LimitsTrial():
            return tests.grid.check_limits()
        case ResidualTrial():
            return await tests.tests.test_residual_monitors(external_type_b=body.external_type_b)
        case ShuntTripTrial():
            return tests.tests.shunt_trip_result(tripped=body.tripped)
        case TestSessionTrial():
            return tests.tests.test_session(evse_of(station, body.evse))
        case PhaseMapsTrial():
            return tests.grid.check_phases()


def _identity_result(body: IdentityTrial, installation: Installation) -> StepResult:
    evidence = body.model_dump(exclude={"step"}, exclude_none=True)
    if body.identity != installation.identity:
        reason = "the label belongs to another station"
        return StepResult.failed(evidence, Problem(ProblemCause.OTHER_STATION, reason, {"identity": body.identity}))
    return StepResult(StepOutcome.PASSED, evidence)


def _clamps_result(body: ClampsTrial, tests: GridTests) -> StepResult:
    if body.load == "none":
        return tests.check_clamps(None)
    if body.load == "named" and (body.currents_a is None or body.name is None):
        raise HTTPException(422, "name and currents_a: both are required for a named load")
    load_a = body.currents_a if body.load == "named" and body.currents_a is not None else tests.car_load_a()
    trial = tests.check_clamps(load_a)
    evidence = trial.evidence | {"load": body.name or body.load, "arrows_checked": body.arrows_checked}
    if trial.outcome is not StepOutcome.FAILED and not trial.evidence["signed"] and not body.arrows_checked:
        problem = Problem(ProblemCause.ARROWS_UNCHECKED, "these clamps do not report the direction: check their arrows")
        return StepResult.failed(evidence, problem)
    return replace(trial, evidence=evidence)


def _step_status(
    step: CommissioningStep, installation: Installation, finding: CommissioningFinding | None
) -> CommissioningStepStatus:
    trial = finding.result if finding is not None else None
    return {
        "step": step,
        "inapplicable": inapplicable_reason(step, installation),
        "settled": is_done(step, installation, finding),
        "skippable": step in SKIPPABLE,
        "outcome": trial.outcome if trial is not None else None,
        "reason": trial.reason if trial is not None else None,
        "problems": [_problem_to_json(problem) for problem in trial.problems] if trial is not None else [],
        "evidence": _json(trial.evidence) if trial is not None else None,
        "at": finding.at.isoformat() if finding is not None else None,
        "by": finding.by if finding is not None else None,
    }


def _problem_to_json(problem: Problem) -> ProblemShown:
    return {"cause": problem.cause, "sentence": problem.sentence, "values": _json(problem.values)}


def _json(values: Mapping[str, Json]) -> dict[str, JsonValue]:
    return cast("dict[str, JsonValue]", dict(values))  # the same type, under the name that pydantic supports
