"""Verdicts of a scenario: one for each step, and one for all of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal


class Verdict(StrEnum):
    """How a step or a scenario ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not run"
    """a step after one that failed, or that the CSMS cannot be made to do; a scenario with such a step"""


TimeKind = Literal["simulated", "real"]
"""how the time of a scenario passes: `simulated`: as fast as the machine can; `real`: as a clock does"""


@dataclass(slots=True)
class StepVerdict:
    """The verdict of one step."""

    number: int
    """from 1"""
    title: str
    """what the step does or expects"""
    line: int | None = None
    """where it is in the file; None: not known"""
    verdict: Verdict = Verdict.NOT_RUN
    reason: str = ""
    """why it failed or was not run: what was expected, and what came instead"""
    messages: list[str] = field(default_factory=list[str])
    """the messages around a failure, one line each"""
    matched: list[str] = field(default_factory=list[str])
    """the messages or values that fulfilled an expectation"""
    station_s: float = 0.0
    """seconds that it took by the clock of the station"""
    real_s: float = 0.0


@dataclass(slots=True)
class ScenarioVerdict:
    """The verdict of a scenario."""

    name: str
    file: str
    about: str
    time: TimeKind
    """the time that was used"""
    csms: str
    """the CSMS: its URL, or `bundled`"""
    steps: list[StepVerdict] = field(default_factory=list[StepVerdict])
    verdict: Verdict = Verdict.NOT_RUN
    reason: str = "was interrupted before its begin"
    """why it failed or was not run"""
    station_s: float = 0.0
    """seconds that it took by the clock of the station"""
    real_s: float = 0.0
    identity: str = ""
    """identity of its station"""
    messages: int = 0
    """how many OCPP messages were observed"""
    misbehaviour: list[str] = field(default_factory=list[str])
    """what the station has done wrong on purpose, one line for each message"""

    def fail(self, reason: str) -> None:
        """Let the scenario have failed."""
        self.verdict, self.reason = Verdict.FAILED, reason

    def not_possible(self, reason: str) -> None:
        """Let the scenario count as not run."""
        self.verdict, self.reason = Verdict.NOT_RUN, reason

    @property
    def failed_step(self) -> StepVerdict | None:
        """The step that failed; None: none did."""
        return next((step for step in self.steps if step.verdict is Verdict.FAILED), None)
