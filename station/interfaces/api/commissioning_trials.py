"""Request bodies of the commissioning steps, one class for each step."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from foundation.constants import MINIMUM_CURRENT_A
from station.interfaces.api.dependencies import Command
from station.interfaces.api.time_zone import TimeZoneName
from station.maintenance.commissioning.steps import (
    TORQUES_NM,
)

Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]


def _check_fits(cross_section_mm2: float) -> float:
    if cross_section_mm2 not in TORQUES_NM:
        raise ValueError(f"must be one of {', '.join(f'{size:g}' for size in TORQUES_NM)}")
    return cross_section_mm2


Amperes = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]


class IdentityTrial(Command):
    """The installer, and the identity read from the label of the station."""

    step: Literal["identity"]
    by: Text
    company: Text | None = None
    identity: Text


class SiteTrial(Command):
    """Where the station is mounted."""

    step: Literal["site"]
    name: Text
    address: Text
    place: Text
    """exact place, such as: garage, left wall"""
    latitude: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)] | None = None
    longitude: Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)] | None = None
    time_zone: TimeZoneName | None = None
    """IANA name, such as Europe/Paris; becomes the time zone of the station"""


class NetworkTrial(Command):
    """Check the connection to the CSMS."""

    step: Literal["network"]


class BreakerTrial(Command):
    """The printed data of the upstream breaker."""

    step: Literal["breaker"]
    rating_a: Annotated[float, Field(ge=MINIMUM_CURRENT_A, le=125, allow_inf_nan=False)]
    curve: Literal["B", "C", "D"]


class WiringTrial(Command):
    """The cross-section of the conductors in mm², and whether terminals and cover are tightened to torque."""

    step: Literal["wiring"]
    cross_section_mm2: Annotated[float, AfterValidator(_check_fits)]
    terminals_tightened: bool
    cover_tightened: bool


class MeterTrial(Command):
    """Whether the live values match the display of the meter."""

    step: Literal["meter"]
    plausible: bool


class ClampsTrial(Command):
    """Read the clamps without load, then with a load: a vehicle, or a named load with its current on each phase."""

    step: Literal["clamps"]
    load: Literal["none", "vehicle", "named"]
    name: Text | None = None
    currents_a: Annotated[list[Amperes], Field(min_length=3, max_length=3)] | None = None
    arrows_checked: bool = False
    """whether the arrows of all clamps point in the direction of the current; unsigned clamps cannot measure that"""


class GridContactTrial(Command):
    """Whether the grid operator's contact, as set by the installer, now orders a limit."""

    step: Literal["grid-contact"]
    dims: bool


class LimitsTrial(Command):
    """Confirm that the limits in force are correct."""

    step: Literal["limits"]
    confirmed: Literal[True]


class ResidualTrial(Command):
    """Test the residual-current monitors; without monitors, confirm an upstream RCD of type B."""

    step: Literal["residual"]
    external_type_b: bool = False


class ShuntTripTrial(Command):
    """Whether the upstream breaker tripped when the coil was energised."""

    step: Literal["shunt-trip"]
    tripped: bool


class TestSessionTrial(Command):
    """Check that energy flows in the test session."""

    step: Literal["test-session"]
    evse: int = 1


class PhaseMapsTrial(Command):
    """Check that the phases of each EVSE are known."""

    step: Literal["phases"]


Given = Annotated[
    IdentityTrial
    | SiteTrial
    | NetworkTrial
    | BreakerTrial
    | WiringTrial
    | MeterTrial
    | ClampsTrial
    | GridContactTrial
    | LimitsTrial
    | ResidualTrial
    | ShuntTripTrial
    | TestSessionTrial
    | PhaseMapsTrial,
    Field(discriminator="step"),
]
