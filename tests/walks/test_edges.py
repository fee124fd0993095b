"""Sequences at the edges: hostile sizes, two wishes at once, a clock that is set back, two EVSEs on one breaker."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from energy.limit import LimitSource
from simulator.vehicle import VehicleModel
from station.core.model import Fault
from tests.csms import NO_ANSWER, Csms
from tests.walk import CARD, OTHER_CARD, Walk, walking
from tests.walks.steps import charge, event
from tests.walks.visit import visiting

TOKEN = {"idToken": CARD.value, "type": CARD.type}


def _profile(identity: float, limit_a: float, **more: Any) -> dict[str, Any]:
    return {
        "id": identity,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": [
            {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit_a}]}
        ],
        **more,
    }


async def _charging(walk: Walk) -> None:
    await walk.accepted()
    await walk.plug()
    await walk.present()
    await walk.charging()


async def test_a_profile_id_that_no_disk_can_keep_is_refused_and_the_charge_goes_on(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await _charging(walk)
        for identity in (2**63, 1e300):
            answer = await walk.csms.request(
                "SetChargingProfile", {"evseId": 1, "chargingProfile": _profile(identity, 8)}
            )
            assert answer[0] == 4
            assert answer[2] == "PropertyConstraintViolation"
        await walk.advance(10)
        assert sum(walk.board.currents_a) > 0


async def test_what_a_csms_says_of_a_token_cannot_keep_the_station_from_starting_again(tmp_path: Path) -> None:
    csms = Csms()
    infos = iter(
        [
            {"status": "Accepted", "evseId": [1e300]},
            {"status": "Accepted", "groupIdToken": {"idToken": "\ud800", "type": "Local"}},
        ]
    )
    csms.answers["Authorize"] = lambda _: {"idTokenInfo": next(infos)}
    async with walking(tmp_path, csms) as walk:
        await walk.accepted()
        await walk.present()
        await walk.present(OTHER_CARD)
        await walk.application.cut_power()
        await walk.application.restore_power()
        await walk.until(lambda: len(csms.received("BootNotification")) == 2)


async def test_a_relative_profile_survives_a_clock_that_is_set_back(tmp_path: Path) -> None:
    """K01.FR.42: it counts from the moment when energy could flow, whatever the wall clock says of that."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        answer = await walk.csms.call("SetChargingProfile", {"evseId": 1, "chargingProfile": _profile(1, 8.0)})
        assert answer["status"] == "Accepted"
        await walk.plug()
        await walk.present()
        await walk.charging()
        walk.application.clock.adjust(timedelta(minutes=-10))
        await walk.advance(30)
        assert walk.evse.offered_a == 8.0


async def test_aligned_samples_go_on_after_the_clock_is_set_back(tmp_path: Path) -> None:
    """J01.FR.14."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await walk.set_variable("AlignedDataCtrlr", "Interval", "60")
        await walk.until(lambda: walk.csms.received("MeterValues"), within_s=70)
        walk.application.clock.adjust(timedelta(days=-2))
        before = len(walk.csms.received("MeterValues"))
        await walk.until(lambda: len(walk.csms.received("MeterValues")) > before, within_s=200)


async def test_a_status_that_got_no_answer_is_sent_again(tmp_path: Path) -> None:
    """G01.FR.03."""
    csms = Csms()
    async with walking(tmp_path, csms, csms={"message_timeout_s": 5}) as walk:
        await walk.accepted()
        csms.answers["StatusNotification"] = lambda _: NO_ANSWER
        await walk.plug()
        await walk.until(lambda: len(csms.received("StatusNotification")) == 2)
        del csms.answers["StatusNotification"]
        await walk.until(lambda: len(csms.received("StatusNotification")) == 3)
        assert csms.received("StatusNotification")[-1]["connectorStatus"] == "Occupied"


async def test_the_selector_stands_for_one_breaker_however_many_evses_hang_on_it(tmp_path: Path) -> None:
    evses = [{"id": 1}, {"id": 2}]
    async with walking(tmp_path, evse=evses, board={"selector_a": 20}) as walk:
        await walk.accepted()
        boards = walk.world.boards
        await walk.plug()
        await walk.present()
        await walk.charging()
        assert walk.evse.offered_a == 20.0
        boards[2].plug(VehicleModel())
        outcome = walk.parts.station.present_token(OTHER_CARD, 2)
        await walk.until(outcome.done)
        await walk.until(lambda: sum(boards[2].currents_a) > 0)
        await walk.advance(10)
        currents = [boards[number].currents_a.l1 for number in (1, 2)]
        assert sum(currents) <= 20.0
        assert min(currents) >= 6.0
        binding = {limit.source for limit in walk.evse.limits if limit.current_a == walk.evse.offered_a}
        assert LimitSource.SELECTOR in binding


async def test_only_one_of_two_remote_starts_is_accepted(tmp_path: Path) -> None:
    """F01.FR.24."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await walk.set_variable("AuthCtrlr", "AuthorizeRemoteStart", "true")
        walk.csms.answers["Authorize"] = lambda _: NO_ANSWER
        first = await walk.csms.call("RequestStartTransaction", {"idToken": TOKEN, "remoteStartId": 1, "evseId": 1})
        other_token = {"idToken": OTHER_CARD.value, "type": OTHER_CARD.type}
        second = await walk.csms.call(
            "RequestStartTransaction", {"idToken": other_token, "remoteStartId": 2, "evseId": 1}
        )
        assert (first["status"], second["status"]) == ("Accepted", "Rejected")


async def test_the_profile_of_a_start_that_failed_is_not_the_next_drivers(tmp_path: Path) -> None:
    """F01.FR.10."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await walk.set_variable("AuthCtrlr", "AuthorizeRemoteStart", "true")
        walk.csms.answers["Authorize"] = lambda _: {"idTokenInfo": {"status": "Invalid"}}
        profile = _profile(7, 8.0, chargingProfilePurpose="TxProfile")
        start = {"idToken": TOKEN, "remoteStartId": 1, "evseId": 1, "chargingProfile": profile}
        assert (await walk.csms.call("RequestStartTransaction", start))["status"] == "Accepted"
        await walk.until(lambda: walk.csms.received("Authorize"))
        del walk.csms.answers["Authorize"]
        await walk.plug()
        await walk.present(OTHER_CARD)
        await walk.charging()
        await walk.advance(5)
        assert walk.evse.offered_a == 32.0


async def test_while_a_restart_waits_nobody_new_may_start(tmp_path: Path) -> None:
    """B12.FR.01."""
    async with walking(tmp_path, evse=[{"id": 1}, {"id": 2}]) as walk:
        await _charging(walk)
        assert (await walk.csms.call("Reset", {"type": "OnIdle"}))["status"] == "Scheduled"
        other_token = {"idToken": OTHER_CARD.value, "type": OTHER_CARD.type}
        start = {"idToken": other_token, "remoteStartId": 2, "evseId": 2}
        assert (await walk.csms.call("RequestStartTransaction", start))["status"] == "Rejected"


async def test_an_order_for_an_idle_evse_is_not_scheduled_because_another_one_charges(tmp_path: Path) -> None:
    """G03.FR.03, G03.FR.05."""
    async with walking(tmp_path, evse=[{"id": 1}, {"id": 2}]) as walk:
        await _charging(walk)
        answers = [
            (await walk.csms.call("ChangeAvailability", {"operationalStatus": "Inoperative", "evse": {"id": number}}))
            for number in (1, 2, 2)
        ]
        assert [answer["status"] for answer in answers] == ["Scheduled", "Accepted", "Accepted"]


async def test_a_start_while_a_transaction_is_ending_is_refused_rather_than_forgotten(tmp_path: Path) -> None:
    """F01.FR.24."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await walk.plug(reaction_s=4.0)
        await walk.present()
        await walk.charging()
        await walk.advance(10)
        identity = walk.evse.transaction_id
        assert (await walk.csms.call("RequestStopTransaction", {"transactionId": identity}))["status"] == "Accepted"
        await walk.settle()
        assert walk.evse.state.transaction is not None
        start = {"idToken": TOKEN, "remoteStartId": 5, "evseId": 1}
        assert (await walk.csms.call("RequestStartTransaction", start))["status"] == "Rejected"


async def test_the_simulated_board_shows_every_pilot_state_of_a_charge(tmp_path: Path) -> None:
    """IEC 61851-1 table A.4: A to D as the vehicle is, E for a short circuit, F for the station's own fault."""
    async with walking(tmp_path, evse=[{"ventilation": True}]) as walk:
        await walk.accepted()
        pilot_states = [await _pilot_state(walk)]
        await walk.plug(ventilation=True)
        pilot_states.append(await _pilot_state(walk))
        await walk.present()
        await walk.charging()
        pilot_states.append(await _pilot_state(walk))
        walk.board.short_pilot(True)
        await walk.settle()
        pilot_states.append(await _pilot_state(walk))
        assert sum(walk.board.currents_a) == 0
        walk.board.short_pilot(False)
        walk.board.raise_fault(Fault.GROUND_FAULT)
        await walk.settle()
        pilot_states.append(await _pilot_state(walk))
        assert pilot_states == ["A", "B", "D", "E", "F"]


async def test_a_vehicle_that_asks_for_ventilation_waits_where_there_is_none_with_the_reason(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        await walk.plug(ventilation=True)
        await walk.present()
        await event(walk, "Updated", "ChargingStateChanged", chargingState="SuspendedEVSE")
        await walk.advance(60)
        evse = await api.evse()
        assert (evse["charging_state"], evse["limit"]["source"]) == ("SuspendedEVSE", "ventilation")
        assert evse["light"]["reason"] == "waiting-for-power"
        assert (walk.board.contactor_operations, evse["faults"]) == (0, [])
        await walk.present()
        await event(walk, "Ended", "StopAuthorized")
        await walk.unplug()
        await walk.present()
        await walk.plug()
        await walk.charging()


async def test_a_pilot_at_minus_12_v_is_no_vehicle_that_left(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await _charging(walk)
        walk.world.fail_meter(1, True)
        await walk.until(lambda: Fault.METER in walk.evse.state.faults)
        await walk.advance(5)
        assert await _pilot_state(walk) == "F"
        assert walk.evse.state.transaction is not None
        walk.world.fail_meter(1, False)
        await walk.charging()
        assert [kind for kind, _ in walk.types_and_triggers()].count("Started") == 1


async def _pilot_state(walk: Walk) -> str:
    """Return the pilot state that the board reports."""
    async for observation in walk.board.observations():
        return observation.pilot.value
    raise AssertionError("the board shows nothing")


async def test_a_power_cut_is_preceded_by_no_other_rate(tmp_path: Path) -> None:
    """The last event before Ended (PowerLoss) is one that the charge has caused."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        await walk.advance(60)
        await walk.application.cut_power()
        await walk.advance(5)
        await walk.application.restore_power()
        await walk.until(
            lambda: any(
                sent_event["transactionInfo"].get("stoppedReason") == "PowerLoss" for sent_event in walk.events()
            )
        )
        assert "ChargingRateChanged" not in {trigger for _, trigger in walk.types_and_triggers()}
