"""Reservations of a whole station: strangers, holders, vehicles of others, links and resets in between (block H)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from station.charging.tokens.admission import TokenOutcome
from station.core.light_patterns import Colour, Pattern
from station.core.model import Fault
from tests.csms import NO_ANSWER, Csms, running_csms
from tests.full_disk import FullDisk
from tests.patience import PATIENCE_S
from tests.walk import CARD, OTHER_CARD, Walk, configuration, powered, walking
from tests.walks.reservations import cancel, ends, pending, reserve, statuses_now, used
from tests.walks.steps import GROUP, answering, event, present_at, request_start, statuses, token, tx_points, variables
from tests.walks.test_unreadable_rows import restart

TWO: list[dict[str, object]] = [{"id": 1}, {"id": 2}]


async def test_a_stranger_is_refused_and_the_holder_charges(tmp_path: Path) -> None:
    """H03.FR.01, H03.FR.09, H03.FR.10; the light waits in orange."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        assert await reserve(walk, evseId=1) == "Accepted"
        assert statuses(walk)[-1] == "Reserved"
        await walk.advance(1)
        assert (walk.parts.light.station.colour, walk.parts.light.station.pattern) == (Colour.ORANGE, Pattern.STEADY)
        assert await present_at(walk, OTHER_CARD, 1) is TokenOutcome.REJECTED
        assert walk.csms.received("Authorize") == []
        assert pending(walk) == [1]
        assert await present_at(walk, CARD, 1) is TokenOutcome.AUTHORIZED
        assert statuses_now(walk) == ["Available"]
        await walk.plug()
        await walk.charging()
        assert used(walk) == [1]
        assert pending(walk) == []
        assert ends(walk) == []


async def test_a_vehicle_of_somebody_else_does_not_charge_and_leaves_the_connector_reserved(tmp_path: Path) -> None:
    """G01.FR.06, G01.FR.09, G03.FR.09; E02.FR.03"""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await reserve(walk, evseId=1)
        await walk.plug()
        started = await event(walk, "Started", "CablePluggedIn")
        assert "reservationId" not in started
        assert await present_at(walk, OTHER_CARD, 1) is TokenOutcome.REJECTED
        await walk.advance(30)
        assert statuses(walk) == ["Available", "Reserved"]
        assert walk.evse.offered_a == 0
        assert await present_at(walk, CARD, 1) is TokenOutcome.AUTHORIZED
        await walk.charging()
        assert (await event(walk, "Updated", "Authorized"))["reservationId"] == 1
        assert statuses(walk) == ["Available", "Reserved", "Occupied"]


async def test_without_authorization_a_plug_starts_nothing_at_a_reserved_evse(tmp_path: Path) -> None:
    """C02: nobody else can charge there, although everybody could elsewhere; once the reservation ends, the vehicle is
    served.
    """
    async with walking(tmp_path, variable=variables(AuthCtrlr__Enabled="false")) as walk:
        await walk.accepted()
        await reserve(walk, evseId=1, for_s=60)
        await walk.plug()
        await walk.advance(30)
        assert walk.evse.authorized_token is None
        await walk.until(lambda: walk.evse.authorized_token is not None)
        assert ends(walk) == [(1, "Expired")]


async def test_who_arrives_offline_is_let_in_by_the_reservation_and_others_are_not(tmp_path: Path) -> None:
    """H03.FR.01: neither the cache nor OfflineTxForUnknownIdEnabled knows the card."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await reserve(walk, evseId=1)
        walk.csms.http_status = 503
        walk.csms.drop()
        await walk.advance(1)
        assert await present_at(walk, OTHER_CARD, 1) is TokenOutcome.REJECTED
        assert await present_at(walk, CARD, 1) is TokenOutcome.AUTHORIZED
        await walk.plug()
        await walk.charging()
        walk.csms.http_status = None
        await walk.until(lambda: used(walk) == [1], within_s=600)


async def test_a_holder_whose_card_the_csms_rejects_loses_the_reservation(tmp_path: Path) -> None:
    """H03.FR.09: presented is used; the CSMS is notified, since no transaction says so."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await reserve(walk, evseId=1)
        walk.csms.answers["Authorize"] = answering("Blocked")
        assert await present_at(walk, CARD, 1) is TokenOutcome.REJECTED
        await walk.until(lambda: ends(walk) == [(1, "Removed")])
        assert statuses_now(walk) == ["Available"]


async def test_a_rejected_card_does_not_end_the_reservation_that_has_replaced_its_own(tmp_path: Path) -> None:
    """H01.FR.02: the CSMS gives the reservation to somebody else while it is asked about the card."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await reserve(walk, evseId=1)
        walk.csms.answers["Authorize"] = lambda _: NO_ANSWER
        outcome = walk.parts.station.present_token(CARD, 1)
        await walk.csms.expect("Authorize")
        asked = walk.csms.calls[-1]
        assert await reserve(walk, card=OTHER_CARD, evseId=1) == "Accepted"
        await walk.csms.send_raw(json.dumps([3, asked.id, answering("Blocked")(asked.payload)]))
        async with asyncio.timeout(PATIENCE_S):
            assert await outcome is TokenOutcome.REJECTED
        await walk.settle()
        assert (ends(walk), pending(walk)) == ([], [1])
        walk.csms.answers["Authorize"] = answering("Accepted")
        assert await present_at(walk, OTHER_CARD, 1) is TokenOutcome.AUTHORIZED


async def test_a_holder_who_presents_the_card_and_brings_no_vehicle_has_used_the_reservation(tmp_path: Path) -> None:
    """H03.FR.09, E03.FR.05; no transaction event can say so."""
    points = tx_points("PowerPathClosed", "PowerPathClosed", TxCtrlr__EVConnectionTimeOut="30")
    async with walking(tmp_path, variable=points) as walk:
        await walk.accepted()
        await reserve(walk, evseId=1)
        assert await present_at(walk, CARD, 1) is TokenOutcome.AUTHORIZED
        assert await reserve(walk, card=OTHER_CARD, evseId=1) == "Rejected"  # its id is in use
        assert await reserve(walk, number=2, card=OTHER_CARD, evseId=1) == "Occupied"
        await walk.advance(20)
        assert ends(walk) == []
        await walk.until(lambda: ends(walk) == [(1, "Removed")])
        assert await reserve(walk, number=2, card=OTHER_CARD, evseId=1) == "Accepted"


async def test_the_group_is_asked_for_and_found_in_the_cache_later(tmp_path: Path) -> None:
    """H03.FR.04, H03.FR.07, H03.FR.08"""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        walk.csms.answers["Authorize"] = answering("Accepted", {"idToken": "OTHERS", "type": "Central"})
        await reserve(walk, evseId=1, groupIdToken=GROUP)
        assert await present_at(walk, OTHER_CARD, 1) is TokenOutcome.REJECTED
        assert len(walk.csms.received("Authorize")) == 1
        walk.csms.answers["Authorize"] = walk.csms.answers["TransactionEvent"] = answering("Accepted", GROUP)
        assert await present_at(walk, OTHER_CARD, 1) is TokenOutcome.AUTHORIZED
        assert await present_at(walk, OTHER_CARD, 1) is TokenOutcome.STOPPED
        await walk.advance(5)
        await reserve(walk, number=2, evseId=1, groupIdToken=GROUP)
        walk.csms.http_status = 503
        walk.csms.drop()
        await walk.advance(1)
        assert await present_at(walk, OTHER_CARD, 1) is TokenOutcome.AUTHORIZED, "the cache knows its group"


async def test_of_two_evses_one_is_kept_for_the_holder_whatever_others_do(tmp_path: Path) -> None:
    """H01.FR.07, H01.FR.20; H03, scenario S3"""
    async with walking(tmp_path, evse=TWO) as walk:
        await walk.accepted()
        assert await reserve(walk) == "Accepted"
        assert statuses_now(walk) == ["Available", "Available"]
        await walk.plug()
        await walk.advance(1)
        assert statuses_now(walk) == ["Occupied", "Reserved"]
        assert await present_at(walk, OTHER_CARD, 2) is TokenOutcome.REJECTED
        assert await present_at(walk, OTHER_CARD, 1) is TokenOutcome.AUTHORIZED
        await walk.charging()
        assert await reserve(walk, number=2, card=OTHER_CARD) == "Occupied"
        assert used(walk) == []
        assert await present_at(walk, CARD, None) is TokenOutcome.AUTHORIZED
        assert walk.parts.station.evses[2].authorized_token == CARD
        await walk.settle()
        assert pending(walk) == []


async def test_the_holder_may_be_the_one_who_has_plugged_in(tmp_path: Path) -> None:
    """H03, scenario S3: the other EVSE is free again."""
    async with walking(tmp_path, evse=TWO) as walk:
        await walk.accepted()
        await reserve(walk)
        await walk.plug()
        await walk.advance(1)
        assert await present_at(walk, CARD, 1) is TokenOutcome.AUTHORIZED
        await walk.charging()
        assert used(walk) == [1]
        assert statuses_now(walk) == ["Occupied", "Available"]


async def test_cancelling_one_of_as_many_reservations_as_evses_frees_all_of_them(tmp_path: Path) -> None:
    """H02.FR.05, H02.FR.06"""
    async with walking(tmp_path, evse=TWO) as walk:
        await walk.accepted()
        assert await reserve(walk, number=1) == "Accepted"
        assert await reserve(walk, number=2, card=OTHER_CARD) == "Accepted"
        assert statuses_now(walk) == ["Reserved", "Reserved"]
        assert await reserve(walk, number=3) == "Occupied"
        assert await cancel(walk, 2) == "Accepted"
        assert statuses_now(walk) == ["Available", "Available"]
        assert await cancel(walk, 2) == "Rejected"
        assert [notification["evseId"] for notification in walk.csms.received("StatusNotification")][-2:] == [1, 2]
        assert ends(walk) == []


async def test_a_remote_start_without_an_evse_takes_the_one_that_is_reserved_for_the_token(tmp_path: Path) -> None:
    """F01.FR.20, H03.FR.09"""
    async with walking(tmp_path, evse=TWO) as walk:
        await walk.accepted()
        await reserve(walk, evseId=2)
        await walk.plug()
        assert (await request_start(walk, evse_id=2, card=OTHER_CARD))["status"] == "Rejected"
        assert (await request_start(walk, evse_id=None))["status"] == "Accepted"
        assert walk.parts.station.evses[2].authorized_token == CARD
        assert used(walk) == [1]


@pytest.mark.parametrize("evse_id", [1, None])
async def test_a_fault_ends_the_reservation(tmp_path: Path, evse_id: int | None) -> None:
    """H01.FR.16"""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        place: dict[str, Any] = {"evseId": evse_id} if evse_id is not None else {}
        await reserve(walk, **place)
        walk.evse.report_fault(Fault.OVER_TEMPERATURE, True)
        await walk.until(lambda: ends(walk) == [(1, "Removed")])
        assert statuses(walk)[-1] == "Faulted"
        assert await reserve(walk, evseId=1) == "Faulted"
        walk.evse.report_fault(Fault.OVER_TEMPERATURE, False)
        await walk.settle()
        assert statuses_now(walk) == ["Available"]


async def test_of_two_reservations_and_one_evse_left_the_older_one_is_kept(tmp_path: Path) -> None:
    """H01.FR.16, H01.FR.17"""
    async with walking(tmp_path, evse=TWO) as walk:
        await walk.accepted()
        await reserve(walk, number=1)
        await reserve(walk, number=2, card=OTHER_CARD)
        await walk.csms.call("ChangeAvailability", {"operationalStatus": "Inoperative", "evse": {"id": 1}})
        await walk.until(lambda: ends(walk) == [(2, "Removed")])
        assert statuses_now(walk) == ["Unavailable", "Reserved"]


async def test_a_reset_of_the_evse_leaves_it_reserved(tmp_path: Path) -> None:
    """B11.FR.05, B11.FR.08; OnIdle waits for the end of the reservation."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await reserve(walk, evseId=1, for_s=120)
        answer = await walk.csms.call("Reset", {"type": "Immediate", "evseId": 1})
        assert answer["status"] == "Accepted"
        await walk.advance(10)
        assert statuses_now(walk) == ["Reserved"]
        answer = await walk.csms.call("Reset", {"type": "OnIdle", "evseId": 1})
        assert answer["status"] == "Scheduled"
        assert ends(walk) == []
        await walk.until(lambda: ends(walk) == [(1, "Expired")], within_s=180)


async def test_a_reset_on_idle_waits_for_the_holder_who_is_let_in_meanwhile(tmp_path: Path) -> None:
    """B11, errata 2025-09 2.14; also where no EVSE is Reserved in particular."""
    async with walking(tmp_path, evse=TWO) as walk:
        await walk.accepted()
        await reserve(walk)
        assert (await walk.csms.call("Reset", {"type": "OnIdle"}))["status"] == "Scheduled"
        await walk.advance(30)
        assert statuses_now(walk) == ["Available", "Available"]
        assert await present_at(walk, CARD, 1) is TokenOutcome.AUTHORIZED
        await walk.plug()
        await walk.charging()
        await present_at(walk, CARD, 1)
        await walk.advance(10)
        await walk.unplug()
        await walk.until(lambda: len(walk.csms.received("BootNotification")) == 2, within_s=300)


@pytest.mark.parametrize("cut", [False, True], ids=["offline", "without power"])
async def test_an_expiry_that_the_csms_misses_is_reported_later(tmp_path: Path, cut: bool) -> None:
    """H04.FR.01; the EVSE is free at once."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await reserve(walk, evseId=1, for_s=60)
        walk.csms.http_status = 503
        walk.csms.drop()
        if cut:
            await walk.application.cut_power()
            await walk.advance(70)
            await walk.application.restore_power()
        else:
            await walk.advance(70)
            await walk.application.cut_power()
            await walk.application.restore_power()
        await walk.advance(5)
        assert statuses_now(walk) == ["Available"]
        walk.csms.http_status = None
        await walk.until(lambda: ends(walk) == [(1, "Expired")], within_s=600)
        await walk.advance(60)
        assert ends(walk) == [(1, "Expired")], "reported once"


async def test_what_is_wrong_in_a_request_is_named(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        for code, more in {
            "UnknownEvse": {"evseId": 2},
            "UnknownConnectorType": {"connectorType": "cCCS2"},
            "InvalidValue": {"evseId": 1, "expiryDateTime": "2020-01-01T00:00:00Z"},
        }.items():
            request = {"id": 1, "expiryDateTime": "2099-01-01T00:00:00Z", "idToken": token(), **more}
            answer = await walk.csms.call("ReserveNow", request)
            assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", code)
        request = {"id": 2**40, "expiryDateTime": "2099-01-01T00:00:00Z", "idToken": token()}
        assert (await walk.csms.request("ReserveNow", request))[2] == "PropertyConstraintViolation"
        assert pending(walk) == []


async def test_what_cannot_be_stored_is_rejected_and_not_in_force(tmp_path: Path, disk: FullDisk) -> None:
    """An earlier reservation with the same id stays."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await reserve(walk, evseId=1)
        with disk.refusing("reservations"):
            assert await reserve(walk, card=OTHER_CARD, evseId=1) == "Rejected"
        assert [reservation.id_token for reservation in walk.parts.reservations.pending] == [CARD]
        assert await reserve(walk, card=OTHER_CARD, evseId=1) == "Accepted"


async def test_a_reservation_that_cannot_be_read_is_set_aside(tmp_path: Path) -> None:
    async with walking(tmp_path, evse=TWO) as walk:
        await walk.accepted()
        await reserve(walk, number=1, evseId=1)
        await reserve(walk, number=2, evseId=2)
        await restart(walk, tmp_path, "UPDATE reservations SET payload = '{}' WHERE reservation_id = 1")
        await walk.settle()
        assert pending(walk) == [2]
        assert [row.address.source for row in walk.parts.unreadable.all()] == ["reservations"]


async def test_the_data_of_a_customer_includes_reservations(tmp_path: Path) -> None:
    """N09, N10.FR.03"""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await reserve(walk, evseId=1)
        request = {"requestId": 5, "report": True, "clear": True, "idToken": token()}
        assert (await walk.csms.call("CustomerInformation", request))["status"] == "Accepted"
        report = await walk.csms.expect("NotifyCustomerInformation")
        assert "Reservation 1: EVSE 1" in report["data"]
        await walk.until(lambda: ends(walk) == [(1, "Removed")])
        assert statuses_now(walk) == ["Available"]


async def reserve_evses(walk: Walk, numbers: Sequence[int]) -> None:
    """Reserve EVSEs by their ids."""
    for number in numbers:
        assert await reserve(walk, number=number, evseId=number) == "Accepted"


async def test_reservations_survive_a_power_cut(tmp_path: Path) -> None:
    """B01.FR.13: they are in force before the CSMS is there again."""
    async with running_csms(Csms()) as csms:
        config = configuration(tmp_path, csms.url, evse=TWO)
        async with powered(config, csms) as walk:
            await walk.accepted()
            await reserve_evses(walk, [1, 2])
            await walk.application.cut_power()
            csms.http_status = 503
            await walk.application.restore_power()
            await walk.settle()
            assert statuses_now(walk) == ["Reserved", "Reserved"]
            assert await present_at(walk, OTHER_CARD, 1) is TokenOutcome.REJECTED
            assert await present_at(walk, CARD, 1) is TokenOutcome.AUTHORIZED


async def test_a_fault_of_the_start_does_not_end_a_reservation(tmp_path: Path) -> None:
    """B01.FR.13: a meter that starts more slowly than the program."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await reserve(walk, evseId=1)
        await walk.application.cut_power()
        await walk.application.restore_power()
        walk.evse.report_fault(Fault.METER, True)
        await walk.advance(20)
        assert statuses_now(walk) == ["Faulted"]
        walk.evse.report_fault(Fault.METER, False)
        await walk.advance(1)
        assert (statuses_now(walk), ends(walk)) == (["Reserved"], [])
        await walk.advance(60)
        walk.evse.report_fault(Fault.METER, True)
        await walk.until(lambda: ends(walk) == [(1, "Removed")], within_s=300)
