"""The report of a run: which certification case was run and what came of it, as Markdown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import pytest

from tests.conformance.cases import EDITIONS, NOT_APPLICABLE, Membership, Profile, Written, case_id, written
from tests.conformance.frames import OcppVersion

_NO_PROFILE = "in no profile"


@dataclass
class _CaseRuns:
    """The test outcomes of a case so far."""

    tests: int = 0
    """that the case has, whether they are run or not"""
    passed: set[str] = field(default_factory=set[str])
    failed: set[str] = field(default_factory=set[str])
    """in any phase; one that is expected to fail has failed"""
    seconds: float = 0.0

    @property
    def result(self) -> str:
        """In the words of the report."""
        if self.failed:
            return "**failed**"
        return "passed" if 0 < self.tests <= len(self.passed) else "not run"


def register(config: pytest.Config) -> None:
    """Write the report at the end of the run where the option asks for one."""
    path = config.getoption("--conformance-report", None)
    if path is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Report(Path(path)), "conformance-report")


class Report:
    """Collects the outcome of each case; it passes when all tests that it has ran and passed, their teardown too."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._runs: dict[tuple[str, str], _CaseRuns] = defaultdict(_CaseRuns)
        """by edition and case"""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A phase of a test has ended, here or in a worker."""
        identity = case_id(report.nodeid.rpartition("::")[2].partition("[")[0])
        if identity is None:
            return
        properties = dict(report.user_properties)
        runs = self._runs[str(properties.get("edition", EDITIONS[0])), identity]
        runs.tests = max(runs.tests, int(str(properties.get("tests_of_case", 1))))
        runs.seconds += report.duration
        if report.failed or hasattr(report, "wasxfail"):
            runs.failed.add(report.nodeid)
        elif report.when == "call" and report.passed:
            runs.passed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        """Write it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(self._text(), encoding="utf-8")

    def _text(self) -> str:
        lines = [
            "# Conformance",
            "",
            "Written by `make conformance-report` from one run of `tests/conformance`; a case is listed as",
            "passed only when each of its tests ran and passed in that run. A case of several profiles counts in each.",
            "Profiles and conditions of OCPP 2.0.1 are those after the errata 2025-09. The conditions of OCPP 2.1",
            "are not listed for cases that both editions have. OCPP 2.1 is being built: cases of it that are not",
            "listed have no test yet.",
        ]
        for edition in EDITIONS:
            lines += self._edition(edition)
        if NOT_APPLICABLE:
            lines += ["", "## Not applicable", "", "| case | name | profile | feature | why |", "|---|---|---|---|---|"]
            for none_of in sorted(NOT_APPLICABLE, key=lambda entry: entry.case_id):
                cells = [none_of.case_id, none_of.name, none_of.profile, none_of.feature, none_of.why]
                lines.append("| " + " | ".join(cells) + " |")
        return "\n".join(lines) + "\n"

    def _edition(self, edition: OcppVersion) -> Iterator[str]:
        """Yield the lines of an edition: how many cases of each profile passed, then each case."""
        cases = written(edition)
        profiles = [
            profile
            for profile in get_args(Profile)
            if any(_membership(case, profile) is not None for case in cases.values())
        ]
        results = {identity: self._runs[edition, identity].result for identity in cases}
        yield from ("", f"## OCPP {edition}", "")
        yield from ("| profile | passed | failed | not run | not applicable |", "|---|---|---|---|---|")
        for profile in profiles:
            of_profile = [
                results[identity] for identity, case in cases.items() if _membership(case, profile) is not None
            ]
            none = sum(entry.profile == profile for entry in NOT_APPLICABLE)
            counts = [
                sum(result == outcome for result in of_profile) for outcome in ("passed", "**failed**", "not run")
            ]
            yield f"| {profile or _NO_PROFILE} | {counts[0]} | {counts[1]} | {counts[2]} | {none} |"
        for profile in profiles:
            yield from ("", f"### {profile or _NO_PROFILE.capitalize()}, OCPP {edition}", "")
            yield from ("| case | name | M/C | condition | result | time |", "|---|---|---|---|---|---|")
            for identity, case in sorted(cases.items()):
                if (membership := _membership(case, profile)) is not None:
                    time = f"{self._runs[edition, identity].seconds:.1f} s"
                    condition = membership.features.replace("|", "or")
                    cells = [identity, case.name, membership.status, condition, results[identity], time]
                    yield "| " + " | ".join(cells) + " |"


def _membership(case: Written, profile: str) -> Membership | None:
    """The membership of a case in a profile; None if it is not part of it."""
    return next((membership for membership in case.memberships if membership.profile == profile), None)
