"""Every case of the certification profiles has a test, or a reason why it does not apply."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast, get_args

import pytest

from tests.conformance.cases import NOT_APPLICABLE, ONLY_IN_2_0_1, Membership, Profile, Status, written
from tests.shared import SHARED

_CASES = SHARED / "spec" / "test_cases_cs.csv"
_CASES_2_1 = SHARED / "spec" / "2.1" / "test_cases_cs.csv"
_PROFILES = frozenset(get_args(Profile)) - {""}
_REMOVED = "removed"
"""status of a case that the errata take out of a profile"""
_REMOVED_CONDITION = "<Removed>"
_MISPRINTED = {"Managem ent": "Management"}
"""words that the stored table has got wrong"""


@dataclass(frozen=True)
class _Published:
    """A case of the specification's table, after the errata."""

    name: str
    memberships: frozenset[Membership]


@pytest.fixture(scope="module")
def published() -> dict[str, _Published]:
    """The cases of the profiles that the station is certified for, and those that are in no profile."""
    if not _CASES.exists():
        pytest.skip(f"{_CASES} is not here")
    with _CASES.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    cases = {row["id"]: _Published(row["name"].rstrip("."), frozenset(_memberships(row))) for row in rows}
    return {identity: case for identity, case in cases.items() if case.memberships}


def _memberships(row: dict[str, str]) -> Iterator[Membership]:
    """The profiles of a case after the errata; of none: the empty one."""
    if not row["profile_errata"]:
        yield Membership("", "")
        return
    profiles, statuses = row["profile_errata"].split("; "), row["status_errata"].split("; ")
    for profile, status, condition in zip(profiles, statuses, _conditions(row, len(profiles)), strict=True):
        if profile in _PROFILES and status != _REMOVED:
            yield Membership(cast("Profile", profile), cast("Status", status), condition)


def _conditions(row: dict[str, str], profiles: int) -> list[str]:
    """The ids of the station's condition in each profile: those that the errata print, else those of the table."""
    if row["condition_errata"].startswith(_REMOVED_CONDITION):
        return [""] * profiles
    printed = re.findall(r"\[([^\[\]]*)\]|(?<![^ ])-(?![^ ])", row["condition_errata"])
    conditions = printed[-profiles:] or [row["features"]] * profiles
    return [_with_errata(condition) for condition in conditions]


def _with_errata(condition: str) -> str:
    for misprint, right in _MISPRINTED.items():
        condition = condition.replace(misprint, right)
    return re.split(r"Charging Station: |For CS: ", condition)[-1].strip()


def test_every_case_has_a_test_or_a_reason(published: dict[str, _Published]) -> None:
    known = written().keys() | {entry.case_id for entry in NOT_APPLICABLE}
    assert sorted(published.keys() - known) == []


def test_every_case_has_the_memberships_and_the_name_of_the_table(published: dict[str, _Published]) -> None:
    differing = {
        identity: (case, published.get(identity))
        for identity, case in written().items()
        if identity in published and (case.name, case.memberships) != _as_published(published[identity])
    }
    assert differing == {}


def test_the_cases_of_ocpp_2_1_are_in_the_profiles_of_its_table() -> None:
    if not _CASES_2_1.exists():
        pytest.skip(f"{_CASES_2_1} is not here")
    with _CASES_2_1.open(encoding="utf-8") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert written().keys() - rows.keys() == ONLY_IN_2_0_1
    for identity, case in written("2.1").items():
        row = rows[identity]
        printed = zip(row["profile"].split("; "), row["status"].split("; "), strict=True)
        assert {(membership.profile, membership.status) for membership in case.memberships} == set(printed), identity
        if row["same_id_in_2.0.1"] == "no":
            assert case.name == f"{row['group']} - {row['name']}", identity
            assert {membership.features for membership in case.memberships} == {row["feature_ids"]}, identity
    assert {entry.case_id for entry in NOT_APPLICABLE} <= rows.keys()


def _as_published(published: _Published) -> tuple[str, frozenset[Membership]]:
    return published.name, published.memberships


def test_cases_are_counted_after_the_errata(published: dict[str, _Published]) -> None:
    counted = Counter(membership.profile for case in published.values() for membership in case.memberships)
    assert counted == {
        "Core": 223,
        "Advanced Security": 7,
        "Local Authorization List Management": 22,
        "Smart Charging": 36,
        "Advanced Device Management": 41,
        "Reservation": 22,
        "Advanced User Interface": 32,
        "ISO 15118 Support": 60,
        "": 15,
    }


def test_only_conditional_cases_do_not_apply(published: dict[str, _Published]) -> None:
    for entry in NOT_APPLICABLE:
        assert {
            membership.status
            for membership in published[entry.case_id].memberships
            if membership.profile == entry.profile
        } == {"C"}
        assert entry.feature
        assert entry.why


def test_the_smoke_set_has_ten_cases_of_all_profiles() -> None:
    smoke = [case for case in written().values() if case.smoke]
    assert len(smoke) == 10
    assert {membership.profile for case in smoke for membership in case.memberships} == _PROFILES
