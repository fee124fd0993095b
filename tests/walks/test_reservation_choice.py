"""Which EVSE the holder of a reservation gets, and which requests cannot be kept; whole station (block H)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from simulator.vehicle import VehicleModel
from station.charging.evse_state import WithholdReason
from station.charging.tokens.admission import TokenOutcome
from station.core.model import IdToken
from tests.csms import NO_ANSWER, Csms
from tests.walk import CARD, OTHER_CARD, configuration, powered, walking
from tests.walks.reservations import ends, pending, request, reserve, statuses_now, used
from tests.walks.steps import GROUP, answering, csms_of_one_group, present_at, request_start, variables
from tests.walks.test_display import shows
from tests.walks.visit import visiting

TWO: list[dict[str, object]] = [{"id": 1}, {"id": 2}]
TYPES: list[dict[str, object]] = [
    {"id": 1, "connector_type": "cType2", "attached_cable": True},
    {"id": 2, "connector_type": "sType2"},
    {"id": 3, "connector_type": "sType2"},
]


async def test_the_holder_of_a_connector_type_gets_an_evse_of_that_type_at_a_common_reader(tmp_path: Path) -> None:
    """H03.FR.02, H03.FR.09: not the first free EVSE, which the reservation does not cover."""
    async with walking(tmp_path, evse=TYPES) as walk:
        await walk.accepted()
        assert await reserve(walk, connectorType="sType2") == "Accepted"
        assert await present_at(walk, CARD) is TokenOutcome.AUTHORIZED
        assert walk.parts.station.evses[2].authorized_token == CARD
        assert pending(walk) == []


async def test_the_holder_of_a_connector_type_gets_the_evse_where_the_vehicle_is(tmp_path: Path) -> None:
    async with walking(tmp_path, evse=TYPES) as walk:
        await walk.accepted()
        assert await reserve(walk, connectorType="sType2") == "Accepted"
        walk.world.boards[3].plug(VehicleModel())
        await walk.advance(1)
        assert await present_at(walk, CARD) is TokenOutcome.AUTHORIZED
        assert walk.parts.station.evses[3].authorized_token == CARD
        assert pending(walk) == []


async def test_a_remote_start_without_an_evse_takes_one_of_the_reserved_connector_type(tmp_path: Path) -> None:
    """H03.FR.02, H03.FR.09"""
    async with walking(tmp_path, evse=TYPES) as walk:
        await walk.accepted()
        assert await reserve(walk, connectorType="sType2") == "Accepted"
        assert (await request_start(walk, evse_id=None))["status"] == "Accepted"
        assert walk.parts.station.evses[2].authorized_token == CARD
        assert pending(walk) == []


async def test_a_holder_whose_group_charges_elsewhere_uses_the_reservation(tmp_path: Path) -> None:
    """H03.FR.01 before C09.FR.07 and C09.FR.03: the charge of the group goes on."""
    async with walking(tmp_path, evse=TWO) as walk:
        walk.csms.answers["Authorize"] = answering("Accepted", GROUP)
        await walk.accepted()
        assert await present_at(walk, OTHER_CARD, 1) is TokenOutcome.AUTHORIZED
        await walk.plug()
        await walk.charging()
        for number in (1, 2):  # the group is asked for, then known from the cache
            assert await reserve(walk, number=number, evseId=2) == "Accepted"
            assert await present_at(walk, CARD) is TokenOutcome.AUTHORIZED
            assert walk.parts.station.evses[1].authorized_token == OTHER_CARD
            assert walk.parts.station.evses[2].authorized_token == CARD
            assert await present_at(walk, CARD) is TokenOutcome.STOPPED
            await walk.advance(120)


async def test_a_holder_whose_remote_start_the_csms_does_not_authorize_loses_the_reservation(tmp_path: Path) -> None:
    """H03.FR.09 (errata 2025-09, 2.32): a remote start presents the token, too."""
    async with walking(tmp_path, variable=variables(AuthCtrlr__AuthorizeRemoteStart=True)) as walk:
        await walk.accepted()
        await reserve(walk, evseId=1)
        walk.csms.answers["Authorize"] = answering("Blocked")
        await request_start(walk)
        await walk.advance(1)
        assert (pending(walk), ends(walk), statuses_now(walk)) == ([], [(1, "Removed")], ["Available"])


async def test_a_remote_start_at_an_evse_that_is_reserved_for_a_group_asks_for_the_group_of_the_token(
    tmp_path: Path,
) -> None:
    """H03.FR.04, H03.FR.08, F01.FR.01: the answer first, then Authorize; the group comes with it."""
    async with walking(tmp_path, variable=variables(AuthCtrlr__AuthorizeRemoteStart=True)) as walk:
        await walk.accepted()
        walk.csms.answers["Authorize"] = walk.csms.answers["TransactionEvent"] = answering("Accepted", GROUP)
        assert await reserve(walk, evseId=1, groupIdToken=GROUP) == "Accepted"
        assert await request_start(walk, card=OTHER_CARD) == {"status": "Accepted"}
        await walk.until(lambda: walk.parts.station.evses[1].authorized_token == OTHER_CARD)
        assert len(walk.csms.received("Authorize")) == 1
        await walk.plug()
        await walk.charging()
        await walk.until(lambda: used(walk) == [1])


async def test_a_token_of_another_group_starts_nothing_and_leaves_the_evse_reserved(tmp_path: Path) -> None:
    """H03.FR.04; the reservation for the group is not used by a token that is not of it."""
    async with walking(tmp_path, variable=variables(AuthCtrlr__AuthorizeRemoteStart=True)) as walk:
        await walk.accepted()
        walk.csms.answers["Authorize"] = answering("Accepted", {"idToken": "OTHERS", "type": "Central"})
        assert await reserve(walk, evseId=1, groupIdToken=GROUP) == "Accepted"
        assert (await request_start(walk, card=OTHER_CARD))["status"] == "Accepted"
        await walk.until(lambda: walk.csms.received("Authorize"))
        await walk.advance(5)
        assert walk.parts.station.evses[1].authorized_token is None
        assert (pending(walk), statuses_now(walk)) == ([1], ["Reserved"])
        assert (await request_start(walk, card=OTHER_CARD))["status"] == "Rejected", "its group is in the cache now"


@pytest.mark.parametrize("authorizes_remote_starts", [True, False])
async def test_a_remote_start_that_no_group_can_admit_is_rejected_without_asking(
    tmp_path: Path, authorizes_remote_starts: bool
) -> None:
    """F01.FR.21, F01.FR.22; without AuthorizeRemoteStart only the group in the request counts."""
    async with walking(tmp_path, variable=variables(AuthCtrlr__AuthorizeRemoteStart=authorizes_remote_starts)) as walk:
        await walk.accepted()
        assert await reserve(walk, evseId=1) == "Accepted"
        assert (await request_start(walk, card=OTHER_CARD))["status"] == "Rejected"
        assert await reserve(walk, evseId=1, groupIdToken=GROUP) == "Accepted"
        other_group = {"idToken": "OTHERS", "type": "Central"}
        assert (await request_start(walk, card=OTHER_CARD, groupIdToken=other_group))["status"] == "Rejected"
        if not authorizes_remote_starts:
            assert (await request_start(walk, card=OTHER_CARD))["status"] == "Rejected"
            assert (await request_start(walk, card=OTHER_CARD, groupIdToken=GROUP))["status"] == "Accepted"
        assert walk.csms.received("Authorize") == []


async def test_a_remote_start_without_an_evse_takes_a_free_one_before_one_that_is_reserved_for_a_group(
    tmp_path: Path,
) -> None:
    """F01.FR.20: which group the token is of is not known yet."""
    async with walking(tmp_path, evse=TWO, variable=variables(AuthCtrlr__AuthorizeRemoteStart=True)) as walk:
        await walk.accepted()
        assert await reserve(walk, evseId=1, groupIdToken=GROUP) == "Accepted"
        assert (await request_start(walk, evse_id=None, card=OTHER_CARD))["status"] == "Accepted"
        await walk.until(lambda: walk.parts.station.evses[2].authorized_token == OTHER_CARD)


async def test_an_evse_that_is_withheld_for_a_reset_cannot_be_reserved(tmp_path: Path) -> None:
    """H01.FR.14: its connector is Unavailable. A reservation that it has already stays."""
    async with walking(tmp_path, evse=TWO) as walk:
        await walk.accepted()
        assert await reserve(walk, evseId=2) == "Accepted"
        for evse in walk.parts.station.evses.values():
            evse.set_withheld(WithholdReason.RESET, True)
        await walk.settle()
        assert statuses_now(walk) == ["Unavailable", "Unavailable"]
        assert await reserve(walk, number=2, evseId=1) == "Unavailable"
        assert await reserve(walk, number=2) == "Unavailable"
        assert (pending(walk), ends(walk)) == ([1], [])


async def test_an_unreported_end_is_not_reported_for_a_new_reservation_with_the_same_id(tmp_path: Path) -> None:
    """H01.FR.02: the CSMS would take the new reservation for ended."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        walk.csms.answers["ReservationStatusUpdate"] = lambda _: NO_ANSWER
        await reserve(walk, evseId=1, for_s=60)
        await walk.advance(65)
        assert await reserve(walk, evseId=1) == "Accepted"
        del walk.csms.answers["ReservationStatusUpdate"]
        ends_before = len(ends(walk))
        await walk.advance(120)
        assert ends(walk)[ends_before:] == []
        assert pending(walk) == [1]


async def test_an_expiry_time_in_the_year_9999_is_kept_and_shown(tmp_path: Path) -> None:
    async with walking(
        tmp_path, station={"identity": "BORNE-TEST", "serial_number": "0001", "time_zone": "Europe/Berlin"}
    ) as walk:
        await walk.accepted()
        far = {**request(walk, evseId=1), "expiryDateTime": "9999-12-31T23:59:59Z"}
        assert (await walk.csms.call("ReserveNow", far))["status"] == "Accepted"
        beyond = {**far, "id": 2, "expiryDateTime": "9999-12-31T23:59:59-05:00"}
        assert (await walk.csms.request("ReserveNow", beyond))[2] == "PropertyConstraintViolation"
        await walk.advance(60)
        assert statuses_now(walk) == ["Reserved"]
        await shows(walk, "Reserved until ")


async def test_owners_who_reserve_at_the_same_time_do_not_replace_one_another(tmp_path: Path) -> None:
    """While one reservation is being stored, two others wait for their turn."""
    three: list[dict[str, object]] = [{"id": 1}, {"id": 2}, {"id": 3}]
    async with powered(configuration(tmp_path, None, evse=three), Csms()) as walk, visiting(walk) as api:
        name = await walk.parts.cards.add(CARD, "Anna")
        body = {"card": name, "for_s": 3600}
        await asyncio.gather(*(api.post(f"/api/evses/{number}/reservation", body, status=201) for number in (1, 2, 3)))
        assert sorted(reservation.evse_id or 0 for reservation in walk.parts.reservations.pending) == [1, 2, 3]


async def test_a_station_that_has_no_csms_any_more_keeps_no_reservation_that_its_owner_cannot_cancel(
    tmp_path: Path,
) -> None:
    async with walking(tmp_path, evse=TWO) as walk:
        await walk.accepted()
        assert await reserve(walk, number=1, evseId=1) == "Accepted"
        assert await reserve(walk, number=2, card=OTHER_CARD) == "Accepted"
    async with powered(configuration(tmp_path, None, evse=TWO), Csms()) as walk, visiting(walk) as api:
        await walk.advance(10)
        assert pending(walk) == [1]
        await api.delete("/api/evses/1/reservation")
        assert pending(walk) == []
        await walk.application.cut_power()
        await walk.application.restore_power()
        assert pending(walk) == []


async def test_a_known_member_of_a_group_charges_where_the_group_has_reserved_and_stops_nobody(tmp_path: Path) -> None:
    """H03.FR.08, C09.FR.07: a free EVSE beside it changes nothing, nor the charge of another member."""
    three: list[dict[str, object]] = [{"id": 1}, {"id": 2}, {"id": 3}]
    stranger = IdToken("04DDDDDDDDDD80", "ISO14443")
    rows = variables(AuthCtrlr__LocalPreAuthorize=True)
    async with walking(tmp_path, csms_of_one_group(), variable=rows, evse=three) as walk:
        await walk.accepted()
        assert [await present_at(walk, CARD, 2), await present_at(walk, CARD, 2)] == [
            TokenOutcome.AUTHORIZED,
            TokenOutcome.STOPPED,
        ]
        assert await present_at(walk, OTHER_CARD, 3) is TokenOutcome.AUTHORIZED
        assert await reserve(walk, card=stranger, evseId=1, groupIdToken=GROUP) == "Accepted"
        walk.world.boards[1].plug(VehicleModel())
        await walk.advance(1)
        assert await present_at(walk, CARD) is TokenOutcome.AUTHORIZED
        held = [evse.authorized_token for evse in walk.parts.station.evses.values()]
        assert held == [CARD, None, OTHER_CARD]
