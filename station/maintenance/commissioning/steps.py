"""The commissioning steps: which apply to an installation, the results of each, and which are open.

No I/O: the caller passes the facts of the installation and the findings. Source of the torques: installation guide of
the reference station.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import field

from foundation.frozen import Frozen
from station.maintenance.commissioning.problems import Evidence, Json, Problem, ProblemCause


class CommissioningStep(StrEnum):
    """A step of commissioning, in the order in which the page shows them."""

    IDENTITY = "identity"
    """confirm the station and the installer"""
    SITE = "site"
    """site and exact location of the station"""
    NETWORK = "network"
    """connection to the CSMS"""
    BREAKER = "breaker"
    """rating of the breaker upstream compared with the current selector"""
    WIRING = "wiring"
    """conductors and torque of the terminals"""
    METER = "meter"
    """smart meter with its jumpers and live values"""
    CLAMPS = "clamps"
    """each current transformer on its phase and in the right direction"""
    GRID_CONTACT = "grid-contact"
    """the grid operator's contact (EnWG §14a), in both positions"""
    LIMITS = "limits"
    """limits of load management, also while the meter is silent"""
    RESIDUAL = "residual"
    """the residual-current monitors"""
    SHUNT_TRIP = "shunt-trip"
    """the breaker upstream trips"""
    TEST_SESSION = "test-session"
    """energy flows"""
    PHASES = "phases"
    """phase rotation: the phases of the connection behind the terminals of each EVSE"""


class StepOutcome(StrEnum):
    """How a commissioning step ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    BEGUN = "begun"
    """the first part of a test passed, the second is still to be done"""


SKIPPABLE: Final = frozenset(
    {
        CommissioningStep.NETWORK,
        CommissioningStep.METER,
        CommissioningStep.CLAMPS,
        CommissioningStep.TEST_SESSION,
        CommissioningStep.PHASES,
    }
)
"""steps that may be skipped with a reason; all others concern safety, or identify the report"""

TORQUES_NM: Final[Mapping[float, float]] = {2.5: 2.26, 4.0: 2.26, 6.0: 2.82, 10.0: 4.0, 16.0: 4.0}
"""copper cross-section in mm² → torque of the terminals"""
COVER_SCREWS_NM: Final = 0.5


class Installation(Frozen):
    """Facts of the installation that decide which commissioning steps apply and whether findings are still valid."""

    identity: str
    selector_a: float | None
    """limit of the current selector, amperes per phase"""
    csms_url: str | None = None
    """None: the station has no CSMS"""
    meter: str | None = None
    """configuration of the grid meter, as text to compare; None: none"""
    clamps: int = 0
    """number of current transformers"""
    contact: str | None = None
    """configuration of the grid operator's contact, as text to compare; None: none"""
    limits: str | None = None
    """limits of load management, as text to compare; None: not configured"""
    shunt_trip: bool = False
    """whether a shunt trip is installed"""
    learns: tuple[int, ...] = ()
    """ids of the EVSEs whose phase rotation is learnt"""


class StepResult(Frozen):
    """The result of a commissioning step, with its evidence for the report; not stored yet."""

    outcome: StepOutcome
    evidence: Evidence = field(default_factory=dict[str, "Json"])
    """what was measured or confirmed, with units in the names"""
    reason: str | None = None
    """why it failed or was skipped"""
    problems: tuple[Problem, ...] = ()
    """the problems that make up the reason"""

    @classmethod
    def failed(cls, evidence: Evidence, *problems: Problem) -> StepResult:
        """Create a result with outcome FAILED, whose reason is the sentences of these problems."""
        return cls(StepOutcome.FAILED, evidence, "; ".join(problem.sentence for problem in problems), problems)


class CommissioningFinding(Frozen):
    """The stored result of a commissioning step, with time, person and preconditions."""

    step: CommissioningStep
    result: StepResult
    at: datetime
    by: str
    """name or role of who did the step, as shown in the report"""
    preconditions: str
    """facts that it depends on: if they change, the step is open again"""


def inapplicable_reason(step: CommissioningStep, installation: Installation) -> str | None:
    """Why a step does not apply to this installation; None if it does."""
    match step:
        case CommissioningStep.NETWORK if installation.csms_url is None:
            return "the station has no CSMS"
        case CommissioningStep.METER if installation.meter is None:
            return "no grid meter is configured"
        case CommissioningStep.LIMITS if installation.meter is None:
            return "load management needs a grid meter, and none is configured"
        case CommissioningStep.CLAMPS if not installation.clamps:
            return "no current transformers are configured"
        case CommissioningStep.GRID_CONTACT if installation.contact is None:
            return "no contact of the grid operator is configured"
        case CommissioningStep.SHUNT_TRIP if not installation.shunt_trip:
            return "no shunt trip is installed"
        case CommissioningStep.PHASES if not installation.learns:
            return "the installation file sets the phase rotation"
        case _:
            return None


def step_preconditions(step: CommissioningStep, installation: Installation) -> str:
    """The facts that a finding of this step depends on, as a text for comparison."""
    match step:
        case CommissioningStep.IDENTITY:
            return installation.identity
        case CommissioningStep.NETWORK:
            return installation.csms_url or ""
        case CommissioningStep.BREAKER:
            return f"{installation.selector_a}"
        case CommissioningStep.METER | CommissioningStep.CLAMPS:
            return installation.meter or ""
        case CommissioningStep.GRID_CONTACT:
            return installation.contact or ""
        case CommissioningStep.LIMITS:
            return installation.limits or ""
        case CommissioningStep.PHASES:
            return f"{installation.learns} {installation.meter}"
        case _:
            return ""


def is_done(step: CommissioningStep, installation: Installation, finding: CommissioningFinding | None) -> bool:
    """Return whether a step needs no further work: it does not apply, or its finding is valid and passed or skipped.

    `finding`: the stored one, None if there is none; it is invalid if its preconditions have changed.
    """
    if inapplicable_reason(step, installation) is not None:
        return True
    if finding is None or finding.preconditions != step_preconditions(step, installation):
        return False
    if finding.result.outcome is StepOutcome.SKIPPED:
        return step in SKIPPABLE
    return finding.result.outcome is StepOutcome.PASSED


def open_steps(
    installation: Installation, findings: Mapping[CommissioningStep, CommissioningFinding]
) -> list[CommissioningStep]:
    """The steps that prevent the end of commissioning, in order."""
    return [step for step in CommissioningStep if not is_done(step, installation, findings.get(step))]


def breaker_result(rating_a: float, curve: str, selector_a: float | None) -> StepResult:
    """The result of the breaker step: fails if the selector exceeds the breaker's rating, or is unknown (None)."""
    evidence: Evidence = {"breaker_a": rating_a, "curve": curve, "selector_a": selector_a}
    if selector_a is None:
        return StepResult.failed(
            evidence, Problem(ProblemCause.SELECTOR_UNKNOWN, "the current selector cannot be read")
        )
    if selector_a > rating_a:
        reason = (
            f"the selector allows {selector_a:g} A, but the breaker is rated {rating_a:g} A: turn the selector down"
        )
        values: Evidence = {"selector_a": selector_a, "breaker_a": rating_a}
        return StepResult.failed(evidence, Problem(ProblemCause.SELECTOR_ABOVE_BREAKER, reason, values))
    return StepResult(StepOutcome.PASSED, evidence)


def wiring_result(cross_section_mm2: float, *, terminals: bool, cover: bool) -> StepResult:
    """The result of the wiring step, from what the installer has tightened; required torques are in the evidence.

    Raises:
        KeyError: the terminals do not take this cross-section.
    """
    evidence: Evidence = {
        "cross_section_mm2": cross_section_mm2,
        "torque_nm": TORQUES_NM[cross_section_mm2],
        "terminals_tightened": terminals,
        "cover_screws_nm": COVER_SCREWS_NM,
        "cover_tightened": cover,
    }
    problems: list[Problem] = []
    if not terminals:
        torque = evidence["torque_nm"]
        problems.append(Problem(ProblemCause.TERMINALS_LOOSE, "the terminals are not tightened", {"torque_nm": torque}))
    if not cover:
        problems.append(
            Problem(ProblemCause.COVER_LOOSE, "the cover screws are not tightened", {"torque_nm": COVER_SCREWS_NM})
        )
    return StepResult.failed(evidence, *problems) if problems else StepResult(StepOutcome.PASSED, evidence)


def contact_result(before: StepResult | None, *, dims: bool, observed: bool, limited: bool, at: datetime) -> StepResult:
    """The result of one position of the grid operator's contact: `dims` as set, `observed` as read by the station.

    `before`: the result so far, which contains the other position; BEGUN without it. `limited`: the limit of the order
    is in force.
    """
    observation: Evidence = {"ordered": dims, "seen": observed, "limited": limited, "at": at.isoformat()}
    position, other_position = ("dimmed", "free") if dims else ("free", "dimmed")
    other_evidence = (
        before.evidence.get(other_position) if before is not None and before.outcome is not StepOutcome.FAILED else None
    )
    evidence: Evidence = {position: observation}
    if other_evidence is not None:
        evidence[other_position] = other_evidence
    if observed is not dims:
        reason = "the station reads the opposite contact position: the polarity is wrong"
        return StepResult.failed(evidence, Problem(ProblemCause.CONTACT_REVERSED, reason))
    if limited is not dims:
        return StepResult.failed(
            evidence, Problem(ProblemCause.CONTACT_WITHOUT_LIMIT, "the limit does not match the contact position")
        )
    return StepResult(StepOutcome.PASSED if other_evidence is not None else StepOutcome.BEGUN, evidence)


_MIN_STEP_A: Final = 1.5
"""smallest load that exceeds the noise of a house"""


def clamps_result(before_a: list[float], after_a: list[float], load_a: list[float], *, signed: bool) -> StepResult:
    """The result of the current transformers: each must respond to a load on its phase, and to no other.

    All in amperes per grid phase: readings without and with the load, and the load itself. `signed`: readings have a
    direction; without it, a reversed transformer cannot be detected.
    """
    moved = [after - before for before, after in zip(before_a, after_a, strict=True)]
    evidence: Evidence = {
        "without_a": [*before_a],
        "with_a": [*after_a],
        "load_a": [*load_a],
        "signed": signed,
    }
    if max(load_a, default=0.0) < _MIN_STEP_A:
        reason = f"the load is too small: at least {_MIN_STEP_A:g} A is needed"
        return StepResult.failed(evidence, Problem(ProblemCause.LOAD_TOO_SMALL, reason, {"least_a": _MIN_STEP_A}))
    problems = [_clamp_fault(number, *pair) for number, pair in enumerate(zip(moved, load_a, strict=True), 1)]
    wrong = [problem for problem in problems if problem is not None]
    return StepResult.failed(evidence, *wrong) if wrong else StepResult(StepOutcome.PASSED, evidence)


def with_untested_clamps(trial: StepResult, first: Evidence, load_a: list[float], clamps: int) -> StepResult:
    """Make a passed result incomplete (BEGUN) until a load was seen on the phase of each of `clamps` transformers.

    An unconnected transformer passes as long as its phase has no load. `first`: evidence of the reading without load,
    with the transformers seen since; it remains valid for further loads.
    """
    if trial.outcome is not StepOutcome.PASSED:
        return trial
    responding = [number for number, current_a in enumerate(load_a, 1) if current_a >= _MIN_STEP_A]
    tested = sorted({*responding, *tested_clamps(first)})
    evidence: Evidence = {**trial.evidence, "clamps_seen": [*tested]}
    untested = [number for number in range(1, clamps + 1) if number not in tested]
    if not untested:
        return StepResult(StepOutcome.PASSED, evidence)
    listed = ", ".join(map(str, untested))
    problem = Problem(
        ProblemCause.CLAMPS_UNSEEN, f"no load has been measured yet on the phase of CT {listed}", {"clamps": listed}
    )
    return StepResult(StepOutcome.BEGUN, {**evidence, "car_a": first.get("car_a")}, problem.sentence, (problem,))


def tested_clamps(evidence: Evidence) -> list[int]:
    """The numbers (from 1) of the current transformers that have responded to a load, from stored evidence."""
    numbers = evidence.get("clamps_seen")
    return [number for number in numbers if isinstance(number, int)] if isinstance(numbers, list) else []


def _clamp_fault(number: int, moved_a: float, load_a: float) -> Problem | None:
    """The problem with a current transformer, or None."""
    tolerance_a = max(_MIN_STEP_A / 2, abs(load_a) / 2)
    if load_a < _MIN_STEP_A:
        if abs(moved_a) < _MIN_STEP_A:
            return None
        reason = f"CT{number} responds to a load on another phase"
        return Problem(ProblemCause.CLAMP_OTHER_PHASE, reason, {"clamp": number})
    if moved_a <= -tolerance_a:
        return Problem(ProblemCause.CLAMP_REVERSED, f"CT{number} is mounted in reverse", {"clamp": number})
    if abs(moved_a - load_a) > tolerance_a:
        reason = f"CT{number} shows {moved_a:.1f} A for a load of {load_a:.1f} A"
        values: Evidence = {"clamp": number, "shown_a": round(moved_a, 1), "load_a": round(load_a, 1)}
        return Problem(ProblemCause.CLAMP_WRONG, reason, values)
    return None
