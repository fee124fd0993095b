"""The report of a run: which certification case was run and what came of it, as Markdown."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.cases import NOT_APPLICABLE


@dataclass
class _Seen:
    name: str
    profile: str
    status: str
    features: str
    outcomes: list[str] = field(default_factory=list[str])
    seconds: float = 0.0


def register(config: pytest.Config) -> None:
    """Write the report at the end of the run where the option asks for one."""
    path = config.getoption("--conformance-report", None)
    if path is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Report(Path(path)), "conformance-report")


class Report:
    """Collects the outcome of each case; one with several tests passes when all of them pass."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: dict[str, _Seen] = {}
        self._failed: set[str] = set()
        self._skipped: dict[str, str] = defaultdict(str)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A phase of a test has ended, here or in a worker."""
        identity = case_id(report.nodeid)
        if identity is None:
            return
        properties: dict[str, Any] = dict(report.user_properties)
        if report.when == "call" and "case" in properties:
            mark: dict[str, str] = properties["case"]
            seen = self._seen.setdefault(
                identity, _Seen(mark["name"], mark["profile"], mark["status"], mark.get("features", ""))
            )
            seen.outcomes.append(report.outcome)
        if identity in self._seen:
            self._seen[identity].seconds += report.duration
        if report.failed:
            self._failed.add(identity)

    def pytest_sessionfinish(self) -> None:
        """Write it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(self._text(), encoding="utf-8")

    def _result(self, identity: str, seen: _Seen) -> str:
        if identity in self._failed or "failed" in seen.outcomes:
            return "**failed**"
        if "skipped" in seen.outcomes or not seen.outcomes:
            return "not run"
        return "passed"

    def _text(self) -> str:
        rows = {identity: (seen, self._result(identity, seen)) for identity, seen in self._seen.items()}
        lines = ["# Conformance", ""]
        lines.append("Written by `make conformance-report` from one run of `tests/conformance`; a case is listed as")
        lines.append("passed only when each of its tests ran and passed in that run.")
        lines.append("")
        lines += ["| profile | passed | failed | not run | not applicable |", "|---|---|---|---|---|"]
        for profile in ("Core", "Advanced Security"):
            results = [result for seen, result in rows.values() if seen.profile == profile]
            none = sum(one.profile == profile for one in NOT_APPLICABLE)
            counts = [sum(result == what for result in results) for what in ("passed", "**failed**", "not run")]
            lines.append(f"| {profile} | {counts[0]} | {counts[1]} | {counts[2]} | {none} |")
        lines += ["", "| case | name | profile | M/C | condition | result | time |", "|---|---|---|---|---|---|---|"]
        for identity in sorted(rows):
            seen, result = rows[identity]
            condition = seen.features.replace("|", "or")
            cells = [identity, seen.name, seen.profile, seen.status, condition, result, f"{seen.seconds:.1f} s"]
            lines.append("| " + " | ".join(cells) + " |")
        if NOT_APPLICABLE:
            lines += ["", "## Not applicable", "", "| case | name | profile | feature | why |", "|---|---|---|---|---|"]
            for one in sorted(NOT_APPLICABLE, key=lambda one: one.case_id):
                lines.append(f"| {one.case_id} | {one.name} | {one.profile} | {one.feature} | {one.why} |")
        return "\n".join(lines) + "\n"


def case_id(nodeid: str) -> str | None:
    """`…::test_tc_e_01_cs[…]` -> `TC_E_01_CS`; None for a test that is no case."""
    name = nodeid.rpartition("::")[2].partition("[")[0]
    return name.removeprefix("test_").upper() if name.startswith("test_tc_") else None
