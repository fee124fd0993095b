"""The EVSEs that are reserved, compared with every possible assignment; and single rules of block H."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from station.charging.evse_state import Authorization, EvseState, OpenTransaction, WithholdReason
from station.charging.reservations.allocation import (
    EvseUse,
    Refusal,
    ReservableEvse,
    allocate,
    claim,
    evse_use,
    refusal,
)
from station.charging.reservations.reservation import RESERVATIONS, Reservation
from station.core.hardware.board import Observation
from station.core.model import Fault, IdToken, PilotState
from tests import fakes

GROUP = IdToken("FLEET-7", "Central")
TYPES = ("sType2", "cType2")


def holder(number: int) -> IdToken:
    """The token of a reservation."""
    return IdToken(f"04{number:012X}", "ISO14443")


def reservation(number: int, evse_id: int | None = None, connector_type: str | None = None) -> Reservation:
    """A reservation with this id, for `holder(number)`."""
    return Reservation(number, holder(number), fakes.NOON, evse_id=evse_id, connector_type=connector_type)


def reservable_evse(
    evse_id: int, use: EvseUse = EvseUse.FREE, kind: str = "sType2", *, reserved: bool = False
) -> ReservableEvse:
    """An EVSE with this use and connector type."""
    return ReservableEvse(evse_id, kind, use, reserved)


targets = st.one_of(
    st.integers(1, 4).map(lambda evse_id: (evse_id, None)),
    st.sampled_from(TYPES).map(lambda kind: (None, kind)),
    st.just((None, None)),
)
wishes = st.lists(targets, max_size=4).map(
    lambda found: [reservation(number, *target) for number, target in enumerate(found)]
)
free_evses = st.lists(st.sampled_from(TYPES), min_size=1, max_size=4).map(
    lambda kinds: [reservable_evse(number, kind=kind) for number, kind in enumerate(kinds, 1)]
)


def can_fulfil_all(reservations: Sequence[Reservation], evses: Sequence[ReservableEvse]) -> bool:
    """Whether each reservation can have an EVSE of its own: all ways are tried."""
    return any(
        all(
            reservation.covers(chosen.evse_id, chosen.connector_type)
            for reservation, chosen in zip(reservations, order, strict=True)
        )
        for order in permutations(evses, len(reservations))
    )


@given(wishes, free_evses)
def test_an_evse_is_reserved_if_and_only_if_the_reservations_cannot_do_without_it(
    reservations: list[Reservation], evses: list[ReservableEvse]
) -> None:
    """H01.FR.07, H01.FR.09, H01.FR.20, H01.FR.24"""
    allocation = allocate(reservations, evses)
    assert bool(allocation.unmet) is not can_fulfil_all(reservations, evses)
    if not allocation.unmet:
        needed = {
            evse.evse_id
            for evse in evses
            if not can_fulfil_all(reservations, [remaining for remaining in evses if remaining != evse])
        }
        assert allocation.reserved == needed


@given(wishes, free_evses)
def test_what_is_unmet_can_be_dropped_and_the_rest_be_kept(
    reservations: list[Reservation], evses: list[ReservableEvse]
) -> None:
    unmet = allocate(reservations, evses).unmet
    rest = [reservation for reservation in reservations if reservation not in unmet]
    assert can_fulfil_all(rest, evses)
    assert allocate(rest, evses).unmet == ()


@given(wishes, free_evses)
def test_a_reservation_is_accepted_exactly_when_it_can_be_kept_beside_the_others(
    reservations: list[Reservation], evses: list[ReservableEvse]
) -> None:
    """H01.FR.03, H01.FR.04, H01.FR.06, H01.FR.11"""
    accepted: list[Reservation] = []
    for reservation in reservations:
        refused = refusal(reservation, accepted, evses)
        assert (refused is None) is can_fulfil_all([*accepted, reservation], evses)
        if refused is None:
            accepted.append(reservation)
    for reservation in accepted:  # each holder may use some EVSE, in the order of acceptance or any other
        own = [
            evse
            for evse in evses
            if claim(evse.evse_id, reservation.id_token, None, accepted, evses).reservation == reservation
        ]
        assert own
        for evse in own:
            left = [remaining for remaining in evses if remaining != evse]
            assert can_fulfil_all([remaining for remaining in accepted if remaining != reservation], left)


@given(wishes, free_evses)
def test_a_stranger_may_use_an_evse_if_and_only_if_it_is_not_reserved(
    reservations: list[Reservation], evses: list[ReservableEvse]
) -> None:
    """H03.FR.01, F01.FR.21"""
    reserved = allocate(reservations, evses).reserved
    for evse in evses:
        assert claim(evse.evse_id, fakes.CARD, GROUP, reservations, evses).admitted is (evse.evse_id not in reserved)


def test_a_token_of_the_group_may_use_the_reservation_and_others_may_not() -> None:
    """H03.FR.04–H03.FR.06"""
    own = replace(reservation(1, 1), group_id=GROUP)
    evses = [reservable_evse(1)]
    assert claim(1, fakes.CARD, IdToken("fleet-7", "Central"), [own], evses).reservation == own
    assert not claim(1, fakes.CARD, IdToken("OTHER", "Central"), [own], evses).admitted
    assert not claim(1, fakes.CARD, None, [own], evses).admitted
    assert claim(1, IdToken(holder(1).value.lower(), "ISO14443"), None, [own], evses).reservation == own


def test_the_most_specific_reservation_of_a_holder_is_used() -> None:
    anywhere, here = replace(reservation(1), id_token=holder(2)), reservation(2, 2)
    evses = [reservable_evse(1), reservable_evse(2), reservable_evse(3)]
    assert claim(2, holder(2), None, [anywhere, here], evses).reservation == here
    assert claim(1, holder(2), None, [anywhere, here], evses).reservation == anywhere


def test_a_holder_may_not_use_an_evse_that_another_reservation_needs() -> None:
    anywhere, typed = reservation(1), reservation(2, connector_type="cType2")
    evses = [reservable_evse(1), reservable_evse(2, kind="cType2")]
    assert claim(1, holder(1), None, [anywhere, typed], evses).reservation == anywhere
    assert not claim(2, holder(1), None, [anywhere, typed], evses).admitted


def test_a_vehicle_at_a_reserved_connector_leaves_it_reserved() -> None:
    """G01.FR.09, G03.FR.09"""
    evses = [reservable_evse(1, EvseUse.WAITING, reserved=True), reservable_evse(2, reserved=True)]
    assert allocate([reservation(1), reservation(2)], evses).reserved == {1, 2}
    assert allocate([reservation(1, 1)], evses).reserved == {1}


def test_a_vehicle_at_an_available_connector_leaves_the_others_to_the_holder() -> None:
    """H01.FR.07; H03, scenario S3: the first may be the holder's, and then the second is free again."""
    evses = [reservable_evse(1, EvseUse.WAITING), reservable_evse(2)]
    assert allocate([reservation(1)], evses).reserved == {2}
    assert claim(1, holder(1), None, [reservation(1)], evses).reservation is not None
    occupied = [reservable_evse(1, EvseUse.WAITING), reservable_evse(2, EvseUse.WAITING, reserved=True)]
    assert allocate([reservation(1)], occupied).reserved == {2}


@pytest.mark.parametrize(
    ("uses", "expected"),
    [
        ((EvseUse.FAULTED, EvseUse.FAULTED), Refusal.FAULTED),
        ((EvseUse.UNAVAILABLE, EvseUse.UNAVAILABLE), Refusal.UNAVAILABLE),
        ((EvseUse.UNAVAILABLE, EvseUse.FAULTED), Refusal.UNAVAILABLE),
        ((EvseUse.IN_USE, EvseUse.WAITING), Refusal.OCCUPIED),
        ((EvseUse.IN_USE, EvseUse.FAULTED), Refusal.OCCUPIED),
        ((EvseUse.FREE, EvseUse.FAULTED), None),
    ],
)
def test_the_refusal_says_what_the_evses_are(uses: tuple[EvseUse, EvseUse], expected: Refusal | None) -> None:
    """H01.FR.11, H01.FR.12, H01.FR.14"""
    evses = [reservable_evse(number, use) for number, use in enumerate(uses, 1)]
    assert refusal(reservation(1), [], evses) is expected


def test_only_the_status_of_fitting_evses_counts() -> None:
    evses = [reservable_evse(1, EvseUse.FAULTED), reservable_evse(2, kind="cType2")]
    assert refusal(reservation(1, 1), [], evses) is Refusal.FAULTED
    assert refusal(reservation(1, connector_type="sType2"), [], evses) is Refusal.FAULTED
    assert refusal(reservation(1, connector_type="cType2"), [], evses) is None


def test_a_reservation_of_a_vacant_evse_is_replaced_while_a_vehicle_waits_there() -> None:
    """H01.FR.02"""
    waiting = [reservable_evse(1, EvseUse.WAITING, reserved=True)]
    assert refusal(reservation(1), [reservation(1, 1)], waiting) is None
    assert refusal(reservation(2), [reservation(1, 1)], waiting) is Refusal.OCCUPIED
    assert refusal(reservation(2), [], waiting) is Refusal.OCCUPIED, "the reservation was just cancelled"


_PLUGGED = Observation(pilot=PilotState.B, cable_plugged=True)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (EvseState(), EvseUse.FREE),
        (EvseState(observation=_PLUGGED), EvseUse.WAITING),
        (EvseState(observation=_PLUGGED, transaction=OpenTransaction("tx", fakes.NOON)), EvseUse.WAITING),
        (
            EvseState(observation=_PLUGGED, transaction=OpenTransaction("tx", fakes.NOON, holder=fakes.CARD)),
            EvseUse.IN_USE,
        ),
        (EvseState(authorization=Authorization(fakes.CARD)), EvseUse.IN_USE),
        (EvseState(observation=_PLUGGED, lock_held_for=fakes.CARD), EvseUse.IN_USE),
        (EvseState(faults=frozenset({Fault.METER})), EvseUse.FAULTED),
        (EvseState(faults=frozenset({Fault.READER})), EvseUse.FREE),
        (EvseState(in_service=False), EvseUse.UNAVAILABLE),
        (EvseState(installer_only=True), EvseUse.UNAVAILABLE),
        (EvseState(withheld=frozenset({WithholdReason.FIRMWARE})), EvseUse.UNAVAILABLE),
        # B01.FR.13, B11.FR.05: neither a reset nor a restart ends a reservation.
        (EvseState(withheld=frozenset({WithholdReason.RESET, WithholdReason.RESTART})), EvseUse.FREE),
    ],
)
def test_what_an_evse_is_used_for_follows_from_its_state(state: EvseState, expected: EvseUse) -> None:
    assert evse_use(state) is expected


def test_a_stored_reservation_is_read_as_it_was() -> None:
    last = replace(reservation(2**31 - 1, 3), group_id=GROUP)
    assert RESERVATIONS.from_text(RESERVATIONS.to_text(last)) == last
