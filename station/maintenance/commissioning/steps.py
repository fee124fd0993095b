"""The steps of commissioning as an installer goes through them: which apply here, what each found, what is left.

Pure: whoever asks gives the facts of the installation and the findings so far. Source of the card of torques:
installation guide of the reference station.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from enum import StrEnum
from typing import Final

from foundation.frozen import frozen
from station.maintenance.commissioning.problems import Evidence, Json, Problem, ProblemCause


class CommissioningStep(StrEnum):
    """A step, in the order in which the assistant shows them."""

    IDENTITY = "identity"
    """the right station, and who works at it"""
    SITE = "site"
    """the site, and where exactly the station hangs"""
    NETWORK = "network"
    """the way to the CSMS"""
    BREAKER = "breaker"
    """the breaker upstream, against the current selector"""
    WIRING = "wiring"
    """the conductors, and how tight they are"""
    METER = "meter"
    """the smart meter, against the jumpers, with live values"""
    CLAMPS = "clamps"
    """each current transformer on its phase, the right way round"""
    GRID_CONTACT = "grid-contact"
    """the grid operator's contact (EnWG §14a), both ways"""
    LIMITS = "limits"
    """what load management may draw, and what while the meter is silent"""
    RESIDUAL = "residual"
    """the residual-current monitors"""
    SHUNT_TRIP = "shunt-trip"
    """the breaker upstream really trips"""
    TEST_SESSION = "test-session"
    """energy flows"""
    PHASES = "phases"
    """which phases of the connection feed which terminals"""


class StepOutcome(StrEnum):
    """What came of a step."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    BEGUN = "begun"
    """one half of a test is seen, the other is still to come"""


SKIPPABLE: Final = frozenset(
    {
        CommissioningStep.NETWORK,
        CommissioningStep.METER,
        CommissioningStep.CLAMPS,
        CommissioningStep.TEST_SESSION,
        CommissioningStep.PHASES,
    }
)
"""what may be left out for a reason; all others are a matter of safety, or say what the report is about"""

TORQUES_NM: Final[Mapping[float, float]] = {2.5: 2.26, 4.0: 2.26, 6.0: 2.82, 10.0: 4.0, 16.0: 4.0}
"""copper cross-section in mm² → torque of the terminals"""
COVER_SCREWS_NM: Final = 0.5


@frozen
class Installation:
    """What is installed, as far as it decides which steps apply, and on which a finding rests."""

    identity: str
    selector_a: float | None
    """what the current selector allows, amperes per phase"""
    csms_url: str | None = None
    meter: str | None = None
    """the grid meter with all that tells it from another; None: there is none"""
    clamps: int = 0
    """current transformers"""
    contact: str | None = None
    """the grid operator's contact with its polarity"""
    limits: str | None = None
    """those of load management"""
    shunt_trip: bool = False
    learns: tuple[int, ...] = ()
    """EVSEs whose phases are found out"""


@frozen
class StepResult:
    """What a test came to."""

    outcome: StepOutcome
    evidence: Evidence = field(default_factory=dict[str, "Json"])
    reason: str | None = None
    """why it failed, or was skipped"""
    problems: tuple[Problem, ...] = ()
    """what the reason consists of"""

    @classmethod
    def failed(cls, evidence: Evidence, *problems: Problem) -> StepResult:
        """One that found problems."""
        return cls(StepOutcome.FAILED, evidence, "; ".join(problem.sentence for problem in problems), problems)


@frozen
class CommissioningFinding:
    """A trial with its circumstances, as it is kept."""

    step: CommissioningStep
    result: StepResult
    at: datetime
    by: str
    preconditions: str
    """what it rests on: where that has changed since, the step is open again"""


def inapplicable_reason(step: CommissioningStep, there: Installation) -> str | None:
    """Why a step has nothing to look at here; None: it applies."""
    match step:
        case CommissioningStep.NETWORK if there.csms_url is None:
            return "the station stands alone"
        case CommissioningStep.METER if there.meter is None:
            return "there is no grid meter"
        case CommissioningStep.LIMITS if there.meter is None:
            return "there is no load management without a grid meter"
        case CommissioningStep.CLAMPS if not there.clamps:
            return "there are no current transformers"
        case CommissioningStep.GRID_CONTACT if there.contact is None:
            return "there is no contact of the grid operator"
        case CommissioningStep.SHUNT_TRIP if not there.shunt_trip:
            return "no shunt trip is installed"
        case CommissioningStep.PHASES if not there.learns:
            return "the phases are given by the installation file"
        case _:
            return None


def step_preconditions(step: CommissioningStep, there: Installation) -> str:
    """What a finding of this step rests on, as a text that changes with it."""
    match step:
        case CommissioningStep.IDENTITY:
            return there.identity
        case CommissioningStep.NETWORK:
            return there.csms_url or ""
        case CommissioningStep.BREAKER:
            return f"{there.selector_a}"
        case CommissioningStep.METER | CommissioningStep.CLAMPS:
            return there.meter or ""
        case CommissioningStep.GRID_CONTACT:
            return there.contact or ""
        case CommissioningStep.LIMITS:
            return there.limits or ""
        case CommissioningStep.PHASES:
            return f"{there.learns} {there.meter}"
        case _:
            return ""


def is_done(step: CommissioningStep, there: Installation, finding: CommissioningFinding | None) -> bool:
    """Whether nothing is left to do of a step."""
    if inapplicable_reason(step, there) is not None:
        return True
    if finding is None or finding.preconditions != step_preconditions(step, there):
        return False
    if finding.result.outcome is StepOutcome.SKIPPED:
        return step in SKIPPABLE
    return finding.result.outcome is StepOutcome.PASSED


def open_steps(
    there: Installation, findings: Mapping[CommissioningStep, CommissioningFinding]
) -> list[CommissioningStep]:
    """What hinders the end of commissioning, in order."""
    return [step for step in CommissioningStep if not is_done(step, there, findings.get(step))]


def breaker_result(rating_a: float, curve: str, selector_a: float | None) -> StepResult:
    """The selector must not allow more than the breaker carries; one that cannot be read allows 8 A."""
    evidence: Evidence = {"breaker_a": rating_a, "curve": curve, "selector_a": selector_a}
    if selector_a is None:
        return StepResult.failed(evidence, Problem(ProblemCause.SELECTOR_UNKNOWN, "the current selector is not known"))
    if selector_a > rating_a:
        reason = f"the selector allows {selector_a:g} A, the breaker {rating_a:g} A: turn the selector down"
        values: Evidence = {"selector_a": selector_a, "breaker_a": rating_a}
        return StepResult.failed(evidence, Problem(ProblemCause.SELECTOR_ABOVE_BREAKER, reason, values))
    return StepResult(StepOutcome.PASSED, evidence)


def wiring_result(cross_section_mm2: float, *, terminals: bool, cover: bool) -> StepResult:
    """Whether all is tightened; the torque that the card asks for is evidence.

    Raises:
        KeyError: no such cross-section fits the terminals.
    """
    evidence: Evidence = {
        "cross_section_mm2": cross_section_mm2,
        "torque_nm": TORQUES_NM[cross_section_mm2],
        "terminals_tightened": terminals,
        "cover_screws_nm": COVER_SCREWS_NM,
        "cover_tightened": cover,
    }
    loose: list[Problem] = []
    if not terminals:
        torque = evidence["torque_nm"]
        loose.append(Problem(ProblemCause.TERMINALS_LOOSE, "to be tightened: terminals", {"torque_nm": torque}))
    if not cover:
        loose.append(Problem(ProblemCause.COVER_LOOSE, "to be tightened: cover screws", {"torque_nm": COVER_SCREWS_NM}))
    return StepResult.failed(evidence, *loose) if loose else StepResult(StepOutcome.PASSED, evidence)


def contact_result(before: StepResult | None, *, dims: bool, seen: bool, limited: bool, at: datetime) -> StepResult:
    """One way of the contact: the installer says whether it dims, the station what it sees and does.

    `before`: the trial so far, of which the other way is taken. `limited`: the limit of the order holds.
    """
    way: Evidence = {"ordered": dims, "seen": seen, "limited": limited, "at": at.isoformat()}
    name, other = ("dimmed", "free") if dims else ("free", "dimmed")
    known = before.evidence.get(other) if before is not None and before.outcome is not StepOutcome.FAILED else None
    evidence: Evidence = {name: way}
    if known is not None:
        evidence[other] = known
    if seen is not dims:
        reason = "the contact is seen the other way round: its polarity is wrong"
        return StepResult.failed(evidence, Problem(ProblemCause.CONTACT_REVERSED, reason))
    if limited is not dims:
        return StepResult.failed(
            evidence, Problem(ProblemCause.CONTACT_WITHOUT_LIMIT, "the limit does not follow the contact")
        )
    return StepResult(StepOutcome.PASSED if known is not None else StepOutcome.BEGUN, evidence)


_LEAST_STEP_A: Final = 1.5
"""a load that can be told from the noise of a house"""


def clamps_result(before_a: list[float], after_a: list[float], load_a: list[float], *, signed: bool) -> StepResult:
    """Whether each clamp moves with a known load of its phase, and with that alone.

    All per grid phase in amperes: what the clamps showed without and with the load, and what the load draws.
    `signed`: they tell a direction; without, turning one round cannot be seen.
    """
    moved = [after - before for before, after in zip(before_a, after_a, strict=True)]
    evidence: Evidence = {
        "without_a": [*before_a],
        "with_a": [*after_a],
        "load_a": [*load_a],
        "signed": signed,
    }
    if max(load_a, default=0.0) < _LEAST_STEP_A:
        small = f"the load is too small: {_LEAST_STEP_A:g} A at the least"
        return StepResult.failed(evidence, Problem(ProblemCause.LOAD_TOO_SMALL, small, {"least_a": _LEAST_STEP_A}))
    found = [_clamp_fault(number, *pair) for number, pair in enumerate(zip(moved, load_a, strict=True), 1)]
    wrong = [problem for problem in found if problem is not None]
    return StepResult.failed(evidence, *wrong) if wrong else StepResult(StepOutcome.PASSED, evidence)


def with_untested_clamps(trial: StepResult, first: Evidence, load_a: list[float], clamps: int) -> StepResult:
    """A trial of the clamps that passed, while a load on the phase of each of them has yet to be seen.

    A clamp that is not plugged in moves with no load either. `first`: the look without a load, with the clamps that
    have moved since then; it counts for the loads that follow.
    """
    if trial.outcome is not StepOutcome.PASSED:
        return trial
    moved = [number for number, one_a in enumerate(load_a, 1) if one_a >= _LEAST_STEP_A]
    seen = sorted({*moved, *clamps_seen(first)})
    evidence: Evidence = {**trial.evidence, "clamps_seen": [*seen]}
    left = [number for number in range(1, clamps + 1) if number not in seen]
    if not left:
        return StepResult(StepOutcome.PASSED, evidence)
    listed = ", ".join(map(str, left))
    unseen = Problem(
        ProblemCause.CLAMPS_UNSEEN, f"no load was seen yet on the phase of CT {listed}", {"clamps": listed}
    )
    return StepResult(StepOutcome.BEGUN, {**evidence, "car_a": first.get("car_a")}, unseen.sentence, (unseen,))


def clamps_seen(kept: Evidence) -> list[int]:
    """The clamps that have moved with a load, by number."""
    seen = kept.get("clamps_seen")
    return [number for number in seen if isinstance(number, int)] if isinstance(seen, list) else []


def _clamp_fault(number: int, moved_a: float, load_a: float) -> Problem | None:
    """What is wrong with a clamp; None: nothing."""
    tolerance_a = max(_LEAST_STEP_A / 2, abs(load_a) / 2)
    if load_a < _LEAST_STEP_A:
        if abs(moved_a) < _LEAST_STEP_A:
            return None
        reason = f"CT{number} moves with a load that is on another phase"
        return Problem(ProblemCause.CLAMP_OTHER_PHASE, reason, {"clamp": number})
    if moved_a <= -tolerance_a:
        return Problem(ProblemCause.CLAMP_REVERSED, f"CT{number} is turned round", {"clamp": number})
    if abs(moved_a - load_a) > tolerance_a:
        reason = f"CT{number} shows {moved_a:.1f} A of a load of {load_a:.1f} A"
        shown: Evidence = {"clamp": number, "shown_a": round(moved_a, 1), "load_a": round(load_a, 1)}
        return Problem(ProblemCause.CLAMP_WRONG, reason, shown)
    return None
