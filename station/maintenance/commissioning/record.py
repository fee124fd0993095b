"""The findings of commissioning, stored across power cuts: a fact for each step."""

from __future__ import annotations

import json
import logging
from datetime import datetime
from typing import TYPE_CHECKING, Final

from station.maintenance.commissioning.problems import Problem, ProblemCause
from station.maintenance.commissioning.steps import CommissioningFinding, CommissioningStep, StepOutcome, StepResult
from station.storage.stored_format import FlatFormat, names

if TYPE_CHECKING:
    from station.storage.fact_store import FactStore

_log = logging.getLogger(__name__)


_FINDING_FORMAT: Final = FlatFormat(
    CommissioningFinding, names("step", "at", "by", result="trial", preconditions="basis")
)
_RESULT_FORMAT: Final = FlatFormat(StepResult, names("outcome", "evidence", "reason", "problems"))
_PROBLEM_FORMAT: Final = FlatFormat(Problem, names("cause", "sentence", "values"))


class CommissioningRecord:
    """Stores the latest finding of each commissioning step on disk."""

    def __init__(self, facts: FactStore) -> None:
        self._facts = facts
        self.findings: dict[CommissioningStep, CommissioningFinding] = {}

    async def load(self) -> None:
        """Load the stored findings into `findings`; a step with an unreadable finding is open.

        Raises:
            StorageError: the disk cannot be read.
        """
        stored = await self._facts.load()
        read = [self._read_finding(step, stored[step]) for step in CommissioningStep if stored.get(step)]
        self.findings = {finding.step: finding for finding in read if finding is not None}

    def _read_finding(self, step: CommissioningStep, text: str) -> CommissioningFinding | None:
        finding = self._facts.read(step, lambda text: _parse(step, text), text)
        if finding is None:
            _log.error("the commissioning result of step %s cannot be read: the step must be done again", step)
        return finding

    async def store(self, finding: CommissioningFinding) -> None:
        """Store a finding in place of an earlier one.

        Raises:
            StorageError: not stored, the earlier one applies.
        """
        text = json.dumps(_to_dict(finding))
        await self._facts.save(finding.step, text)
        self.findings[finding.step] = finding
        _log.info("commissioning step %s: %s", finding.step, finding.result.outcome)

    async def clear(self) -> None:
        """Delete all findings, so that every step is open again.

        Raises:
            StorageError: some findings may remain.
        """
        for step in CommissioningStep:
            await self._facts.save(step, "")
            self.findings.pop(step, None)


def _to_dict(finding: CommissioningFinding) -> dict[str, object]:
    trial = finding.result
    problems = [_PROBLEM_FORMAT.to_dict(problem) | {"values": dict(problem.values)} for problem in trial.problems]
    result = _RESULT_FORMAT.to_dict(trial) | {"problems": problems}
    return _FINDING_FORMAT.to_dict(finding) | {"trial": result, "at": finding.at.isoformat()}


def _parse(step: CommissioningStep, text: str) -> CommissioningFinding:
    stored = json.loads(text)
    result = stored["trial"]
    problems = tuple(
        Problem(ProblemCause(problem["cause"]), str(problem["sentence"]), dict(problem["values"]))
        for problem in result.get("problems", ())
    )
    trial = StepResult(StepOutcome(result["outcome"]), dict(result["evidence"]), result["reason"], problems)
    return CommissioningFinding(
        step, trial, datetime.fromisoformat(stored["at"]), str(stored["by"]), str(stored["basis"])
    )
