"""Negotiations with a vehicle whose controller the test plays: late profiles, lost orders, silent CSMSs, odd plans."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from ocpp_handlers.wire import timestamps
from simulator.communication_model import CommunicationFault, CommunicationModel
from simulator.secc import SimulatedSecc
from simulator.vehicle import VehicleModel
from station.core.vehicle_link import (
    ChargeProgress,
    ChargingNeeds,
    CurrentLimit,
    EnergyTransferMode,
    PaymentOption,
    PowerDelivery,
    PowerPeriod,
    Renegotiate,
    ScheduleOffer,
    ScheduleSelected,
    ServiceOffer,
    VehicleOrder,
)
from tests.csms import NO_ANSWER, Csms
from tests.walk import CARD, OTHER_CARD, Walk, walking
from tests.walks.test_vehicles import SECC, answer_with, secc_of

SomeOrder = TypeVar("SomeOrder", bound=VehicleOrder)

NEEDS = ChargingNeeds(EnergyTransferMode.AC_THREE_PHASE, 20_000.0, 32.0, 6.0)


def orders(secc: SimulatedSecc, kind: type[SomeOrder]) -> list[SomeOrder]:
    return [order for order in secc.orders if isinstance(order, kind)]


async def authorized_session(walk: Walk) -> SimulatedSecc:
    """A session that is authorized by card; the vehicle says nothing more by itself."""
    await walk.plug(communication=CommunicationModel(faults=frozenset({CommunicationFault.SILENT})))
    await walk.advance(2)
    await walk.present()
    await walk.advance(2)
    assert walk.evse.state.authorization is not None
    return secc_of(walk)


async def charging_session(walk: Walk, needs: ChargingNeeds = NEEDS) -> SimulatedSecc:
    """A session whose vehicle has chosen its schedule and draws energy."""
    secc = await authorized_session(walk)
    secc.report(needs)
    await walk.until(lambda: orders(secc, ScheduleOffer))
    start(secc)
    await walk.advance(5)
    return secc


def start(secc: SimulatedSecc, *plan: PowerPeriod) -> None:
    secc.report(ScheduleSelected(1, plan))
    secc.report(PowerDelivery(ChargeProgress.START))


def tx_profile(walk: Walk, limit_a: float) -> dict[str, Any]:
    period = {"startPeriod": 0, "limit": limit_a}
    profile = {
        "id": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Relative",
        "transactionId": walk.evse.transaction_id,
        "chargingSchedule": [{"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [period]}],
    }
    return {"evseId": 1, "chargingProfile": profile}


async def asked_again(walk: Walk, secc: SimulatedSecc) -> bool:
    """Whether the vehicle is ordered to negotiate within the next minute; forgets the orders before."""
    secc.orders.clear()
    await walk.advance(60)
    return bool(orders(secc, Renegotiate))


async def send_profile(walk: Walk, limit_a: float) -> None:
    assert (await walk.csms.call("SetChargingProfile", tx_profile(walk, limit_a)))["status"] == "Accepted"


async def test_a_profile_between_offer_and_start_leads_to_a_negotiation(tmp_path: Path) -> None:
    csms = Csms()
    answer_with(csms, "NotifyEVChargingNeeds", {"status": "Processing"})
    async with walking(tmp_path, csms, **SECC) as walk:
        await walk.accepted()
        secc = await authorized_session(walk)
        secc.report(NEEDS)
        await walk.until(lambda: orders(secc, ScheduleOffer))
        await send_profile(walk, 8.0)
        await walk.advance(5)
        assert not orders(secc, Renegotiate), "the vehicle has not begun"
        start(secc)
        await walk.until(lambda: orders(secc, Renegotiate), within_s=5)


async def test_the_share_of_another_evse_leads_to_a_negotiation_within_a_minute(tmp_path: Path) -> None:
    evses = [{"secc": {"type": "simulated"}}, {}]
    async with walking(tmp_path, evse=evses) as walk:
        await walk.accepted()
        schedule = {
            "id": 5,
            "startSchedule": timestamps.encode(walk.application.clock.now()),
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 32.0}],
        }
        limit = {
            "id": 5,
            "stackLevel": 0,
            "chargingProfilePurpose": "ChargingStationMaxProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": [schedule],
        }
        answer = await walk.csms.call("SetChargingProfile", {"evseId": 0, "chargingProfile": limit})
        assert answer["status"] == "Accepted"
        walk.world.boards[2].plug(VehicleModel())
        await walk.settle()
        started = walk.parts.station.present_token(CARD, 2)
        await walk.until(started.done)
        await walk.plug(communication=CommunicationModel())
        started = walk.parts.station.present_token(OTHER_CARD, 1)
        await walk.until(started.done)
        secc = secc_of(walk)
        await walk.until(lambda: orders(secc, CurrentLimit) and orders(secc, CurrentLimit)[-1].current_a == 16.0)
        await walk.advance(130)
        negotiated = len(orders(secc, Renegotiate))
        walk.world.boards[2].unplug(keep_cable=True)
        await walk.until(lambda: orders(secc, CurrentLimit)[-1].current_a == 32.0)
        await walk.until(lambda: len(orders(secc, Renegotiate)) > negotiated, within_s=70)
        await walk.until(lambda: orders(secc, ScheduleOffer)[-1].tuples[0].periods[0].power_w > 20_000.0)


async def test_a_schedule_that_has_ended_leads_to_a_negotiation(tmp_path: Path) -> None:
    async with walking(tmp_path, **SECC) as walk:
        await walk.accepted()
        secc = await charging_session(walk, replace(NEEDS, departs_in_s=900))
        await walk.advance(800)
        assert not orders(secc, Renegotiate)
        await walk.until(lambda: orders(secc, Renegotiate), within_s=200)


async def test_a_vehicle_that_announces_a_negotiation_and_goes_on_is_still_asked_for_one(tmp_path: Path) -> None:
    async with walking(tmp_path, **SECC) as walk:
        await walk.accepted()
        secc = await charging_session(walk)
        secc.report(PowerDelivery(ChargeProgress.RENEGOTIATE))
        secc.report(PowerDelivery(ChargeProgress.START))
        await walk.advance(5)
        await send_profile(walk, 8.0)
        await walk.until(lambda: orders(secc, Renegotiate), within_s=5)


async def test_a_vehicle_that_ignores_orders_is_asked_again_and_its_own_needs_are_notified(tmp_path: Path) -> None:
    csms = Csms()
    answer_with(csms, "NotifyEVChargingNeeds", {"status": "Rejected"})
    async with walking(tmp_path, csms, **SECC) as walk:
        await walk.accepted()
        secc = await charging_session(walk)
        await send_profile(walk, 8.0)
        await walk.advance(5)
        assert len(orders(secc, Renegotiate)) == 1
        await send_profile(walk, 10.0)
        await walk.advance(5)
        assert len(orders(secc, Renegotiate)) == 2, "a further change is a further reason"
        minutes = [minute for minute in range(30) if await asked_again(walk, secc)]
        assert 2 <= len(minutes) <= 5, "the wait doubles"
        await walk.advance(300)
        notified = len(walk.csms.received("NotifyEVChargingNeeds"))
        secc.report(PowerDelivery(ChargeProgress.RENEGOTIATE))
        secc.report(NEEDS)
        await walk.advance(10)
        assert len(walk.csms.received("NotifyEVChargingNeeds")) == notified + 1, "K17.FR.01"


@pytest.mark.parametrize("silent", ["NotifyEVChargingNeeds", "TransactionEvent"])
async def test_a_silent_csms_makes_no_vehicle_wait_longer_than_it_can(tmp_path: Path, silent: str) -> None:
    csms = Csms()
    async with walking(tmp_path, csms, csms={"message_timeout_s": 120}, **SECC) as walk:
        await walk.accepted()
        secc = await authorized_session(walk)
        csms.answers[silent] = lambda _: NO_ANSWER
        csms.answers["NotifyEVChargingNeeds"] = lambda _: NO_ANSWER
        secc.report(NEEDS)
        await walk.until(lambda: orders(secc, ScheduleOffer), within_s=38)


async def test_the_plan_of_a_vehicle_is_notified_as_it_has_sent_it_in_order(tmp_path: Path) -> None:
    csms = Csms()
    answer_with(csms, "NotifyEVChargingNeeds", {"status": "Rejected"})
    answer_with(csms, "NotifyEVChargingSchedule", {"status": "Rejected"})
    async with walking(tmp_path, csms, **SECC) as walk:
        await walk.accepted()
        secc = await authorized_session(walk)
        secc.report(NEEDS)
        await walk.until(lambda: orders(secc, ScheduleOffer))
        offered_at = walk.application.clock.now()
        await walk.advance(20)
        start(secc, PowerPeriod(600, 6_900.0), PowerPeriod(0, 69_000.0))
        await walk.until(lambda: walk.csms.received("NotifyEVChargingSchedule"))
        (notified,) = walk.csms.received("NotifyEVChargingSchedule")
        assert notified["chargingSchedule"]["chargingSchedulePeriod"] == [
            {"startPeriod": 0, "limit": 100.0},
            {"startPeriod": 600, "limit": 10.0},
        ], "the CSMS decides about what exceeds its schedule (K15.FR.12)"
        assert abs((timestamps.decode(notified["timeBase"]) - offered_at).total_seconds()) <= 2.0


async def test_contracts_are_offered_as_long_as_the_csms_can_be_asked(tmp_path: Path) -> None:
    async with walking(tmp_path, **SECC) as walk:
        await walk.accepted()
        secc = secc_of(walk)
        await walk.until(lambda: PaymentOption.CONTRACT in orders(secc, ServiceOffer)[-1].payment)
        walk.stack.cut_network()
        await walk.until(lambda: orders(secc, ServiceOffer)[-1].payment == (PaymentOption.EIM,))
        walk.stack.restore_network()
        await walk.until(lambda: PaymentOption.CONTRACT in orders(secc, ServiceOffer)[-1].payment, within_s=600)


async def test_the_next_request_waits_for_the_answer_to_one_that_nobody_waits_for(
    tmp_path: Path,
) -> None:
    """One request at a time (OCPP-J 4.1.1), also if nobody waits for its response any more."""
    csms = Csms()
    csms.answers["NotifyEVChargingNeeds"] = lambda _: NO_ANSWER
    async with walking(tmp_path, csms, **SECC) as walk:
        await walk.accepted()
        secc = await authorized_session(walk)
        secc.report(NEEDS)
        await walk.until(lambda: walk.csms.received("NotifyEVChargingNeeds"))
        sent = len(csms.calls)
        walk.board.unplug(keep_cable=True)
        await walk.advance(10)
        assert len(csms.calls) == sent
        await walk.until(lambda: len(csms.calls) > sent, within_s=40)


async def test_needs_that_are_repeated_without_end_are_no_flood_for_the_csms(tmp_path: Path) -> None:
    csms = Csms()
    csms.answers["NotifyEVChargingNeeds"] = lambda _: NO_ANSWER
    async with walking(tmp_path, csms, **SECC) as walk:
        await walk.accepted()
        secc = await authorized_session(walk)
        for _ in range(100):
            secc.report(NEEDS)
            await walk.advance(0.1)
        assert len(walk.csms.received("NotifyEVChargingNeeds")) == 1
