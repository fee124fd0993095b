"""The report tells the truth: what failed in any phase, what did not run, and what ran only in part."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from tests.conformance.cases import EDITIONS, written
from tests.conformance.frames import OcppVersion
from tests.conformance.report import Report

_CASE = "TC_B_06_CS"
_NAME = "tests/conformance/test_b_provisioning.py::test_tc_b_06_cs"

Phase = Literal["setup", "call", "teardown"]
Outcome = Literal["passed", "failed", "skipped"]


def _phase(
    when: Phase, outcome: Outcome, *, variant: str = "", tests: int = 1, xfail: bool = False
) -> pytest.TestReport:
    location = ("test_b_provisioning.py", 1, "test_tc_b_06_cs")
    properties = [("tests_of_case", tests)]
    report = pytest.TestReport(
        _NAME + variant, location, {}, outcome, None, when, user_properties=properties, duration=1.0
    )
    if xfail:
        report.wasxfail = "known"
    return report


def _result(path: Path, *phases: pytest.TestReport, edition: OcppVersion = "2.0.1") -> str:
    """The case's result under this edition in the report after these phases of its tests."""
    report = Report(path / "report.md")
    for phase in phases:
        phase.user_properties.append(("edition", edition))
        report.pytest_runtest_logreport(phase)
    report.pytest_sessionfinish()
    rows = [line for line in (path / "report.md").read_text().splitlines() if line.startswith(f"| {_CASE} ")]
    here, other = (row.split(" | ")[-2] for row in (rows if edition == "2.0.1" else reversed(rows)))
    assert other == "not run", "the other edition"
    return here


def _run(call: Outcome = "passed", *, variant: str = "", tests: int = 1) -> list[pytest.TestReport]:
    return [
        _phase("setup", "passed", variant=variant, tests=tests),
        _phase("call", call, variant=variant, tests=tests),
        _phase("teardown", "passed", variant=variant, tests=tests),
    ]


def test_a_case_whose_tests_all_pass_has_passed(tmp_path: Path) -> None:
    assert _result(tmp_path, *_run(variant="[a]", tests=2), *_run(variant="[b]", tests=2)) == "passed"


def test_each_edition_has_its_own_results(tmp_path: Path) -> None:
    assert _result(tmp_path, *_run(variant="[2.1]"), edition="2.1") == "passed"


def test_a_case_that_did_not_run_is_not_run(tmp_path: Path) -> None:
    assert _result(tmp_path) == "not run"


def test_a_case_that_is_skipped_is_not_run(tmp_path: Path) -> None:
    assert _result(tmp_path, _phase("setup", "skipped"), _phase("teardown", "passed")) == "not run"
    assert _result(tmp_path, *_run("skipped")) == "not run"


def test_a_case_of_which_one_way_is_not_selected_is_not_run(tmp_path: Path) -> None:
    assert _result(tmp_path, *_run(variant="[a]", tests=2)) == "not run"


def test_a_case_of_which_one_way_is_skipped_is_not_run(tmp_path: Path) -> None:
    skipped = _phase("setup", "skipped", variant="[b]", tests=2)
    assert _result(tmp_path, *_run(variant="[a]", tests=2), skipped) == "not run"


def test_a_case_of_which_one_way_fails_has_failed(tmp_path: Path) -> None:
    assert _result(tmp_path, *_run("failed", variant="[a]", tests=2), *_run(variant="[b]", tests=2)) == "**failed**"


@pytest.mark.parametrize("when", ["setup", "teardown"])
def test_a_case_whose_setup_or_teardown_fails_has_failed(tmp_path: Path, when: Phase) -> None:
    call = [] if when == "setup" else _run()[:2]
    assert _result(tmp_path, *call, _phase(when, "failed")) == "**failed**"


@pytest.mark.parametrize("call", ["skipped", "passed"])
def test_a_case_that_is_expected_to_fail_has_failed(tmp_path: Path, call: Outcome) -> None:
    phases = [_phase("setup", "passed"), _phase("call", call, xfail=True), _phase("teardown", "passed")]
    assert _result(tmp_path, *phases) == "**failed**"


def test_the_names_of_cases_are_whole(tmp_path: Path) -> None:
    _result(tmp_path)
    text = (tmp_path / "report.md").read_text()
    for edition in EDITIONS:
        assert all(f"| {identity} | {case.name} |" in text for identity, case in written(edition).items())


def test_a_case_is_listed_under_each_of_its_profiles(tmp_path: Path) -> None:
    _result(tmp_path)
    sections = (tmp_path / "report.md").read_text().split("\n### ")
    assert [text.splitlines()[0] for text in sections if "| TC_B_14_CS |" in text] == [
        "Core, OCPP 2.0.1",
        "Advanced Device Management, OCPP 2.0.1",
        "Core, OCPP 2.1",
    ]
