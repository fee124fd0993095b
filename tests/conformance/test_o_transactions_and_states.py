"""Block O, display messages of a transaction, and in a state of the station (Advanced User Interface).

What Part 6 leaves to an eye before the display is asked of `/api/messages`.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance import states
from tests.conformance.bench import Bench
from tests.conformance.cases import case, setup
from tests.conformance.display_messages import (
    CONTENT,
    MESSAGE_ID,
    OFFSET_S,
    PRIORITIES,
    SECOND_CONTENT,
    SECOND_ID,
    clear_all_messages,
    displayed_message_ids,
    is_displayed,
    message,
    messages_on_display,
    reported_message,
    request_messages,
    send_display_message,
    set_display_message,
)
from tests.conformance.frames import Payload


@pytest.fixture(autouse=True)
async def remove_earlier_messages(bench: Bench) -> None:
    """A station that was used before may still have messages."""
    await clear_all_messages(bench)


def of_transaction(bench: Bench, identity: int = MESSAGE_ID, **more: Any) -> Payload:
    """A message of the transaction that runs."""
    return message(identity, transactionId=bench.session().transaction_id, **more)


async def driver_leaves(bench: Bench) -> None:
    """StopAuthorized, EVConnectedPostSession, EVDisconnected, ParkingBayUnoccupied."""
    await states.stop_authorized(bench)
    await states.ev_connected_post_session(bench)
    await states.ev_disconnected(bench)
    await states.parking_bay_unoccupied(bench)


async def driver_charges(bench: Bench) -> None:
    """ParkingBayOccupied, Authorized, EVConnectedPreSession, EnergyTransferStarted."""
    await states.parking_bay_occupied(bench)
    await states.authorized(bench)
    await states.ev_connected_pre_session(bench)
    await states.energy_transfer_started(bench)


# Specific transaction


@PRIORITIES
@case("Advanced User Interface", "M")
async def test_tc_o_06_cs(bench: Bench, priority: str) -> None:
    """Set Display Message - Specific transaction - Success"""
    await states.energy_transfer_started(bench)
    assert await send_display_message(bench, of_transaction(bench, priority=priority)) == "Accepted"
    assert await is_displayed(bench)
    await driver_leaves(bench)
    assert not await is_displayed(bench)
    assert await request_messages(bench, id=[MESSAGE_ID]) == "Unknown"


@case("Advanced User Interface", "M")
async def test_tc_o_10_cs(bench: Bench) -> None:
    """Set Display Message - Specific transaction - UnknownTransaction"""
    wire = message(transactionId="0d9b1f6e-1111-4222-8333-444455556666", priority="InFront")
    assert await send_display_message(bench, wire) == "UnknownTransaction"


@case("Advanced User Interface", "M")
async def test_tc_o_27_cs(bench: Bench) -> None:
    """Set Display Message - Specific transaction - Display message at StartTime"""
    await states.energy_transfer_started(bench)
    wire = of_transaction(bench, startDateTime=bench.iso(OFFSET_S))
    assert await send_display_message(bench, wire) == "Accepted"
    assert not await is_displayed(bench)
    await bench.advance(OFFSET_S)
    assert await is_displayed(bench)
    await driver_leaves(bench)
    assert not await is_displayed(bench)
    assert await request_messages(bench, id=[MESSAGE_ID]) == "Unknown"


@case("Advanced User Interface", "M")
async def test_tc_o_28_cs(bench: Bench) -> None:
    """Set Display Message - Specific transaction - Remove message after EndTime"""
    await states.energy_transfer_started(bench)
    assert await send_display_message(bench, of_transaction(bench, endDateTime=bench.iso(OFFSET_S))) == "Accepted"
    assert await is_displayed(bench)
    await bench.advance(OFFSET_S)
    assert not await is_displayed(bench)
    assert await request_messages(bench, id=[MESSAGE_ID]) == "Unknown"


@case("Advanced User Interface", "C", "UI-1.2")
async def test_tc_o_30_cs(bench: Bench) -> None:
    """Set Display Message - Specific transaction - Multiple In front priority"""
    await states.energy_transfer_started(bench)
    transaction_id = bench.session().transaction_id
    assert await send_display_message(bench, of_transaction(bench, priority="InFront")) == "Accepted"
    second = of_transaction(bench, SECOND_ID, priority="InFront", content=SECOND_CONTENT)
    assert await send_display_message(bench, second) == "Accepted"
    assert await messages_on_display(bench) == [MESSAGE_ID, SECOND_ID]
    assert await displayed_message_ids(bench) == {MESSAGE_ID, SECOND_ID}
    for identity, content in ((MESSAGE_ID, CONTENT), (SECOND_ID, SECOND_CONTENT)):
        reported = await reported_message(bench, identity, request_id=identity)
        assert reported["transactionId"] == transaction_id
        assert reported["priority"] == "InFront"
        assert reported["message"]["content"] == content
    await driver_leaves(bench)
    assert await messages_on_display(bench) == []
    assert await request_messages(bench, id=[MESSAGE_ID]) == "Unknown"
    assert await request_messages(bench, id=[SECOND_ID]) == "Unknown"


@case("Advanced User Interface", "C", "UI-1.1")
async def test_tc_o_32_cs(bench: Bench) -> None:
    """Set Display Message - Specific transaction - Second Alwaysfront priority"""
    await states.energy_transfer_started(bench)
    transaction_id = bench.session().transaction_id
    assert await send_display_message(bench, of_transaction(bench, priority="AlwaysFront")) == "Accepted"
    assert await messages_on_display(bench) == [MESSAGE_ID]
    second = of_transaction(bench, SECOND_ID, priority="AlwaysFront", content=SECOND_CONTENT)
    assert await send_display_message(bench, second) == "Accepted"
    assert await messages_on_display(bench) == [SECOND_ID]
    assert await request_messages(bench, id=[MESSAGE_ID]) == "Unknown"
    reported = await reported_message(bench, SECOND_ID, request_id=32)
    assert reported["transactionId"] == transaction_id
    assert reported["priority"] == "AlwaysFront"
    assert reported["message"]["content"] == SECOND_CONTENT
    await driver_leaves(bench)
    assert await messages_on_display(bench) == []
    assert await request_messages(bench, id=[MESSAGE_ID]) == "Unknown"
    assert await request_messages(bench, id=[SECOND_ID]) == "Unknown"


# States

_SEVERAL_EVSES = pytest.mark.parametrize("station_setup", [setup().args[0], setup(evses=2).args[0]], ids=["one", "two"])
"""with two EVSEs, the other one has nothing to do"""


@case("Advanced User Interface", "M")
async def test_tc_o_36_cs(bench: Bench) -> None:
    """Set Display Message - State Charging"""
    await set_display_message(bench, message(state="Charging"))
    assert not await is_displayed(bench)
    await driver_charges(bench)
    assert await is_displayed(bench)
    await driver_leaves(bench)
    assert not await is_displayed(bench)
    assert (await reported_message(bench, request_id=36))["state"] == "Charging"


@_SEVERAL_EVSES
@case("Advanced User Interface", "M")
async def test_tc_o_37_cs(bench: Bench) -> None:
    """Set Display Message - State Idle"""
    await set_display_message(bench, message(state="Idle"))
    assert await is_displayed(bench)
    await driver_charges(bench)
    assert not await is_displayed(bench)
    await driver_leaves(bench)
    assert await is_displayed(bench)
    assert (await reported_message(bench, request_id=37))["state"] == "Idle"


@_SEVERAL_EVSES
@case("Advanced User Interface", "M")
async def test_tc_o_38_cs(bench: Bench) -> None:
    """Set Display Message - State Unavailable"""
    await set_display_message(bench, message(state="Unavailable"))
    assert not await is_displayed(bench)
    await states.unavailable(bench)
    assert await is_displayed(bench)
    answer = await bench.call("ChangeAvailability", {"operationalStatus": "Operative"})
    assert answer["status"] == "Accepted"
    await bench.expect_all_statuses("Available")
    assert not await is_displayed(bench)
    assert (await reported_message(bench, request_id=38))["state"] == "Unavailable"


@_SEVERAL_EVSES
@case("", "")
async def test_tc_o_39_cs(bench: Bench) -> None:
    """Set Display Message - State Faulted"""
    await set_display_message(bench, message(state="Faulted", content="This charging station is faulted"))
    assert not await is_displayed(bench)
    fault = {"evse": bench.evse_id, "code": "contactor-welded"}
    await bench.station.post("/api/sim/faults", fault)
    await bench.expect_status("Faulted")
    assert await is_displayed(bench)
    await bench.station.delete("/api/sim/faults", fault)
    await bench.expect_status("Available")
    assert not await is_displayed(bench)
    assert (await reported_message(bench, request_id=39))["state"] == "Faulted"
    await bench.drain_messages()
    bench.take("NotifyEvent")  # a station may report the fault itself too


@setup(evses=2, tables={"display": {"evses": [1, 2]}})
async def test_the_display_of_an_evse_knows_its_own_state_and_transaction(bench: Bench) -> None:
    """A charge on EVSE 1 is nothing for the display of EVSE 2 (O01.FR.23)"""

    def at(identity: int, evse_id: int, **more: Any) -> Payload:
        return message(identity, **more) | {"display": {"name": "Display", "evse": {"id": evse_id}}}

    await states.energy_transfer_started(bench)
    transaction_id = bench.session().transaction_id
    for identity, evse_id in ((11, 1), (12, 2)):
        await set_display_message(bench, at(identity, evse_id, state="Charging"))
        await set_display_message(bench, at(identity + 10, evse_id, state="Idle"))
        await set_display_message(bench, at(identity + 20, evse_id, transactionId=transaction_id))
    assert await messages_on_display(bench) == [11, 22, 31]
    await driver_leaves(bench)
    assert await messages_on_display(bench) == [21, 22]


async def test_messages_end_while_the_station_is_off(bench: Bench) -> None:
    """O01.FR.07, O02.FR.02: by time, and with the transaction that the power cut ends"""
    await states.energy_transfer_started(bench)
    await set_display_message(bench, message(1, endDateTime=bench.iso(60.0)))
    await set_display_message(bench, of_transaction(bench, 2))
    await set_display_message(bench, message(3, startDateTime=bench.iso(3600.0)))
    await bench.station.power("loss")
    await bench.advance(90.0)
    await bench.station.power("restore")
    await states.has_booted(bench, statuses="Occupied")
    await bench.expect("TransactionEvent", where=lambda event: event["eventType"] == "Ended")
    await bench.expect("TransactionEvent", where=lambda event: event["eventType"] == "Started")  # still plugged in
    assert await request_messages(bench, id=[1, 2]) == "Unknown"
    assert (await reported_message(bench, 3))["id"] == 3
