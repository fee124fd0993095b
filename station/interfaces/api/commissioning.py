"""The steps of commissioning through the local API: what is to do, each test, and what it found."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import FastAPI, HTTPException, Request
from pydantic import AfterValidator, Field

from foundation.constants import MINIMUM_CURRENT_A
from station.core.settings import Settings
from station.interfaces.access.visitor import visitor_of
from station.interfaces.api.route_services import Command, Living
from station.interfaces.api.time_zone import TimeZoneName
from station.interfaces.host import Host
from station.interfaces.json_object import Json
from station.maintenance.commissioning.input_tests import CommissioningTests
from station.maintenance.commissioning.problems import Cause, Problem
from station.maintenance.commissioning.steps import (
    COVER_SCREWS_NM,
    SKIPPABLE,
    TORQUES_NM,
    Finding,
    Installation,
    Outcome,
    Step,
    Trial,
    breaker_trial,
    inapplicable,
    left_open,
    settled,
    wiring_trial,
)

if TYPE_CHECKING:
    from borne.life import Life

Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]


def _check_fits(cross_section_mm2: float) -> float:
    if cross_section_mm2 not in TORQUES_NM:
        raise ValueError(f"must be one of {', '.join(f'{size:g}' for size in TORQUES_NM)}")
    return cross_section_mm2


Amperes = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]


class Identity(Command):
    """Who works here, and the identity that was read from the label."""

    step: Literal["identity"]
    by: Text
    company: Text | None = None
    identity: Text


class Site(Command):
    """Where the station hangs."""

    step: Literal["site"]
    name: Text
    address: Text
    place: Text
    """where exactly: garage, left wall"""
    latitude: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)] | None = None
    longitude: Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)] | None = None
    time_zone: TimeZoneName | None = None
    """IANA name, such as Europe/Paris; it becomes that of the station"""


class Network(Command):
    """Look whether the CSMS is reached."""

    step: Literal["network"]


class Breaker(Command):
    """What is printed on the breaker upstream."""

    step: Literal["breaker"]
    rating_a: Annotated[float, Field(ge=MINIMUM_CURRENT_A, le=125, allow_inf_nan=False)]
    curve: Literal["B", "C", "D"]


class Wiring(Command):
    """The conductors, in mm², and what was tightened as the card asks."""

    step: Literal["wiring"]
    cross_section_mm2: Annotated[float, AfterValidator(_check_fits)]
    terminals_tightened: bool
    cover_tightened: bool


class Meter(Command):
    """Whether the live values are those that the meter itself displays."""

    step: Literal["meter"]
    plausible: bool


class Clamps(Command):
    """Look without the load, then with it: the vehicle's, or one that is named with its current on each phase."""

    step: Literal["clamps"]
    load: Literal["none", "vehicle", "named"]
    name: Text | None = None
    currents_a: Annotated[list[Amperes], Field(min_length=3, max_length=3)] | None = None
    arrows_checked: bool = False
    """the arrows of all clamps point the way the current flows: what no clamp can tell itself"""


class GridContact(Command):
    """What the contact does now: the installer has set it so."""

    step: Literal["grid-contact"]
    dims: bool


class Limits(Command):
    """The limits in force are the right ones."""

    step: Literal["limits"]
    confirmed: Literal[True]


class Residual(Command):
    """Test the monitors; where there are none, a residual-current device of type B must be upstream."""

    step: Literal["residual"]
    external_type_b: bool = False


class ShuntTrip(Command):
    """Whether the breaker upstream fell when the coil was energised."""

    step: Literal["shunt-trip"]
    tripped: bool


class TestSession(Command):
    """Look whether energy flows now."""

    step: Literal["test-session"]
    evse: int = 1


class PhaseMaps(Command):
    """Look what was learnt."""

    step: Literal["phases"]


Given = Annotated[
    Identity
    | Site
    | Network
    | Breaker
    | Wiring
    | Meter
    | Clamps
    | GridContact
    | Limits
    | Residual
    | ShuntTrip
    | TestSession
    | PhaseMaps,
    Field(discriminator="step"),
]


class Skip(Command):
    """Leave a step out."""

    reason: Text


def commissioning_routes(api: FastAPI, living: Living, host: Host) -> None:
    """The steps, in any order and as often as wanted."""

    @api.get("/api/commissioning/steps")
    async def steps() -> list[Json]:
        there, findings = _tests(living, host).installation, living.life.commissioning.findings
        return [_told(step, there, findings.get(step)) for step in Step]

    @api.get("/api/commissioning/card")
    async def wiring_card() -> Json:
        torques = [{"cross_section_mm2": size, "torque_nm": torque} for size, torque in TORQUES_NM.items()]
        return {"torques": torques, "cover_screws_nm": COVER_SCREWS_NM}

    @api.get("/api/commissioning/meter")
    async def live_meter() -> Json:
        return dict(_tests(living, host).live_meter())

    @api.post("/api/commissioning/steps")
    async def try_step(body: Given, request: Request) -> Json:
        tests, step = _tests(living, host), Step(body.step)
        _check_applies(step, tests.installation, living.life)
        trial = await _trial(body, tests, living)
        finding = await tests.keep(step, trial, _who(request, living.life, body))
        return _told(step, tests.installation, finding)

    @api.post("/api/commissioning/steps/{step}/skip")
    async def skip(step: Step, body: Skip, request: Request) -> Json:
        tests = _tests(living, host)
        _check_applies(step, tests.installation, living.life)
        if step not in SKIPPABLE:
            raise HTTPException(409, f"the step {step} cannot be left out")
        trial = Trial(Outcome.SKIPPED, {}, body.reason)
        return _told(step, tests.installation, await tests.keep(step, trial, _who(request, living.life, None)))

    @api.post("/api/commissioning/shunt-trip", status_code=202)
    async def energise_shunt_trip() -> Json:
        _check_applies(Step.SHUNT_TRIP, _tests(living, host).installation, living.life)
        if not await living.life.residual.try_shunt_trip():
            raise HTTPException(409, "the shunt trip cannot be tried now: an EVSE is in use, or the coil does not obey")
        return {"accepted": True}


def hindrances(life: Life, host: Host) -> list[Step]:
    """The steps that commissioning cannot end without."""
    return left_open(CommissioningTests(life, host.configuration).installation, life.commissioning.findings)


def _tests(living: Living, host: Host) -> CommissioningTests:
    return CommissioningTests(living.life, host.configuration)


def _check_applies(step: Step, there: Installation, life: Life) -> None:
    if life.activation.activated:
        raise HTTPException(409, "the station is activated already")
    if (why := inapplicable(step, there)) is not None:
        raise HTTPException(409, f"the step {step} does not apply: {why}")


async def _trial(body: Given, tests: CommissioningTests, living: Living) -> Trial:
    match body:
        case Identity():
            evidence = body.model_dump(exclude={"step"}, exclude_none=True)
            if body.identity != tests.installation.identity:
                other = "the label is that of another station"
                return Trial.failed(evidence, Problem(Cause.OTHER_STATION, other, {"identity": body.identity}))
            return Trial(Outcome.PASSED, evidence)
        case Site():
            if body.time_zone is not None:
                await living.life.station.settings.change(Settings.time_zone, body.time_zone)
            return Trial(Outcome.PASSED, body.model_dump(exclude={"step"}, exclude_none=True))
        case Network():
            return tests.network()
        case Breaker():
            return breaker_trial(body.rating_a, body.curve, tests.installation.selector_a)
        case Wiring():
            return wiring_trial(body.cross_section_mm2, terminals=body.terminals_tightened, cover=body.cover_tightened)
        case Meter():
            return tests.meter(plausible=body.plausible)
        case Clamps():
            return _clamps(body, tests)
        case GridContact():
            return tests.contact(dims=body.dims)
        case Limits():
            return tests.limits()
        case Residual():
            return await tests.residual(external=body.external_type_b)
        case ShuntTrip():
            return tests.shunt_trip(tripped=body.tripped)
        case TestSession():
            return tests.test_session(living.evse(body.evse))
        case PhaseMaps():
            return tests.phases()


def _clamps(body: Clamps, tests: CommissioningTests) -> Trial:
    if body.load == "none":
        return tests.clamps(None)
    if body.load == "named" and (body.currents_a is None or body.name is None):
        raise HTTPException(422, "name and currents_a: a named load needs both")
    load_a = body.currents_a if body.load == "named" and body.currents_a is not None else tests.car_load_a()
    trial = tests.clamps(load_a)
    evidence = trial.evidence | {"load": body.name or body.load, "arrows_checked": body.arrows_checked}
    if trial.outcome is not Outcome.FAILED and not trial.evidence["signed"] and not body.arrows_checked:
        unchecked = Problem(Cause.ARROWS_UNCHECKED, "these clamps tell no direction: check their arrows")
        return Trial.failed(evidence, unchecked)
    return replace(trial, evidence=evidence)


def _who(request: Request, life: Life, body: Given | None) -> str:
    """The installer's name, where it is known, and in which role they signed in."""
    known = life.commissioning.findings.get(Step.IDENTITY)
    name = body.by if isinstance(body, Identity) else (known.trial.evidence.get("by") if known is not None else None)
    words = visitor_of(request).words
    return f"{name} ({words})" if name is not None else words


def _told(step: Step, there: Installation, finding: Finding | None) -> Json:
    return {
        "step": step.value,
        "inapplicable": inapplicable(step, there),
        "settled": settled(step, there, finding),
        "skippable": step in SKIPPABLE,
        "outcome": finding.trial.outcome.value if finding is not None else None,
        "reason": finding.trial.reason if finding is not None else None,
        "problems": [asdict(problem) for problem in finding.trial.problems] if finding is not None else [],
        "evidence": finding.trial.evidence if finding is not None else None,
        "at": finding.at.isoformat() if finding is not None else None,
        "by": finding.by if finding is not None else None,
    }
