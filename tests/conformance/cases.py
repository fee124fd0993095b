"""How a test says which certification case it is, and the cases that do not apply to this station."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import pytest

from tests.conformance.frames import OcppVersion
from tests.conformance.station_under_test import Setup

EDITIONS: Final[tuple[OcppVersion, ...]] = ("2.0.1", "2.1")
ONLY_IN_2_0_1: Final = frozenset(
    f"TC_{name}_CS"
    for name in ("B_19", "C_14", "G_20", "K_15", "N_04", "N_07", "N_29", "N_33", "N_34", "N_38", "N_61", "O_18", "O_39")
) | {"TC_P_04_CS"}
"""cases that OCPP 2.1 has no longer"""
_CONDITIONAL_IN_2_1: Final = frozenset(
    f"TC_{name}_CS" for name in ("A_19", "B_20", "B_21", "E_39", "F_04", "K_57", "K_58", "M_26", "M_28", "M_29")
)
"""cases that are mandatory only in OCPP 2.0.1"""

Profile = Literal[
    "Core",
    "Advanced Security",
    "Local Authorization List Management",
    "Smart Charging",
    "Advanced Device Management",
    "Reservation",
    "Advanced User Interface",
    "ISO 15118 Support",
    "",
]
"""a certification profile; empty: the case is in none"""
Status = Literal["M", "C", ""]
"""mandatory or conditional; empty: in no profile"""


def case(profile: Profile, status: Status, features: str = "") -> pytest.MarkDecorator:
    """Marks a test as the certification case of its name; `features`: Part 5 ids of its condition.

    A case of several profiles has one mark for each.
    """
    return pytest.mark.case(profile=profile, status=status, features=features)


def case_2_1(profile: Profile, status: Status, features: str = "") -> pytest.MarkDecorator:
    """Marks a test as a case that only OCPP 2.1 has, as `case` does."""
    return pytest.mark.case_2_1(profile=profile, status=status, features=features)


def setup(**given: object) -> pytest.MarkDecorator:
    """Mark a test with the configuration that it needs; the keywords of `Setup`."""
    return pytest.mark.setup(Setup(**given))  # type: ignore[arg-type]  # Setup checks its own names


_GROUPS_OF_CORE_IN_2_1: Final = frozenset[Profile](
    {
        "Local Authorization List Management",
        "Advanced Device Management",
        "Reservation",
        "Advanced User Interface",
    }
)


@dataclass(frozen=True)
class Membership:
    """The status of a case in one certification profile."""

    profile: Profile
    status: Status
    features: str = ""


@dataclass(frozen=True)
class Written:
    """A case that has a test, with the data of the test's decorator."""

    name: str
    memberships: frozenset[Membership]
    """one for each profile that it is in"""
    smoke: bool
    """whether it is in the smoke set, whose stations are started as a user starts one"""


def case_id(test_name: str) -> str | None:
    """`test_tc_e_01_cs` -> `TC_E_01_CS`; None for a test that is no case."""
    return test_name.removeprefix("test_").upper() if test_name.startswith("test_tc_") else None


def editions_of(test_name: str, mark_names: Collection[str]) -> tuple[OcppVersion, ...]:
    """Return the editions of OCPP under which a test is run; one that is no case: only under OCPP 2.0.1."""
    if "case_2_1" in mark_names:
        return ("2.1",)
    return EDITIONS if "case" in mark_names and case_id(test_name) not in ONLY_IN_2_0_1 else ("2.0.1",)


def written(edition: OcppVersion = "2.0.1") -> dict[str, Written]:
    """All cases of an edition that have a test, by their ids, with the profiles of that edition."""
    of_2_0_1 = _marked("case")
    if edition == "2.0.1":
        return of_2_0_1
    shared = {
        identity: replace(case, memberships=frozenset(_memberships_in_2_1(identity, case.memberships)))
        for identity, case in of_2_0_1.items()
        if identity not in ONLY_IN_2_0_1
    }
    return shared | _marked("case_2_1")


def _memberships_in_2_1(identity: str, memberships: Iterable[Membership]) -> Iterator[Membership]:
    """The memberships of a case of OCPP 2.0.1 in OCPP 2.1, without their conditions, which differ.

    Four profiles of OCPP 2.0.1 are optional feature groups of Core there.
    """
    if identity == "TC_K_52_CS":
        yield Membership("Smart Charging", "C")
        return
    for membership in memberships:
        if membership.profile in _GROUPS_OF_CORE_IN_2_1:
            yield Membership("Core", "C")
        else:
            yield Membership(membership.profile, "C" if identity in _CONDITIONAL_IN_2_1 else membership.status)


def _marked(mark_name: str) -> dict[str, Written]:
    found: dict[str, Written] = {}
    for file in sorted(Path(__file__).parent.glob("test_*.py")):
        module = importlib.import_module(f"tests.conformance.{file.stem}")
        for name, test in inspect.getmembers(module, inspect.isfunction):
            marks: list[pytest.Mark] = getattr(test, "pytestmark", [])
            memberships = frozenset(Membership(**mark.kwargs) for mark in marks if mark.name == mark_name)
            if memberships and (identity := case_id(name)) is not None:
                title = " ".join((inspect.getdoc(test) or "").split("\n\n")[0].split())
                smoke = any(mark.name == "smoke" for mark in marks)
                found[identity] = Written(title.rstrip("."), memberships, smoke)
    return found


@dataclass(frozen=True)
class NotApplicable:
    """A conditional case of a profile whose condition this station does not meet."""

    case_id: str
    name: str
    profile: Profile
    feature: str
    """the id of Part 5 that decides"""
    why: str


NOT_APPLICABLE: tuple[NotApplicable, ...] = (
    NotApplicable(
        "TC_B_15_CS",
        "Get Base Report - Not Supported base report",
        "Core",
        "C-56",
        "the summary inventory is supported, so that no base report is left that is not",
    ),
    NotApplicable(
        "TC_C_05_CS",
        "Local start transaction - Authorization invalid - Cable lock",
        "Core",
        "AQ-2",
        "nothing keeps a driver from plugging in before the authorization: TC_C_02_CS applies",
    ),
    NotApplicable(
        "TC_J_08_CS",
        "Sampled Meter Values - Context Transaction.Begin - EVSE not known",
        "Core",
        "AQ-8",
        "an authorization is always for one EVSE: it is known when the transaction starts, and reported with its start",
    ),
    NotApplicable(
        "TC_L_11_CS",
        "Secure Firmware Update - Unable to cancel",
        "Core",
        "C-60",
        "an update can be cancelled while its image is downloaded, which is when the case tries it",
    ),
    NotApplicable(
        "TC_L_12_CS",
        "Secure Firmware Update - Unable to download/install firmware with ongoing transaction"
        " -AllowNewSessionsPendingFirmwareUpdate is true",
        "Core",
        "AQ-7",
        "firmware is downloaded while transactions run: TC_L_14_CS applies",
    ),
    NotApplicable(
        "TC_L_13_CS",
        "Secure Firmware Update - Unable to download/install firmware with ongoing transaction"
        " -AllowNewSessionsPendingFirmwareUpdate is false",
        "Core",
        "AQ-7",
        "firmware is downloaded while transactions run: TC_L_15_CS applies",
    ),
    NotApplicable(
        "TC_L_16_CS",
        "Secure Firmware Update - Able to update firmware with ongoing transaction",
        "Core",
        "C-43",
        "activation needs a reboot, so that an installation waits until all transactions have ended",
    ),
)
"""conditional cases that do not apply, with the feature of Part 5 that decides"""
