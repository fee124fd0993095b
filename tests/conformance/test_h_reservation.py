"""Block H, reservation: reserve, use, cancel, replace and expire."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance import states
from tests.conformance.authorization import charges, set_id_token_status
from tests.conformance.bench import GROUP, OTHER_TOKEN, PERIODIC, VALID_TOKEN, Bench
from tests.conformance.cases import case, setup
from tests.conformance.reservations import (
    ANY_EVSE,
    EXPIRES_AFTER_S,
    MESSAGE_TIMEOUT_S,
    enable_reservations,
    named_reservations,
    reserve,
    status_of,
    token,
)
from tests.conformance.station_under_test import Setup

LOCAL_AND_REMOTE = pytest.mark.parametrize("local", [True, False], ids=["local", "remote"])
"""the reusable state Authorized can be reached by a card and by a remote start"""
_ONE_OR_TWO_EVSES = pytest.mark.parametrize(
    "station_setup", [Setup(evses=1, variables=ANY_EVSE), Setup(evses=2, variables=ANY_EVSE)], ids=["one", "two"]
)
_TYPES: dict[str, Any] = {
    "evse": [
        {"id": 1, "connector_type": "sType2"},
        {"id": 2, "connector_type": "cType2", "attached_cable": True},
    ]
}
"""two EVSEs with connectors of different types"""


async def uses_reservation(
    bench: Bench, reservation_id: int = 1, *, local: bool = True, id_token: Any = VALID_TOKEN
) -> None:
    """Authorized with the token of a reservation, EnergyTransferStarted; the reservationId is sent once."""
    was_reserved = await status_of(bench, bench.evse_id) == "Reserved"
    await states.authorized(bench, local=local, id_token=id_token)
    if was_reserved:
        await bench.expect_status("Available")  # H03.FR.10
    await states.energy_transfer_started(bench)
    assert named_reservations(bench) == [reservation_id]  # H01.FR.15


@LOCAL_AND_REMOTE
@case("Reservation", "M")
async def test_tc_h_01_cs(bench: Bench, local: bool) -> None:
    """Reserve a specific EVSE - Accepted - Valid idToken"""
    await enable_reservations(bench)
    await states.reserved(bench)
    await states.authorized(bench, local=local)
    await bench.expect_status("Available")
    await states.energy_transfer_started(bench)
    assert named_reservations(bench) == [1]  # H01.FR.15
    first = next(frame.payload for frame in bench.journal.sent("TransactionEvent"))
    assert first.get("reservationId") == 1, first  # E03.FR.03, F02.FR.06


@LOCAL_AND_REMOTE
@case("Reservation", "M")
async def test_tc_h_02_cs(bench: Bench, local: bool) -> None:
    """Reserve a specific EVSE - Accepted - Different idToken"""
    await enable_reservations(bench)
    await states.reserved(bench)
    # EVConnectedPreSession: a connector that is Reserved stays so (G01.FR.09).
    await bench.connect_ev()
    started = await bench.expect_event()
    assert started["triggerReason"] == "CablePluggedIn", started
    assert "reservationId" not in started, started
    if local:
        await bench.present(OTHER_TOKEN)
    else:
        request = {"idToken": OTHER_TOKEN, "remoteStartId": 1, "evseId": bench.evse_id}
        answer = await bench.call("RequestStartTransaction", request)
        assert answer["status"] == "Rejected", answer
    await bench.silence(
        "TransactionEvent",
        for_s=MESSAGE_TIMEOUT_S,
        where=lambda event: event["transactionInfo"].get("chargingState") == "Charging",
    )
    assert not await charges(bench)
    assert await status_of(bench, 1) == "Reserved"


@case("Reservation", "M")
async def test_tc_h_03_cs(bench: Bench) -> None:
    """Reserve a specific EVSE - Occupied - EVSE Reserved"""
    await enable_reservations(bench)
    await states.reserved(bench)
    assert await reserve(bench, OTHER_TOKEN, reservation_id=2, evseId=bench.evse_id) == "Occupied"


@case("Reservation", "M")
async def test_tc_h_04_cs(bench: Bench) -> None:
    """Reserve a specific EVSE - Occupied - EVSE Occupied"""
    await enable_reservations(bench)
    await states.energy_transfer_started(bench)
    assert await reserve(bench, OTHER_TOKEN, evseId=bench.evse_id) == "Occupied"


@case("Reservation", "M")
async def test_tc_h_06_cs(bench: Bench) -> None:
    """Reserve a specific EVSE - Unavailable"""
    await enable_reservations(bench)
    await states.unavailable(bench, evse_id=bench.evse_id)
    assert await reserve(bench, OTHER_TOKEN, evseId=bench.evse_id) == "Unavailable"


@LOCAL_AND_REMOTE
@case("Reservation", "M")
async def test_tc_h_07_cs(bench: Bench, local: bool) -> None:
    """Reserve a specific EVSE - Reservation Ended / not used"""
    await enable_reservations(bench)
    identity = await states.reserved(bench, reservation_id=7, for_s=EXPIRES_AFTER_S)
    await bench.silence("ReservationStatusUpdate", for_s=EXPIRES_AFTER_S - 5.0)
    await bench.expect_status("Available", within_s=10.0)
    update = await bench.expect("ReservationStatusUpdate")
    assert update == {"reservationId": identity, "reservationUpdateStatus": "Expired"}
    await states.authorized(bench, local=local, id_token=OTHER_TOKEN)
    await states.energy_transfer_started(bench)
    assert named_reservations(bench) == []


@LOCAL_AND_REMOTE
@_ONE_OR_TWO_EVSES
@case("Reservation", "C", "R-2")
async def test_tc_h_08_cs(bench: Bench, local: bool) -> None:
    """Reserve an unspecified EVSE - Accepted"""
    await enable_reservations(bench)
    assert await reserve(bench) == "Accepted"
    if bench.setup.evses == 1:
        await bench.expect_status("Reserved")
    else:
        await bench.silence(
            "StatusNotification", for_s=5.0, where=lambda status: status["connectorStatus"] == "Reserved"
        )
    await uses_reservation(bench, local=local)


@case("Reservation", "C", "R-2")
@setup(evses=2, variables=ANY_EVSE)
async def test_tc_h_09_cs(bench: Bench) -> None:
    """Reserve an unspecified EVSE - Occupied - EVSE Reserved"""
    await enable_reservations(bench)
    for evse_id in (1, 2):
        await states.reserved(bench, evse_id=evse_id, reservation_id=evse_id)
    assert await reserve(bench, OTHER_TOKEN, reservation_id=3) == "Occupied"


@case("Reservation", "C", "R-2")
@setup(evses=2, variables=ANY_EVSE)
async def test_tc_h_10_cs(bench: Bench) -> None:
    """Reserve an unspecified EVSE - Occupied - EVSE Occupied"""
    await enable_reservations(bench)
    bench.session(2).id_token = dict(OTHER_TOKEN)
    await states.authorized(bench, evse_id=1)
    await states.energy_transfer_started(bench, evse_id=1)
    await states.authorized(bench, evse_id=2, id_token=OTHER_TOKEN)
    await states.energy_transfer_started(bench, evse_id=2)
    assert await reserve(bench) == "Occupied"


@case("Reservation", "C", "R-2")
@setup(evses=2, variables=ANY_EVSE)
async def test_tc_h_12_cs(bench: Bench) -> None:
    """Reserve an unspecified EVSE - Unavailable"""
    await enable_reservations(bench)
    await states.unavailable(bench)
    assert await reserve(bench) == "Unavailable"


@case("Reservation", "C", "NOT R-2")
@setup(variables={"ReservationCtrlr.NonEvseSpecific": "false"})
async def test_tc_h_13_cs(bench: Bench) -> None:
    """Reserve an unspecified EVSE - Rejected"""
    await enable_reservations(bench)
    assert await bench.get_variable("ReservationCtrlr", "NonEvseSpecific") == "false"
    assert await reserve(bench) == "Rejected"
    assert await status_of(bench, 1) == "Available"


@case("Reservation", "C", "R-2")
@pytest.mark.parametrize("station_setup", [Setup(evses=2, variables=ANY_EVSE), Setup(evses=3, variables=ANY_EVSE)])
async def test_tc_h_14_cs(bench: Bench) -> None:
    """Reserve an unspecified EVSE - Amount of EVSEs available equals the amount of reservations"""
    await enable_reservations(bench)
    for number in range(bench.setup.evses):
        await bench.silence(
            "StatusNotification", for_s=1.0, where=lambda status: status["connectorStatus"] == "Reserved"
        )
        assert await reserve(bench, token(number), reservation_id=number) == "Accepted"
    await bench.expect_all_statuses("Reserved")


@LOCAL_AND_REMOTE
@pytest.mark.parametrize("station_setup", [Setup(), Setup(evses=2, tables=_TYPES)], ids=["one", "two-types"])
@case("Reservation", "C", "R-1")
async def test_tc_h_15_cs(bench: Bench, local: bool) -> None:
    """Reserve a connector with a specific type - Success"""
    await enable_reservations(bench)
    assert await reserve(bench, connectorType="sType2") == "Accepted"
    await bench.expect_status("Reserved")
    if bench.setup.evses == 2:
        assert await status_of(bench, 2) == "Available"
    await uses_reservation(bench, local=local)


@case("Reservation", "C", "R-1")
@pytest.mark.parametrize("station_setup", [Setup(evses=2), Setup(evses=2, tables=_TYPES)], ids=["same", "two-types"])
@pytest.mark.parametrize("by_type", [False, True])
async def test_tc_h_16_cs(bench: Bench, by_type: bool) -> None:
    """Reserve a connector with a specific type - Amount of available connectors of a type equals the amount of
    reservations
    """
    await enable_reservations(bench)
    types = ["sType2", "cType2" if bench.setup.tables else "sType2"]
    for evse_id in (1, 2):
        place: dict[str, Any] = {"connectorType": types[evse_id - 1]} if by_type else {"evseId": evse_id}
        assert await reserve(bench, reservation_id=evse_id, **place) == "Accepted"
    await bench.expect_all_statuses("Reserved")
    assert await reserve(bench, OTHER_TOKEN, reservation_id=3, connectorType="sType2") == "Occupied"


@case("Reservation", "M")
async def test_tc_h_17_cs(bench: Bench) -> None:
    """Cancel reservation of an EVSE - Success"""
    await enable_reservations(bench)
    identity = await states.reserved(bench)
    answer = await bench.call("CancelReservation", {"reservationId": identity})
    assert answer["status"] == "Accepted", answer
    await bench.expect_status("Available")
    await bench.silence("ReservationStatusUpdate", for_s=5.0)  # H02, remark


@case("Reservation", "M")
async def test_tc_h_18_cs(bench: Bench) -> None:
    """Cancel reservation of an EVSE - Rejected"""
    await enable_reservations(bench)
    answer = await bench.call("CancelReservation", {"reservationId": 1})
    assert answer["status"] == "Rejected", answer


@LOCAL_AND_REMOTE
@case("Reservation", "M")
async def test_tc_h_19_cs(bench: Bench, local: bool) -> None:
    """Reserve a specific EVSE - Use a reserved EVSE with GroupId"""
    await enable_reservations(bench)
    set_id_token_status(bench, OTHER_TOKEN, "Accepted", GROUP)
    assert await reserve(bench, evseId=bench.evse_id, groupIdToken=GROUP) == "Accepted"
    await bench.expect_status("Reserved")
    if local:
        await states.authorized(bench, local=True, id_token=OTHER_TOKEN)
    else:
        await remote_start_with_group(bench)
    await bench.expect_status("Available")
    await states.energy_transfer_started(bench)
    assert named_reservations(bench) == [1]  # H01.FR.15


async def remote_start_with_group(bench: Bench) -> None:
    """Authorized by a remote start with another token of the reservation's group."""
    session = bench.session()
    request = {
        "idToken": OTHER_TOKEN,
        "groupIdToken": GROUP,
        "remoteStartId": 1,
        "evseId": bench.evse_id,
    }
    await bench.note_action("remote-start", bench.evse_id, OTHER_TOKEN)
    answer = await bench.call("RequestStartTransaction", request)
    assert answer["status"] == "Accepted", answer
    event = await bench.expect_event()
    assert event["triggerReason"] == "RemoteStart", event
    assert event["idToken"]["idToken"] == OTHER_TOKEN["idToken"], event
    session.id_token, session.remote, session.authorized, session.remote_start_id = dict(OTHER_TOKEN), True, True, 1


@LOCAL_AND_REMOTE
@case("Reservation", "M")
@setup(evses=2)
async def test_tc_h_21_cs(bench: Bench, local: bool) -> None:
    """Charging Station cancels reservation when Unavailable"""
    await enable_reservations(bench)
    identity = await states.reserved(bench)
    order = {"operationalStatus": "Inoperative", "evse": {"id": bench.evse_id}}
    answer = await bench.call("ChangeAvailability", order)
    assert answer["status"] == "Accepted", answer
    await bench.expect_status("Unavailable")
    update = await bench.expect("ReservationStatusUpdate")
    assert update == {"reservationId": identity, "reservationUpdateStatus": "Removed"}
    answer = await bench.call("ChangeAvailability", {**order, "operationalStatus": "Operative"})
    assert answer["status"] == "Accepted", answer
    await bench.expect_status("Available")
    await states.authorized(bench, local=local, id_token=OTHER_TOKEN)
    await states.energy_transfer_started(bench)


@case("Reservation", "C", "R-3")
@pytest.mark.parametrize("station_setup", [Setup(variables={"ReservationCtrlr.Enabled": "false"}), Setup()])
async def test_tc_h_22_cs(bench: Bench) -> None:
    """Reserve a specific EVSE - Configured to Reject"""
    if not bench.setup.variables:
        await bench.configure("ReservationCtrlr", "Enabled", "false")
    assert await bench.get_variable("ReservationCtrlr", "Enabled") == "false"
    assert await reserve(bench, evseId=bench.evse_id) == "Rejected"
    assert await status_of(bench, 1) == "Available"


@LOCAL_AND_REMOTE
@case("Reservation", "M")
async def test_tc_h_23_cs(bench: Bench, local: bool) -> None:
    """Reserve a specific EVSE - Replace reservation"""
    await enable_reservations(bench)
    identity = await states.reserved(bench)
    status = await reserve(bench, OTHER_TOKEN, reservation_id=identity, evseId=bench.evse_id)
    assert status == "Accepted"
    await bench.expect_status("Reserved")
    await bench.present(VALID_TOKEN)  # its reservation was replaced
    await bench.silence("TransactionEvent", for_s=5.0, where=lambda event: event["triggerReason"] not in PERIODIC)
    await uses_reservation(bench, identity, local=local, id_token=OTHER_TOKEN)


@pytest.mark.smoke
@case("Reservation", "C", "R-2")
@setup(variables=ANY_EVSE)
async def test_tc_h_24_cs(bench: Bench) -> None:
    """Reserve an unspecified EVSE - GroupIdToken"""
    await enable_reservations(bench)
    set_id_token_status(bench, OTHER_TOKEN, "Accepted", GROUP)
    assert await reserve(bench, groupIdToken=GROUP) == "Accepted"
    await bench.expect_status("Reserved")
    await uses_reservation(bench, id_token=OTHER_TOKEN)


@case("Reservation", "M")
@setup(evses=2)
async def test_tc_b_24_cs(bench: Bench) -> None:
    """Reset Charging Station - Reserved persists reset"""
    await states.reserved(bench)
    answer = await bench.call("Reset", {"type": "OnIdle"})
    assert answer["status"] == "Scheduled", answer  # errata 2025-09, 6.2.16: a pending reservation is not idle
    await states.booted(bench, statuses={1: "Reserved", 2: "Available"})
