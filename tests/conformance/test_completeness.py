"""Every case of the certification profiles has a test, or a reason why it does not apply."""

from __future__ import annotations

import csv
import importlib
import inspect
import os
from pathlib import Path

import pytest

from tests.conformance.cases import NOT_APPLICABLE

_HERE = Path(__file__).parent
_CASES = Path(os.environ.get("BORNE_SHARED", _HERE.parents[2] / "shared")) / "spec" / "test_cases_cs.csv"
_PROFILES = {"Core", "Advanced Security"}


def _written() -> dict[str, tuple[str, str, str]]:
    """Profile, status and name of each case that has a test."""
    found: dict[str, tuple[str, str, str]] = {}
    for file in sorted(_HERE.glob("test_*.py")):
        module = importlib.import_module(f"tests.conformance.{file.stem}")
        for name, test in inspect.getmembers(module, inspect.isfunction):
            marks: list[pytest.Mark] = getattr(test, "pytestmark", [])
            for mark in (one for one in marks if one.name == "case" and name.startswith("test_tc_")):
                title = " ".join((inspect.getdoc(test) or "").split("\n\n")[0].split())
                identity = name.removeprefix("test_").upper()
                found[identity] = (mark.kwargs["profile"], mark.kwargs["status"], title.rstrip("."))
    return found


@pytest.fixture(scope="module")
def published() -> dict[str, dict[str, str]]:
    """The cases of the profiles, from the specification's table."""
    if not _CASES.exists():
        pytest.skip(f"{_CASES} is not here")
    with _CASES.open(encoding="utf-8") as file:
        return {row["id"]: row for row in csv.DictReader(file) if row["profile"] in _PROFILES}


def test_every_case_has_a_test_or_a_reason(published: dict[str, dict[str, str]]) -> None:
    known = _written().keys() | {one.case_id for one in NOT_APPLICABLE}
    assert sorted(published.keys() - known) == []


def test_a_test_says_the_profile_the_status_and_the_name_of_its_case(published: dict[str, dict[str, str]]) -> None:
    wrong = {
        identity: told
        for identity, told in _written().items()
        if identity in published
        and told
        != (published[identity]["profile"], published[identity]["status"], published[identity]["name"].rstrip("."))
    }
    assert wrong == {}


def test_only_conditional_cases_do_not_apply(published: dict[str, dict[str, str]]) -> None:
    assert [one.case_id for one in NOT_APPLICABLE if published[one.case_id]["status"] != "C"] == []
    assert [one.case_id for one in NOT_APPLICABLE if not one.feature or not one.why] == []
