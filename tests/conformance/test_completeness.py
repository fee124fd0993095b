"""Every case of the certification profiles has a test, or a reason why it does not apply."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import get_args

import pytest

from tests.conformance.cases import NOT_APPLICABLE, Profile, written
from tests.shared import SHARED

_HERE = Path(__file__).parent
_CASES = SHARED / "spec" / "test_cases_cs.csv"
_PROFILES = set(get_args(Profile))
_NOT_BEGUN = "TC_O_"
"""display messages, the other half of Advanced User Interface"""


@pytest.fixture(scope="module")
def published() -> dict[str, dict[str, str]]:
    """The cases of the profiles, from the specification's table."""
    if not _CASES.exists():
        pytest.skip(f"{_CASES} is not here")
    with _CASES.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        row["id"]: {**row, "profile": profile, "status": status}
        for row in rows
        for profile, status in zip(row["profile"].split("; "), row["status"].split("; "), strict=True)
        if profile in _PROFILES
    }


def test_every_case_has_a_test_or_a_reason(published: dict[str, dict[str, str]]) -> None:
    known = written().keys() | {one.case_id for one in NOT_APPLICABLE}
    assert sorted(name for name in published.keys() - known if not name.startswith(_NOT_BEGUN)) == []


def test_a_test_says_the_profile_the_status_and_the_name_of_its_case(published: dict[str, dict[str, str]]) -> None:
    wrong = {
        identity: told
        for identity, told in written().items()
        if identity in published
        and (told.profile, told.status, told.name)
        != (published[identity]["profile"], published[identity]["status"], published[identity]["name"].rstrip("."))
    }
    assert wrong == {}


def test_only_conditional_cases_do_not_apply(published: dict[str, dict[str, str]]) -> None:
    assert [one.case_id for one in NOT_APPLICABLE if published[one.case_id]["status"] != "C"] == []
    assert [one.case_id for one in NOT_APPLICABLE if not one.feature or not one.why] == []
