"""How a test says which certification case it is, and the cases that do not apply to this station."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from tests.conformance.station_under_test import Setup

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
    """Marks a test as a case that only OCPP 2.1 has, as `case` does; its setup chooses that edition."""
    return pytest.mark.case_2_1(profile=profile, status=status, features=features)


def setup(**given: object) -> pytest.MarkDecorator:
    """Mark a test with the configuration that it needs; the keywords of `Setup`."""
    return pytest.mark.setup(Setup(**given))  # type: ignore[arg-type]  # Setup checks its own names


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


def written(mark_name: str = "case") -> dict[str, Written]:
    """All cases of OCPP 2.0.1 that have a test, by their ids; with `case_2_1`, those that only OCPP 2.1 has."""
    found: dict[str, Written] = {}
    for file in sorted(Path(__file__).parent.glob("test_*.py")):
        module = importlib.import_module(f"tests.conformance.{file.stem}")
        for name, test in inspect.getmembers(module, inspect.isfunction):
            marks: list[pytest.Mark] = getattr(test, "pytestmark", [])
            memberships = frozenset(Membership(**mark.kwargs) for mark in marks if mark.name == mark_name)
            if memberships and name.startswith("test_tc_"):
                title = " ".join((inspect.getdoc(test) or "").split("\n\n")[0].split())
                smoke = any(mark.name == "smoke" for mark in marks)
                found[name.removeprefix("test_").upper()] = Written(title.rstrip("."), memberships, smoke)
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
