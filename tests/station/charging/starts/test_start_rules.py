"""Which EVSE a charge starts at, and what prevents it, for each kind of request."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from station.charging.evse_state import Authorization, ChangeCause, EvseState, OpenTransaction, WithholdReason
from station.charging.reservations.allocation import Claim
from station.charging.reservations.reservation import Reservation
from station.charging.starts.start_request import StartDecision, StartRefusal, StartRequest, StartSource
from station.charging.starts.start_rules import StartableEvse, authorization_of, choose_evse, group_charge
from station.core.hardware.board import Observation, PilotState
from station.core.model import NO_TOKEN, Fault, IdToken, StoppedReason, TriggerReason
from tests import fakes

CARD, OTHER, FAMILY = fakes.CARD, IdToken("OTHER", "ISO14443"), IdToken("FAMILY", "Central")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOCAL_STOP = ChangeCause(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL)
FREE = EvseState()
PLUGGED = EvseState(observation=Observation(PilotState.B, cable_plugged=True))
BY_CARD, REMOTE = StartRequest(StartSource.CARD, CARD), StartRequest(StartSource.REMOTE, CARD)


def evse(
    number: int,
    state: EvseState = FREE,
    claim: Claim | None = None,
    *,
    vehicle_served: bool = False,
    vehicle_stopped: bool = False,
) -> StartableEvse:
    """An EVSE that is not reserved, unless `claim` says so."""
    return StartableEvse(
        number, state, claim or Claim(True), vehicle_served=vehicle_served, vehicle_stopped=vehicle_stopped
    )


def reserved_for(token: IdToken) -> Claim:
    """An EVSE claim that would use a reservation made for `token`."""
    return Claim(True, Reservation(1, token, NOW, evse_id=1))


def authorized(token: IdToken, group: IdToken | None = None) -> EvseState:
    """The state of an EVSE that is authorized for this token."""
    return EvseState(authorization=Authorization(token, group))


def held(holder: IdToken, *, ending: ChangeCause | None = None) -> EvseState:
    """The state of an EVSE with a transaction of this token, whose authorization has ended."""
    return EvseState(transaction=OpenTransaction("t", NOW, holder=holder, ending=ending))


def test_a_given_evse_is_the_only_candidate_and_its_obstacle_is_named() -> None:
    """F01.FR.21–F01.FR.24, C01.FR.23, E05.FR.11, H03.FR.08"""
    rows = [
        ("faulted", evse(1, EvseState(faults=frozenset({Fault.BOARD}))), StartRefusal.NO_EVSE, "EVSE 1 is Faulted"),
        ("off", evse(1, EvseState(in_service=False)), StartRefusal.NO_EVSE, "EVSE 1 is Unavailable"),
        ("in use", evse(1, authorized(OTHER)), StartRefusal.IN_USE, "EVSE 1 is in use by another token"),
        (
            "held",
            evse(1, held(OTHER)),
            StartRefusal.HELD,
            "the cable or transaction of EVSE 1 belongs to another token",
        ),
        ("reserved", evse(1, FREE, Claim(False)), StartRefusal.NO_EVSE, "EVSE 1 is reserved for another token"),
        ("ending", evse(1, held(CARD, ending=LOCAL_STOP)), StartRefusal.NO_EVSE, "EVSE 1 is Available"),
    ]
    for name, candidate, refusal, reason in rows:
        choice = choose_evse(replace(BY_CARD, evse_id=1), [candidate, evse(2)])
        assert choice.obstacle is not None, name
        assert (choice.evse_id, choice.obstacle.refusal, choice.obstacle.reason) == (1, refusal, reason), name


def test_the_token_that_holds_cable_or_transaction_may_go_on_by_card_but_not_remotely() -> None:
    """E05.FR.11; F01.FR.24"""
    candidates = [evse(1, held(CARD))]
    assert choose_evse(BY_CARD, candidates).obstacle is None
    refused = choose_evse(REMOTE, candidates).obstacle
    assert refused is not None
    assert refused.reason == "EVSE 1 is already authorized"


def test_a_remote_start_waits_for_the_first_observation_and_for_another_remote_start() -> None:
    """E01.FR.14"""
    for candidate in (replace(evse(1), observed=False), replace(evse(1), remote_start_pending=True)):
        assert choose_evse(REMOTE, [candidate]).obstacle is not None
        assert choose_evse(REMOTE, [candidate, evse(2)]).evse_id == 2
        assert choose_evse(BY_CARD, [candidate]).obstacle is None


def test_an_installer_may_test_before_the_activation_and_not_at_an_evse_that_is_off() -> None:
    installer = StartRequest(StartSource.INSTALLER, evse_id=1)
    inactive = EvseState(installer_only=True)
    assert choose_evse(installer, [evse(1, inactive)]).obstacle is None
    assert choose_evse(replace(BY_CARD, evse_id=1), [evse(1, inactive)]).obstacle is not None
    for off in (replace(inactive, in_service=False), replace(inactive, withheld=frozenset({WithholdReason.RESET}))):
        assert choose_evse(installer, [evse(1, off)]).obstacle is not None


@pytest.mark.parametrize("request_", [BY_CARD, REMOTE])
def test_the_station_prefers_the_reserved_evse_then_a_new_vehicle_then_a_served_one_then_a_free_evse(
    request_: StartRequest,
) -> None:
    """C01.FR.21, F01.FR.20, H03.FR.01"""
    free, new = evse(1), evse(2, PLUGGED)
    served, reserved = evse(3, PLUGGED, vehicle_served=True), evse(4, FREE, reserved_for(CARD))
    assert choose_evse(request_, [free, served, new, reserved]).evse_id == 4
    assert choose_evse(request_, [free, served, new]).evse_id == 2
    assert choose_evse(request_, [free, served]).evse_id == 3
    assert choose_evse(request_, [free]).evse_id == 1


def test_a_vehicle_that_was_served_does_not_start_by_itself_again_but_by_all_others() -> None:
    """C02, remark"""
    served = evse(1, PLUGGED, vehicle_served=True)
    by_itself = choose_evse(StartRequest(StartSource.PLUG_IN, evse_id=1), [served])
    assert by_itself.obstacle is not None
    assert by_itself.obstacle.refusal is StartRefusal.VEHICLE_SERVED
    assert by_itself.obstacle.reason == "the vehicle at EVSE 1 has been served already"
    for source in set(StartSource) - {StartSource.PLUG_IN}:
        assert choose_evse(StartRequest(source, evse_id=1), [served]).obstacle is None


def test_a_vehicle_whose_charge_was_stopped_does_not_ask_for_it_again() -> None:
    stopped = evse(1, PLUGGED, vehicle_served=True, vehicle_stopped=True)
    by_itself = {StartSource.PLUG_IN, StartSource.CONTRACT, StartSource.VEHICLE}
    for source in StartSource:
        found = choose_evse(StartRequest(source, evse_id=1), [stopped]).obstacle
        assert (found is not None) is (source in by_itself)
        assert found is None or found.refusal is StartRefusal.VEHICLE_SERVED


def test_an_evse_that_may_be_kept_for_a_group_comes_last() -> None:
    """H03.FR.08"""
    undecided = replace(evse(1, PLUGGED), group_may_decide=True)
    assert choose_evse(REMOTE, [undecided, evse(2)]).evse_id == 2
    assert choose_evse(REMOTE, [undecided]).evse_id == 1


def test_an_evse_expects_a_token_by_its_new_vehicle_or_by_the_reservation_of_this_very_token() -> None:
    assert choose_evse(BY_CARD, [evse(1, PLUGGED)]).expected
    assert choose_evse(BY_CARD, [evse(1, FREE, reserved_for(CARD))]).expected
    assert not choose_evse(BY_CARD, [evse(1, PLUGGED, vehicle_served=True)]).expected
    assert not choose_evse(BY_CARD, [evse(1, FREE, reserved_for(FAMILY))]).expected
    assert not choose_evse(BY_CARD, [evse(1)]).expected


def test_only_the_evses_that_the_csms_allows_are_chosen() -> None:
    """C01.FR.19"""
    candidates = [evse(1, PLUGGED), evse(2)]
    assert choose_evse(BY_CARD, candidates, allowed=(2,)).evse_id == 2
    refused = choose_evse(replace(BY_CARD, evse_id=1), candidates, allowed=(2,)).obstacle
    assert refused is not None
    assert refused.reason == "the token is not accepted at EVSE 1"


def test_where_several_evses_are_impossible_each_obstacle_is_said() -> None:
    choice = choose_evse(BY_CARD, [evse(1, authorized(OTHER)), evse(2, FREE, Claim(False))])
    assert choice.evse_id == 1, "where somebody charges: a reservation there may be that of the token"
    assert choice.obstacle is not None
    assert choice.obstacle.refusal is StartRefusal.IN_USE
    assert choice.obstacle.reason == "EVSE 1 is in use by another token; EVSE 2 is reserved for another token"


def test_an_evse_that_does_not_exist_is_named() -> None:
    choice = choose_evse(replace(REMOTE, evse_id=9), [evse(1)])
    assert choice.obstacle is not None
    assert choice.obstacle.reason == "the EVSE does not exist"


def test_the_charge_of_a_group_is_found_where_the_token_is_presented() -> None:
    """C09.FR.03"""
    candidates = [evse(1), evse(2, authorized(OTHER, FAMILY))]
    found = group_charge(BY_CARD, candidates, FAMILY)
    assert found is not None
    assert found.evse_id == 2
    assert found.obstacle is not None
    assert found.obstacle.refusal is StartRefusal.IN_USE_BY_GROUP
    assert group_charge(replace(BY_CARD, evse_id=1), candidates, FAMILY) is None
    assert group_charge(BY_CARD, candidates, None) is None


def test_an_authorization_has_what_request_and_decision_say() -> None:
    """H03.FR.09"""
    remote = replace(REMOTE, remote_start_id=5)
    assert authorization_of(remote, StartDecision(1, group_id=FAMILY, reservation_id=7)) == Authorization(
        CARD, FAMILY, remote_start_id=5, reservation_id=7
    )
    installer = authorization_of(StartRequest(StartSource.INSTALLER), StartDecision(1))
    assert installer == Authorization(NO_TOKEN, tests=True)
