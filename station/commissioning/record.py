"""What commissioning has found so far, across power cuts: a fact for each step."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

from station.commissioning.problems import Cause, Problem
from station.commissioning.steps import Finding, Outcome, Step, Trial

if TYPE_CHECKING:
    from station.records.fact_store import FactStore

_log = logging.getLogger(__name__)


class CommissioningRecord:
    """The latest finding of each step."""

    def __init__(self, facts: FactStore) -> None:
        self._facts = facts
        self.findings: dict[Step, Finding] = {}

    async def load(self) -> None:
        """Take what is on disk; a finding that cannot be read leaves its step open.

        Raises:
            StorageError: the disk cannot be read.
        """
        known = await self._facts.load()
        read = [_read(step, known[step]) for step in Step if known.get(step)]
        self.findings = {finding.step: finding for finding in read if finding is not None}

    async def keep(self, finding: Finding) -> None:
        """Keep a finding in the place of an earlier one.

        Raises:
            StorageError: it is not kept, and the earlier one counts.
        """
        text = json.dumps(asdict(finding) | {"at": finding.at.isoformat()})
        await self._facts.save(finding.step, text)
        self.findings[finding.step] = finding
        _log.info("commissioning: %s: %s", finding.step, finding.trial.outcome)

    async def clear(self) -> None:
        """Nothing was found yet.

        Raises:
            StorageError: some findings may be left.
        """
        for step in Step:
            await self._facts.save(step, "")
            self.findings.pop(step, None)


def _read(step: Step, text: str) -> Finding | None:
    try:
        kept = json.loads(text)
        told = kept["trial"]
        problems = tuple(
            Problem(Cause(one["cause"]), str(one["sentence"]), dict(one["values"])) for one in told.get("problems", ())
        )
        trial = Trial(Outcome(told["outcome"]), dict(told["evidence"]), told["reason"], problems)
        return Finding(step, trial, datetime.fromisoformat(kept["at"]), str(kept["by"]), str(kept["basis"]))
    except (ValueError, TypeError, KeyError):
        _log.error("what commissioning found at the step %s cannot be read: it is to be done again", step)
        return None
