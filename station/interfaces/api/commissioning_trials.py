"""Request bodies of the commissioning steps, one class for each step."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from foundation.constants import MINIMUM_CURRENT_A
from station.interfaces.api.dependencies import Command, example
from station.interfaces.api.time_zone import TimeZoneName
from station.maintenance.commissioning.steps import TORQUES_NM

Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]


def _check_fits(cross_section_mm2: float) -> float:
    if cross_section_mm2 not in TORQUES_NM:
        raise ValueError(f"must be one of {', '.join(f'{size:g}' for size in TORQUES_NM)}")
    return cross_section_mm2


Amperes = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]


class IdentityTrial(Command):
    """Body to run the step identity: passes if the identity that the installer reads on the label is the station's."""

    model_config = example(step="identity", by="A. Martin", company="Martin Electricity", identity="BORNE-0001")

    step: Literal["identity"]
    """selects this step: the only value of this field"""
    by: Text
    """name of the installer, for the commissioning report"""
    company: Text | None = None
    """company of the installer; null: not given"""
    identity: Text
    """the identity of the station as printed on its label"""


class SiteTrial(Command):
    """Body to run the step site: where the station is mounted. Always passes; `time_zone` is set at the station."""

    model_config = example(
        step="site",
        name="House Martin",
        address="1 Example Street, 75001 Paris",
        place="garage, left wall",
        latitude=48.86,
        longitude=2.34,
        time_zone="Europe/Paris",
    )

    step: Literal["site"]
    """selects this step: the only value of this field"""
    name: Text
    """name of the site, such as that of the household or building"""
    address: Text
    """postal address of the site"""
    place: Text
    """exact place of the station on the site, such as: garage, left wall"""
    latitude: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)] | None = None
    """degrees north (WGS 84); null: not given"""
    longitude: Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)] | None = None
    """degrees east (WGS 84); null: not given"""
    time_zone: TimeZoneName | None = None
    """IANA name, such as Europe/Paris; becomes the time zone of the station"""


class NetworkTrial(Command):
    """Body to run the step network: passes if the station is connected to its CSMS now."""

    model_config = example(step="network")

    step: Literal["network"]
    """selects this step: the only value of this field"""


class BreakerTrial(Command):
    """Body to run the step breaker: passes if the current selector is not above the rating of the upstream breaker."""

    model_config = example(step="breaker", rating_a=20, curve="C")

    step: Literal["breaker"]
    """selects this step: the only value of this field"""
    rating_a: Annotated[float, Field(ge=MINIMUM_CURRENT_A, le=125, allow_inf_nan=False)]
    """rating of the upstream breaker in amperes, as printed on it"""
    curve: Literal["B", "C", "D"]
    """tripping characteristic, as printed on the breaker"""


class WiringTrial(Command):
    """Body to run the step wiring: cross-section in mm², and whether terminals and cover are tightened to torque."""

    model_config = example(step="wiring", cross_section_mm2=6, terminals_tightened=True, cover_tightened=True)

    step: Literal["wiring"]
    """selects this step: the only value of this field"""
    cross_section_mm2: Annotated[float, AfterValidator(_check_fits)]
    """cross-section of the conductors at the terminals, mm²"""
    terminals_tightened: bool
    """whether the terminals are tightened to the torque of GET /api/commissioning/card"""
    cover_tightened: bool
    """whether the screws of the cover are tightened to their torque"""


class MeterTrial(Command):
    """Body to run the step meter: passes if the meter answers and, for the installer, its values match its display."""

    model_config = example(step="meter", plausible=True)

    step: Literal["meter"]
    """selects this step: the only value of this field"""
    plausible: bool
    """whether the live values match the display of the meter"""


class ClampsTrial(Command):
    """Body to run the step clamps: first without load, then with a vehicle or a named load of known currents."""

    model_config = example(step="clamps", load="named", name="oven", currents_a=[9.8, 0, 0], arrows_checked=True)

    step: Literal["clamps"]
    """selects this step: the only value of this field"""
    load: Literal["none", "vehicle", "named"]
    """the load that is on now: none, a vehicle that charges at this station, or a named load in the house"""
    name: Text | None = None
    """name of a named load, such as: oven"""
    currents_a: Annotated[list[Amperes], Field(min_length=3, max_length=3)] | None = None
    """amperes of a named load, on L1, L2 and L3"""
    arrows_checked: bool = False
    """whether the arrows of all clamps point in the direction of the current; unsigned clamps cannot measure that"""


class GridContactTrial(Command):
    """Body to run the step grid-contact, once in each position: passes if the station reads what is set."""

    model_config = example(step="grid-contact", dims=True)

    step: Literal["grid-contact"]
    """selects this step: the only value of this field"""
    dims: bool
    """whether the contact is set so that it orders a limit"""


class LimitsTrial(Command):
    """Body to run the step limits: the installer confirms the limits of load management, which are checked too."""

    model_config = example(step="limits", confirmed=True)

    step: Literal["limits"]
    """selects this step: the only value of this field"""
    confirmed: Literal[True]
    """always true: the installer has compared the limits with the installation"""


class ResidualTrial(Command):
    """Body to run the step residual: runs the self-test of the residual-current monitor of every EVSE."""

    model_config = example(step="residual", external_type_b=False)

    step: Literal["residual"]
    """selects this step: the only value of this field"""
    external_type_b: bool = False
    """whether an upstream RCD of type B protects the EVSEs without a monitor"""


class ShuntTripTrial(Command):
    """Body to run the step shunt-trip, after POST /api/commissioning/shunt-trip has energised the coil."""

    model_config = example(step="shunt-trip", tripped=True)

    step: Literal["shunt-trip"]
    """selects this step: the only value of this field"""
    tripped: bool
    """whether the installer saw the upstream breaker trip"""


class TestSessionTrial(Command):
    """Body to run the step test-session: passes if energy flows to the EVSE now, in a test session started before."""

    model_config = example(step="test-session", evse=1)

    step: Literal["test-session"]
    """selects this step: the only value of this field"""
    evse: int = 1
    """the EVSE at which the test session runs"""


class PhaseMapsTrial(Command):
    """Body to run the step phases: passes if the station has learnt the grid phase at L1 of each EVSE.

    An EVSE with a configured rotation needs none.
    """

    model_config = example(step="phases")

    step: Literal["phases"]
    """selects this step: the only value of this field"""


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
"""body of POST /api/commissioning/steps, by the step to test"""
