"""The light guide, row by row, and which row comes first where several hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from station.core.light_patterns import (
    STARTING,
    STOPPED,
    CardStatus,
    Colour,
    ConnectorActivity,
    Light,
    LightInputs,
    LightReason,
    Pattern,
    highest_priority,
    light,
)

IDLE = LightInputs()

situations = st.builds(
    LightInputs,
    out_of_service=st.booleans(),
    testing=st.booleans(),
    software_starts=st.booleans(),
    card=st.sampled_from(CardStatus),
    not_authenticated=st.booleans(),
    charge=st.sampled_from(ConnectorActivity),
    installing=st.booleans(),
    activated=st.booleans(),
    available=st.booleans(),
    online=st.booleans(),
    reserved=st.booleans(),
)


def colour_and_pattern(now: LightInputs) -> tuple[Colour, Pattern]:
    """Colour and pattern alone, as the guide names them."""
    signal = light(now)
    return signal.colour, signal.pattern


# The rows of the guide


def test_light_blue_is_a_vehicle_plugged_in_that_waits_for_power() -> None:
    assert colour_and_pattern(replace(IDLE, charge=ConnectorActivity.WAITING)) == (Colour.LIGHT_BLUE, Pattern.STEADY)
    assert colour_and_pattern(replace(IDLE, charge=ConnectorActivity.PLUGGED_IN)) == (Colour.LIGHT_BLUE, Pattern.STEADY)


def test_blue_blinking_is_charging() -> None:
    assert colour_and_pattern(replace(IDLE, charge=ConnectorActivity.FLOWING)) == (Colour.BLUE, Pattern.BLINKING)


def test_blue_steady_is_a_charge_that_is_finished_interrupted_or_suspended() -> None:
    assert colour_and_pattern(replace(IDLE, charge=ConnectorActivity.PAUSED)) == (Colour.BLUE, Pattern.STEADY)


def test_green_blinking_is_a_card_being_authorised() -> None:
    assert colour_and_pattern(replace(IDLE, card=CardStatus.AUTHORIZING)) == (Colour.GREEN, Pattern.BLINKING)


def test_green_is_available_and_ready_to_charge() -> None:
    assert colour_and_pattern(IDLE) == (Colour.GREEN, Pattern.STEADY)


def test_orange_steady_is_online_and_waiting_for_a_reservation() -> None:
    assert colour_and_pattern(replace(IDLE, reserved=True)) == (Colour.ORANGE, Pattern.STEADY)
    assert colour_and_pattern(replace(IDLE, reserved=True, online=False)) == (Colour.WHITE, Pattern.STEADY), (
        "only where online"
    )


def test_orange_blinking_is_a_card_authorisation_that_timed_out() -> None:
    assert colour_and_pattern(replace(IDLE, card=CardStatus.TIMED_OUT)) == (Colour.ORANGE, Pattern.BLINKING)
    assert colour_and_pattern(replace(IDLE, card=CardStatus.NOT_CHECKED)) == (Colour.ORANGE, Pattern.BLINKING)


def test_red_is_out_of_service_or_disabled() -> None:
    assert colour_and_pattern(replace(IDLE, out_of_service=True)) == (Colour.RED, Pattern.STEADY)


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (replace(IDLE, installing=True), LightReason.INSTALLING),
        (replace(IDLE, card=CardStatus.REJECTED), LightReason.CARD_REJECTED),
        (replace(IDLE, activated=False), LightReason.NOT_ACTIVATED),
    ],
)
def test_yellow_blinking_is_installing_software_or_a_rejected_card_or_a_first_start_until_activated(
    now: LightInputs, reason: LightReason
) -> None:
    assert light(now) == Light(Colour.YELLOW, Pattern.BLINKING, reason)


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (replace(IDLE, software_starts=True), LightReason.SOFTWARE_STARTS),
        (replace(IDLE, testing=True), LightReason.SELF_TEST),
    ],
)
def test_white_blinking_is_installing_software_or_a_self_test(now: LightInputs, reason: LightReason) -> None:
    assert light(now) == Light(Colour.WHITE, Pattern.BLINKING, reason)


@pytest.mark.parametrize(
    ("now", "reason"),
    [(replace(IDLE, online=False), LightReason.OFFLINE), (replace(IDLE, available=False), LightReason.UNAVAILABLE)],
)
def test_white_is_offline_or_unavailable(now: LightInputs, reason: LightReason) -> None:
    assert light(now) == Light(Colour.WHITE, Pattern.STEADY, reason)


def test_violet_is_an_account_that_is_not_authenticated_put_the_connector_back() -> None:
    assert colour_and_pattern(replace(IDLE, not_authenticated=True)) == (Colour.VIOLET, Pattern.STEADY)


# Which row comes first

WORST = LightInputs(
    out_of_service=True,
    testing=True,
    software_starts=True,
    card=CardStatus.AUTHORIZING,
    not_authenticated=True,
    charge=ConnectorActivity.FLOWING,
    installing=True,
    activated=False,
    available=False,
    online=False,
    reserved=True,
)


def test_the_rows_come_in_this_order() -> None:
    now, reasons = WORST, [light(WORST).reason]
    for mended in (
        {"out_of_service": False},
        {"testing": False},
        {"software_starts": False},
        {"card": CardStatus.REJECTED},
        {"card": CardStatus.TIMED_OUT},
        {"card": CardStatus.NOT_CHECKED},
        {"card": CardStatus.NONE},
        {"not_authenticated": False},
        {"charge": ConnectorActivity.WAITING},
        {"charge": ConnectorActivity.PAUSED},
        {"charge": ConnectorActivity.PLUGGED_IN},
        {"installing": False},
        {"activated": True},
        {"available": True},
        {"online": True},
        {"reserved": False},
        {"charge": ConnectorActivity.NONE},
    ):
        now = replace(now, **mended)
        reasons.append(light(now).reason)
    assert reasons == list(LightReason)


@given(situations)
def test_whatever_is_the_case_a_fault_is_red(now: LightInputs) -> None:
    assert light(replace(now, out_of_service=True)).colour is Colour.RED


@given(situations)
def test_green_and_steady_is_shown_while_anybody_may_charge_now(now: LightInputs) -> None:
    if colour_and_pattern(now) == (Colour.GREEN, Pattern.STEADY):
        assert now.activated
        assert now.available
        assert now.online
        assert not any((now.out_of_service, now.reserved, now.installing, now.testing))


@given(situations)
def test_blue_and_blinking_is_shown_while_energy_flows(now: LightInputs) -> None:
    if colour_and_pattern(now) == (Colour.BLUE, Pattern.BLINKING):
        assert now.charge is ConnectorActivity.FLOWING


@given(st.lists(situations, min_size=1, max_size=4))
def test_one_light_for_several_evses_shows_the_one_that_comes_first_in_the_guide(evses: list[LightInputs]) -> None:
    signals = [light(evse) for evse in evses]
    assert highest_priority(signals) in signals
    assert highest_priority(signals) == highest_priority(reversed(signals))
    assert list(LightReason).index(highest_priority(signals).reason) == min(
        list(LightReason).index(signal.reason) for signal in signals
    )


def test_a_station_that_starts_blinks_white_and_one_that_stopped_is_white() -> None:
    assert (STARTING.colour, STARTING.pattern) == (Colour.WHITE, Pattern.BLINKING)
    assert (STOPPED.colour, STOPPED.pattern) == (Colour.WHITE, Pattern.STEADY)
