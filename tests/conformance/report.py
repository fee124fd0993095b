"""The report of a run: which certification case was run and what came of it, as Markdown."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import pytest

from tests.conformance.cases import NOT_APPLICABLE, Membership, Profile, Written, written

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
        self._runs: dict[str, _CaseRuns] = defaultdict(_CaseRuns)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A phase of a test has ended, here or in a worker."""
        identity = case_id(report.nodeid)
        if identity is None:
            return
        runs = self._runs[identity]
        runs.tests = max(runs.tests, int(str(dict(report.user_properties).get("tests_of_case", 1))))
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
        cases = written()
        results = {identity: self._runs[identity].result for identity in cases}
        lines = ["# Conformance", ""]
        lines.append("Written by `make conformance-report` from one run of `tests/conformance`; a case is listed as")
        lines.append("passed only when each of its tests ran and passed in that run. Profiles and conditions are those")
        lines.append("after the errata 2025-09; a case of several profiles counts in each.")
        lines.append("")
        lines += ["| profile | passed | failed | not run | not applicable |", "|---|---|---|---|---|"]
        for profile in get_args(Profile):
            of_profile = [
                results[identity] for identity, case in cases.items() if _membership(case, profile) is not None
            ]
            none = sum(entry.profile == profile for entry in NOT_APPLICABLE)
            counts = [
                sum(result == outcome for result in of_profile) for outcome in ("passed", "**failed**", "not run")
            ]
            lines.append(f"| {profile or _NO_PROFILE} | {counts[0]} | {counts[1]} | {counts[2]} | {none} |")
        for profile in get_args(Profile):
            lines += ["", f"## {profile or 'In no profile'}", ""]
            lines += ["| case | name | M/C | condition | result | time |", "|---|---|---|---|---|---|"]
            for identity, case in sorted(cases.items()):
                if (membership := _membership(case, profile)) is not None:
                    time = f"{self._runs[identity].seconds:.1f} s"
                    condition = membership.features.replace("|", "or")
                    cells = [identity, case.name, membership.status, condition, results[identity], time]
                    lines.append("| " + " | ".join(cells) + " |")
        if NOT_APPLICABLE:
            lines += ["", "## Not applicable", "", "| case | name | profile | feature | why |", "|---|---|---|---|---|"]
            for none_of in sorted(NOT_APPLICABLE, key=lambda entry: entry.case_id):
                cells = [none_of.case_id, none_of.name, none_of.profile, none_of.feature, none_of.why]
                lines.append("| " + " | ".join(cells) + " |")
        return "\n".join(lines) + "\n"


def _membership(case: Written, profile: str) -> Membership | None:
    """The membership of a case in a profile; None if it is not part of it."""
    return next((membership for membership in case.memberships if membership.profile == profile), None)


def case_id(nodeid: str) -> str | None:
    """`…::test_tc_e_01_cs[…]` -> `TC_E_01_CS`; None for a test that is no case."""
    name = nodeid.rpartition("::")[2].partition("[")[0]
    return name.removeprefix("test_").upper() if name.startswith("test_tc_") else None
