"""How a test says which certification case it is, and the cases that do not apply to this station."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from tests.conformance.station import Setup

Profile = Literal["Core", "Advanced Security"]
Status = Literal["M", "C"]


def case(profile: Profile, status: Status, features: str = "") -> pytest.MarkDecorator:
    """Marks a test as the certification case of its name; `features`: Part 5 ids of its condition."""
    return pytest.mark.case(profile=profile, status=status, features=features)


def setup(**given: object) -> pytest.MarkDecorator:
    """The configuration that a test asks for; the keywords of `Setup`."""
    return pytest.mark.setup(Setup(**given))  # type: ignore[arg-type]  # Setup checks its own names


@dataclass(frozen=True)
class NotApplicable:
    """A conditional case whose condition this station does not meet."""

    case_id: str
    name: str
    profile: Profile
    feature: str
    """the id of Part 5 that decides"""
    why: str


NOT_APPLICABLE: tuple[NotApplicable, ...] = (
    NotApplicable(
        "TC_J_04_CS", "Clock-aligned Meter Values - Signed", "Core", "C-42", "no meter signs its readings yet"
    ),
    NotApplicable(
        "TC_J_08_CS",
        "Sampled Meter Values - Context Transaction.Begin - EVSE not known",
        "Core",
        "AQ-8",
        "an authorization is always for one EVSE: it is known when the transaction starts, and told with its start",
    ),
    NotApplicable("TC_J_11_CS", "Sampled Meter Values - Signed", "Core", "C-42", "no meter signs its readings yet"),
)
"""conditional cases that do not apply, with the feature of Part 5 that decides"""
