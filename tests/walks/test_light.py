"""The status light of a whole station: each thing that happens is seen on the page and on the LED."""

from __future__ import annotations

import asyncio
from pathlib import Path

from station.charging.tokens.admission import TokenOutcome
from station.core.light_patterns import Colour, LightReason, Pattern
from station.core.model import EvseRef, Fault
from station.maintenance.commissioning.activation import ActivationStage
from station.maintenance.commissioning.installer_session import LONGEST_S
from tests.csms import NO_ANSWER, Csms, running_csms
from tests.station.devices.test_leds import create_led_folder, written
from tests.walk import CARD, OTHER_CARD, Walk, configuration, powered, walking
from tests.walks.commissioned import commission
from tests.walks.steps import answering, listed, request_start, token, variables
from tests.walks.test_local_list import accepted as send_list
from tests.walks.visit import visiting

AVAILABLE = (Colour.GREEN, Pattern.STEADY)


def now(walk: Walk) -> tuple[Colour, Pattern]:
    """Colour and pattern of the light."""
    return walk.parts.light.station.colour, walk.parts.light.station.pattern


def reason(walk: Walk) -> LightReason:
    """Why."""
    return walk.parts.light.station.reason


async def test_a_charge_from_the_green_light_to_the_green_light(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        assert now(walk) == AVAILABLE
        await walk.plug(phases=3)
        assert reason(walk) is LightReason.PLUGGED_IN
        await walk.present()
        await walk.charging()
        await walk.settle()
        assert now(walk) == (Colour.BLUE, Pattern.BLINKING)
        await walk.present()
        await walk.advance(10)
        assert now(walk) == (Colour.BLUE, Pattern.STEADY), "finished, and still plugged in"
        await walk.unplug()
        assert now(walk) == AVAILABLE


async def test_a_vehicle_that_has_enough_shows_blue_and_one_that_energy_management_holds_back_light_blue(
    tmp_path: Path,
) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        await walk.plug(phases=3)
        await walk.present()
        await walk.charging()
        await api.client.put("/api/load-management/limits/user", json={"current_a": 0})
        await walk.advance(15)
        assert now(walk) == (Colour.LIGHT_BLUE, Pattern.STEADY)
        assert reason(walk) is LightReason.WAITING_FOR_POWER
        await api.client.delete("/api/load-management/limits/user")
        await walk.charging()
        assert walk.board.vehicle is not None
        await api.post("/api/sim/evses/1/vehicle", {"state": "suspend"})
        await walk.advance(15)
        assert now(walk) == (Colour.BLUE, Pattern.STEADY)


async def test_a_refused_card_is_yellow_for_three_seconds(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        walk.csms.answers["Authorize"] = answering("Invalid")
        outcome = walk.parts.station.present_token(OTHER_CARD, 1)
        await walk.until(outcome.done, step_s=0.0)
        assert now(walk) == (Colour.YELLOW, Pattern.BLINKING)
        await walk.advance(2.9)
        assert now(walk) == (Colour.YELLOW, Pattern.BLINKING)
        await walk.advance(0.2)
        assert now(walk) == AVAILABLE


async def test_a_refusal_at_one_evse_is_shown_for_its_time_whatever_is_presented_at_another(tmp_path: Path) -> None:
    async with walking(tmp_path, evse=[{"id": 1}, {"id": 2}]) as walk:
        await walk.accepted()
        light, station = walk.parts.light, walk.parts.station
        assert light is not None
        walk.csms.answers["Authorize"] = answering("Invalid")
        refused = station.present_token(OTHER_CARD, 1)
        await walk.until(refused.done, step_s=0.0)
        await walk.advance(1)
        walk.csms.answers["Authorize"] = answering("Accepted")
        accepted = station.present_token(CARD, 2)
        await walk.until(accepted.done, step_s=0.0)
        assert light.evse_light(1).reason is LightReason.CARD_REJECTED
        assert light.evse_light(2).reason is not LightReason.CARD_REJECTED
        await walk.advance(2.1)
        assert light.evse_light(1).reason is LightReason.AVAILABLE


async def test_a_card_blinks_green_while_the_csms_thinks_and_orange_when_it_never_answers(tmp_path: Path) -> None:
    async with walking(tmp_path, csms={"message_timeout_s": 20.0}) as walk:
        await walk.accepted()
        walk.csms.answers["Authorize"] = lambda _: NO_ANSWER
        outcome = walk.parts.station.present_token(OTHER_CARD, 1)
        await walk.until(lambda: walk.csms.received("Authorize"), step_s=0.0)
        await walk.advance(10)
        assert now(walk) == (Colour.GREEN, Pattern.BLINKING)
        await walk.until(outcome.done)
        assert now(walk) == (Colour.ORANGE, Pattern.BLINKING)
        await walk.advance(11)
        assert now(walk) == AVAILABLE


async def test_an_authorisation_that_no_vehicle_followed_blinks_orange(tmp_path: Path) -> None:
    rows = variables(TxCtrlr__EVConnectionTimeOut=30)
    async with walking(tmp_path, variable=rows) as walk:
        await walk.accepted()
        await walk.present()
        assert now(walk) == AVAILABLE, "ready to charge"
        await walk.advance(29)
        assert now(walk) == AVAILABLE
        await walk.advance(1.5)
        assert now(walk) == (Colour.ORANGE, Pattern.BLINKING)
        await walk.advance(10)
        assert now(walk) == AVAILABLE


async def test_a_card_that_ends_a_waiting_authorisation_is_no_time_out(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await walk.present()
        await walk.present()
        assert now(walk) == AVAILABLE


async def test_whoever_plugged_in_and_is_not_authenticated_sees_violet_until_the_connector_is_back(
    tmp_path: Path,
) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        walk.csms.answers["Authorize"] = answering("Invalid")
        await walk.plug(phases=3)
        await walk.present(OTHER_CARD)
        await walk.advance(4)
        assert now(walk) == (Colour.VIOLET, Pattern.STEADY)
        await walk.unplug()
        assert now(walk) == AVAILABLE


async def test_a_card_that_nobody_can_be_asked_about_blinks_orange_and_no_account_is_refused(tmp_path: Path) -> None:
    """Offline; one that the list refuses is refused there, too."""
    csms = Csms()
    async with walking(tmp_path, csms) as walk:
        await walk.accepted()
        await send_list(csms, 1, listed(token(CARD), "Blocked"))
        walk.stack.cut_network()
        await walk.advance(2)
        await walk.plug(phases=3)
        assert await walk.present(OTHER_CARD) is TokenOutcome.NOT_CHECKED
        assert (now(walk), reason(walk)) == ((Colour.ORANGE, Pattern.BLINKING), LightReason.CARD_NOT_CHECKED)
        await walk.advance(11)
        assert reason(walk) is LightReason.OFFLINE
        assert await walk.present(CARD) is TokenOutcome.REJECTED
        await walk.advance(4)
        assert now(walk) == (Colour.VIOLET, Pattern.STEADY)


async def test_a_token_that_the_csms_takes_back_is_violet(tmp_path: Path) -> None:
    """E05: the answer to the event that began the transaction refuses the token."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        walk.csms.answers["TransactionEvent"] = answering("Invalid")
        await walk.plug(phases=3)
        await walk.present()
        await walk.until(lambda: reason(walk) is LightReason.NOT_AUTHENTICATED)
        assert now(walk) == (Colour.VIOLET, Pattern.STEADY)


async def test_a_station_without_its_csms_is_white_and_one_that_never_had_any_is_green(tmp_path: Path) -> None:
    async with walking(tmp_path / "connected") as walk:
        await walk.accepted()
        walk.stack.cut_network()
        await walk.advance(2)
        assert now(walk) == (Colour.WHITE, Pattern.STEADY)
        walk.stack.restore_network()
        await walk.until(lambda: now(walk) == AVAILABLE)
    async with running_csms() as csms, powered(configuration(tmp_path / "alone", None), csms) as walk:
        await walk.advance(2)
        assert now(walk) == AVAILABLE


async def test_a_fault_a_tampering_and_an_order_out_of_service_are_red(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        walk.board.raise_fault(Fault.GROUND_FAULT)
        await walk.settle()
        assert now(walk) == (Colour.RED, Pattern.STEADY)
        walk.board.clear_fault(Fault.GROUND_FAULT)
        await walk.settle()
        assert now(walk) == AVAILABLE
        walk.parts.tamper.report_opened()
        await walk.settle()
        assert now(walk) == (Colour.RED, Pattern.STEADY)
        await walk.parts.tamper.acknowledge()
        await walk.settle()
        await walk.parts.station.availability.apply_order(EvseRef(1), operative=False)
        await walk.settle()
        assert now(walk) == (Colour.RED, Pattern.STEADY)


async def test_a_self_test_blinks_white(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        walk.board.monitor_test_s = 5.0
        testing = asyncio.create_task(walk.parts.station.assemblies[1].driver.test_residual_monitor())
        await walk.advance(4)
        assert now(walk) == (Colour.WHITE, Pattern.BLINKING)
        await walk.advance(2)
        await testing
        await walk.settle()
        assert now(walk) == AVAILABLE


async def test_the_page_gets_colour_pattern_and_reason(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        green = {"colour": "green", "pattern": "steady", "reason": "available"}
        assert (await api.get("/api/status"))["light"] == green
        assert (await api.evse())["light"] == green
        with walk.application.feed.subscribe(lambda _: True) as events:
            await walk.plug(phases=3)
            happenings = [await events.get() for _ in range(len(events))]
        blue = {"colour": "light-blue", "pattern": "steady", "reason": "plugged-in"}
        assert [event.data for event in happenings if event.event_type == "light"] == [blue]


async def test_the_led_shows_what_the_page_shows_and_is_white_when_the_program_has_ended(tmp_path: Path) -> None:
    path = create_led_folder(tmp_path / "rgb:status")
    async with walking(tmp_path, light={"type": "sysfs", "paths": [str(path)]}) as walk:
        await walk.accepted()
        await walk.until(lambda: written(path, "multi_intensity") == "0 255 0")
        await walk.plug(phases=3)
        await walk.until(lambda: written(path, "multi_intensity") == "0 160 255")
    assert written(path, "multi_intensity") == "255 255 255"
    assert written(path, "trigger") == "none"


async def test_each_evse_has_its_lamp_where_there_are_as_many(tmp_path: Path) -> None:
    paths = [create_led_folder(tmp_path / f"rgb:status-{number}") for number in (1, 2)]
    light = {"type": "sysfs", "paths": [str(path) for path in paths]}
    async with walking(tmp_path, light=light, evse=[{"id": 1}, {"id": 2}]) as walk:
        await walk.accepted()
        await walk.plug(phases=3)
        await walk.until(lambda: written(paths[0], "multi_intensity") == "0 160 255")
        await walk.until(lambda: written(paths[1], "multi_intensity") == "0 255 0")
        assert reason(walk) is LightReason.PLUGGED_IN, "what comes first in the guide"


async def test_a_lamp_that_fails_stops_no_charge_and_shines_once_it_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "rgb:status"
    async with walking(tmp_path, light={"type": "sysfs", "paths": [str(path)]}) as walk:
        await walk.accepted()
        await walk.plug(phases=3)
        await walk.present()
        await walk.charging()
        create_led_folder(path)
        await walk.until(lambda: written(path, "multi_intensity") == "0 0 255")


async def test_a_lamp_that_fails_while_the_station_is_idle_is_tried_again_each_second(tmp_path: Path) -> None:
    path = tmp_path / "rgb:status"
    async with walking(tmp_path, light={"type": "sysfs", "paths": [str(path)]}) as walk:
        await walk.accepted()
        await walk.advance(30)
        create_led_folder(path)
        await walk.until(lambda: written(path, "multi_intensity") == "0 255 0", within_s=3)


# Until the owner has activated it

REQUIRED = {"identity": "BORNE-TEST", "serial_number": "0001", "commissioning": "required"}


async def test_until_it_is_activated_the_light_blinks_yellow_and_nobody_charges(tmp_path: Path) -> None:
    async with walking(tmp_path, station=REQUIRED) as walk, visiting(walk) as api:
        await walk.accepted()
        assert (now(walk), reason(walk)) == ((Colour.YELLOW, Pattern.BLINKING), LightReason.NOT_ACTIVATED)
        assert (await api.get("/api/commissioning"))["stage"] == "not-commissioned"
        await walk.plug(phases=3)
        assert await walk.present() is TokenOutcome.REJECTED
        assert (await request_start(walk))["status"] == "Rejected"
        await walk.advance(10)
        assert walk.evse.authorized_token is None
        assert sum(walk.board.currents_a) == 0
        await api.post("/api/activation", status=409)
        await walk.unplug()
        assert (await commission(api))["stage"] == "commissioned"
        await walk.plug(phases=3)
        assert await walk.present() is TokenOutcome.REJECTED
        assert (await api.post("/api/activation"))["stage"] == "activated"
        assert await walk.present() is TokenOutcome.AUTHORIZED
        await walk.charging()


async def test_plugging_in_is_not_enough_before_activation_where_it_is_later(tmp_path: Path) -> None:
    rows = variables(AuthCtrlr__Enabled=False)
    async with walking(tmp_path, station=REQUIRED, variable=rows) as walk, visiting(walk) as api:
        await walk.accepted()
        await walk.plug(phases=3)
        await walk.advance(10)
        assert walk.evse.authorized_token is None
        await walk.unplug()
        await commission(api)
        await api.post("/api/activation")
        await walk.plug(phases=3)
        await walk.charging()


async def test_the_installer_may_try_the_station_without_a_card_before_it_is_activated(tmp_path: Path) -> None:
    async with walking(tmp_path, station=REQUIRED) as walk, visiting(walk) as api:
        await walk.accepted()
        await walk.plug(phases=3)
        await api.post("/api/commissioning/test-session", {"evse": 1})
        await walk.charging()
        await walk.settle()
        assert now(walk) == (Colour.BLUE, Pattern.BLINKING)
        await api.post("/api/commissioning/test-session", {"evse": 1}, status=409)
        await api.delete("/api/commissioning/test-session")
        await walk.advance(10)
        assert sum(walk.board.currents_a) == 0
        assert (await api.client.delete("/api/commissioning/test-session")).status_code == 409
        await walk.unplug()
        assert reason(walk) is LightReason.NOT_ACTIVATED


async def test_a_test_session_ends_when_stopped_although_the_station_was_activated_meanwhile(tmp_path: Path) -> None:
    async with walking(tmp_path, station=REQUIRED) as walk, visiting(walk) as api:
        await walk.accepted()
        await commission(api)
        await walk.plug(phases=3)
        await api.post("/api/commissioning/test-session", {"evse": 1})
        await walk.charging()
        await api.post("/api/activation")
        assert sum(walk.board.currents_a) > 0
        await api.delete("/api/commissioning/test-session")
        await walk.advance(10)
        assert sum(walk.board.currents_a) == 0
        await walk.unplug()
        await walk.plug(phases=3)
        await walk.present()
        await walk.charging()
        assert (await api.client.delete("/api/commissioning/test-session")).status_code == 409


async def test_a_test_session_that_is_forgotten_ends_by_itself(tmp_path: Path) -> None:
    async with walking(tmp_path, station=REQUIRED) as walk, visiting(walk) as api:
        await walk.accepted()
        await walk.plug(phases=3)
        await api.post("/api/commissioning/test-session")
        await walk.charging()
        await walk.advance(LONGEST_S + 10)
        assert walk.evse.authorized_token is None
        assert sum(walk.board.currents_a) == 0


async def test_an_activated_station_has_no_test_sessions(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        assert (await api.get("/api/commissioning")) == {
            "stage": "activated",
            "required": False,
            "commissioned_at": None,
            "activated_at": None,
        }
        await api.post("/api/commissioning/test-session", status=409)


async def test_what_was_commissioned_and_activated_stays_so_across_a_power_cut_until_the_factory_state_is_wanted(
    tmp_path: Path,
) -> None:
    async with walking(tmp_path, station=REQUIRED) as walk:
        await walk.accepted()
        await walk.parts.activation.commission()
        await walk.application.cut_power()
        await walk.application.restore_power()
        assert walk.parts.activation.stage is ActivationStage.COMMISSIONED
        assert await walk.parts.activation.activate()
        await walk.application.cut_power()
        await walk.application.restore_power()
        assert walk.parts.activation.stage is ActivationStage.ACTIVATED
        await walk.parts.activation.reset()
        await walk.application.cut_power()
        await walk.application.restore_power()
        assert walk.parts.activation.stage is ActivationStage.NOT_COMMISSIONED


async def test_before_activation_nothing_begins_a_transaction_and_the_csms_sees_unavailable(tmp_path: Path) -> None:
    """Whatever the start points are: the station is not in service yet. Afterwards the first card begins one."""
    rows = variables(TxCtrlr__TxStartPoint="ParkingBayOccupancy,EVConnected")
    async with walking(tmp_path, variable=rows, station=REQUIRED) as walk, visiting(walk) as api:
        await walk.accepted()
        await walk.plug(phases=3)
        walk.board.occupy_bay(True)
        await walk.settle()
        await walk.advance(60)
        assert await walk.present() is TokenOutcome.REJECTED
        assert walk.csms.received("TransactionEvent") == []
        assert walk.csms.received("StatusNotification")[-1]["connectorStatus"] == "Unavailable"
        assert walk.evse.state.transaction is None
        await commission(api)
        await api.post("/api/activation")
        await walk.until(lambda: walk.csms.received("StatusNotification")[-1]["connectorStatus"] == "Occupied")
        assert await walk.present() is TokenOutcome.AUTHORIZED
        await walk.charging()
        assert walk.csms.received("TransactionEvent")[0]["eventType"] == "Started"
