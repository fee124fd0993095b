"""What the displays of a whole station show: API, character display, file, MQTT, device model."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from ocpp_handlers.variables.variable import Component, Variable
from station.core.model import Fault
from station.display.display_message import MAIN_DISPLAY, DisplayAddress
from station.display.display_screens import DisplayScreens
from tests.csms import Csms
from tests.i2c_double import Hd44780, wire_bus
from tests.patience import PATIENCE_S
from tests.walk import CARD, OTHER_CARD, Walk, walking
from tests.walks.test_access import away
from tests.walks.visit import visiting

READER = [{"type": "simulated"}]
PRICES = {"energy_per_kwh": 0.3}


def texts(walk: Walk, display: DisplayAddress = MAIN_DISPLAY) -> list[str]:
    """The lines of a display."""
    return [line.text for line in walk.parts.parts.get(DisplayScreens).current(display).lines]


async def shows(walk: Walk, *beginnings: str, within_s: float = 30.0) -> None:
    """Wait until the display has lines that begin so."""

    def all_displayed() -> bool:
        assert [
            beginning for beginning in beginnings if not any(text.startswith(beginning) for text in texts(walk))
        ] == [], texts(walk)
        return True

    await walk.until(all_displayed, within_s=within_s)


def accept_in_german(csms: Csms) -> None:
    """The CSMS accepts every card, of a driver who prefers German, and states the price."""
    message = {"format": "UTF8", "language": "de", "content": "Ihr Preis: 29 ct/kWh"}
    info = {"status": "Accepted", "language1": "de-AT", "language2": "fr", "personalMessage": message}
    csms.answers["Authorize"] = lambda _: {"idTokenInfo": info}


async def test_a_driver_is_led_from_the_price_to_the_total_in_their_language(tmp_path: Path) -> None:
    async with walking(tmp_path, reader=READER, prices=PRICES) as walk:
        await walk.accepted()
        await shows(walk, "Ready to charge", "Present your card.", "Price €0.30/kWh")
        accept_in_german(walk.csms)
        await walk.present()
        await shows(walk, "Bitte einstecken", "Ihr Preis: 29 ct/kWh")
        await walk.plug(phases=3)
        await walk.charging()
        await shows(walk, "Lädt 2", "Energie 0,", "Dauer 0:", "Kosten", within_s=120)
        await walk.present()
        await shows(walk, "Ladung beendet", "Energie 0,", within_s=120)
        await walk.unplug()
        await shows(walk, "Ready to charge", "Price €0.30/kWh", within_s=120)
        assert not any("29 ct" in text for text in texts(walk)), "the price of a driver who has left"


async def test_nobody_sees_what_was_meant_for_a_driver_who_has_left(tmp_path: Path) -> None:
    """Neither passers-by nor the next driver."""
    async with walking(tmp_path, reader=READER, prices=PRICES) as walk:
        await walk.accepted()
        accept_in_german(walk.csms)
        await walk.present()
        await walk.plug(phases=3)
        await walk.charging()
        await shows(walk, "Ihr Preis: 29 ct/kWh")
        await walk.present()
        await shows(walk, "Ladung beendet", "Gesamt ", within_s=120)
        await walk.unplug()
        await walk.settle()
        assert texts(walk) == ["Ready to charge", "Present your card.", "Price €0.30/kWh"]
        await walk.plug(phases=3)
        await shows(walk, "Plugged in", "Price €0.30/kWh")
        assert not any("Ihr Preis" in text or "Total" in text for text in texts(walk)), texts(walk)


async def test_a_refused_card_is_answered_at_once_and_for_some_seconds(tmp_path: Path) -> None:
    async with walking(tmp_path, reader=READER) as walk:
        await walk.accepted()
        walk.csms.answers["Authorize"] = lambda _: {"idTokenInfo": {"status": "Invalid"}}
        await walk.present(OTHER_CARD)
        await walk.settle()
        assert texts(walk) == ["Card not accepted", "Please try another card."]
        await walk.advance(4)
        await walk.settle()
        assert texts(walk)[0] == "Ready to charge"


async def test_the_api_says_what_is_shown_and_why_and_the_feed_when_it_changes(tmp_path: Path) -> None:
    async with walking(tmp_path, reader=READER, evse=[{"id": 1}, {"id": 2}], display={"evses": [2]}) as walk:
        await walk.accepted()
        await walk.advance(2)
        async with visiting(walk) as api:
            station, second = await api.get("/api/display")
            assert [(screen["evse"], screen["path"]) for screen in (station, second)] == [
                (None, "/display"),
                (2, "/display/2"),
            ]
            assert [line["text"] for line in second["screen"]["lines"]] == ["Ready to charge", "Present your card."]
            with walk.application.feed.subscribe(lambda kind: kind == "display") as events:
                await set_message(
                    walk, 7, "The car park closes at 22:00.", display={"name": "display", "evse": {"id": 2}}
                )
                event = await events.get()
                assert event.data == {"evse": 2}
            station, second = await api.get("/api/display")
            (line,) = second["screen"]["lines"]
            assert (line["reason"], line["message_id"]) == ("in-front", 7)
            assert station["screen"]["lines"][1]["text"] == "Ready to charge", "the other display is not concerned"


async def set_message(walk: Walk, number: int, text: str, **more: Any) -> None:
    """Show a message of the CSMS in front."""
    message = {"id": number, "priority": "InFront", "message": {"format": "UTF8", "content": text}, **more}
    assert (await walk.csms.call("SetDisplayMessage", {"message": message}))["status"] == "Accepted"
    await walk.settle()


async def test_what_is_meant_for_one_driver_is_read_at_the_station_only(tmp_path: Path) -> None:
    async with walking(tmp_path, reader=READER) as walk:
        await walk.accepted()
        accept_in_german(walk.csms)
        await walk.present()
        await shows(walk, "Ihr Preis")
        async with visiting(walk) as here, away(walk) as elsewhere:
            at_the_station, by_a_visitor = await here.get("/api/display"), (await elsewhere.get("/api/display")).json()
        assert "Ihr Preis: 29 ct/kWh" in str(at_the_station)
        assert "Ihr Preis" not in str(by_a_visitor)
        assert "Bitte einstecken" in str(by_a_visitor)
        assert CARD.value[:6] not in str([at_the_station, by_a_visitor])


async def test_a_character_display_and_a_file_show_it_and_a_broken_one_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bus, device = wire_bus(monkeypatch, tmp_path)
    file = tmp_path / "display.json"
    outputs = [{"type": "lcd", "device": str(device)}, {"type": "file", "path": str(file)}]
    async with walking(tmp_path, reader=READER, display={"output": outputs}) as walk:
        await walk.accepted()
        await walk.until(lambda: [line["text"] for line in json.loads(file.read_text())["lines"]] == texts(walk))
        problem = walk.device_model.find(Component("Display"), "Problem")
        assert isinstance(problem, Variable)
        assert problem.read() == "true", "nobody answers on the bus"
        chip = bus.devices[0x27] = Hd44780()
        await walk.until(lambda: chip.text() == ["Ready to charge", "Present your card.", "", ""])
        await walk.until(lambda: problem.read() == "false")
        await walk.plug()
        await walk.until(lambda: chip.text()[0] == "Plugged in")
    assert chip.text() == ["", "", "", ""]
    assert not chip.lit
    assert not file.exists()


async def test_a_character_display_that_was_replaced_shows_the_screen_again_although_nothing_has_changed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bus, device = wire_bus(monkeypatch, tmp_path)
    old = bus.devices[0x27] = Hd44780()
    ready = ["Ready to charge", "Present your card.", "", ""]
    async with walking(tmp_path, reader=READER, display={"output": [{"type": "lcd", "device": str(device)}]}) as walk:
        await walk.accepted()
        problem = walk.device_model.find(Component("Display"), "Problem")
        assert isinstance(problem, Variable)
        await walk.until(lambda: old.text() == ready)
        await walk.advance(5)  # the whole screen is written
        assert (old.text(), problem.read()) == (ready, "false")
        del bus.devices[0x27]
        await walk.until(lambda: problem.read() == "true", within_s=120)
        chip = bus.devices[0x27] = Hd44780()
        await walk.until(lambda: chip.text() == ready, within_s=120)


async def test_a_bus_that_hangs_delays_neither_other_displays_nor_the_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bus, device = wire_bus(monkeypatch, tmp_path)
    bus.devices[0x27] = Hd44780()
    bus.runs.clear()
    try:
        async with walking(
            tmp_path, reader=READER, display={"output": [{"type": "lcd", "device": str(device)}]}
        ) as walk:
            await walk.accepted()
            await shows(walk, "Ready to charge")
            await walk.plug()
            await shows(walk, "Plugged in")
            began_s = time.monotonic()
        assert time.monotonic() - began_s < PATIENCE_S
    finally:
        bus.runs.set()


async def test_the_device_model_has_each_display_with_what_it_shows_O01_FR_21(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, device = wire_bus(monkeypatch, tmp_path)
    outputs = [{"type": "lcd", "device": str(device), "columns": 16, "rows": 2}]
    async with walking(tmp_path, reader=READER, display={"output": outputs}) as walk:
        await walk.accepted()
        await walk.advance(2)
        requests = [
            ("Available", None),
            ("DataText", "Visible"),
            ("State", None),
            ("Count", "HeightInChars"),
            ("Count", "WidthInChars"),
        ]
        data = [
            {"component": {"name": "Display"}, "variable": {"name": name, **({"instance": of} if of else {})}}
            for name, of in requests
        ]
        answer = await walk.csms.call("GetVariables", {"getVariableData": data})
        assert [result["attributeValue"] for result in answer["getVariableResult"]] == [
            "true",
            "Ready to charge\nPresent your card.",
            "state",
            "2",
            "16",
        ]


async def test_faults_an_evse_out_of_service_and_a_lost_link_are_reported(tmp_path: Path) -> None:
    async with walking(tmp_path, reader=READER) as walk:
        await walk.accepted()
        walk.board.raise_fault(Fault.GROUND_FAULT)
        await shows(walk, "Out of order", "Please do not use this charging point.")
        walk.board.clear_fault(Fault.GROUND_FAULT)
        await shows(walk, "Ready to charge")
        order = {"operationalStatus": "Inoperative", "evse": {"id": 1}}
        assert (await walk.csms.call("ChangeAvailability", order))["status"] == "Accepted"
        await shows(walk, "Out of service", "Please use another charging point.")
        assert (await walk.csms.call("ChangeAvailability", {**order, "operationalStatus": "Operative"}))[
            "status"
        ] == "Accepted"
        await shows(walk, "Ready to charge")
        walk.csms.drop()
        await shows(walk, "Ready to charge", "Offline")


async def test_a_text_of_the_csms_for_all_drivers_replaces_the_owners_prices_at_once(tmp_path: Path) -> None:
    """And without tariffs there is no price at all."""
    async with walking(tmp_path, reader=READER, prices=PRICES) as walk:
        await walk.accepted()
        await shows(walk, "Price €0.30/kWh")
        await walk.set_variable("TariffCostCtrlr", "TariffFallbackMessage", "35 ct/kWh")
        await walk.settle()
        assert texts(walk)[-1] == "35 ct/kWh"
        await walk.set_variable("TariffCostCtrlr", "Enabled", "false", "Tariff")
        await walk.settle()
        assert texts(walk) == ["Ready to charge", "Present your card."]


async def test_the_language_of_a_driver_started_from_afar_comes_with_the_first_answer(tmp_path: Path) -> None:
    """By the response to a transaction event: nobody asked for an authorization."""
    async with walking(tmp_path, reader=READER) as walk:
        await walk.accepted()
        info = {"status": "Accepted", "language1": "nl"}
        walk.csms.answers["TransactionEvent"] = lambda event: {"idTokenInfo": info} if "idToken" in event else {}
        token = {"idToken": "app", "type": "Central"}
        start = {"idToken": token, "evseId": 1, "remoteStartId": 1}
        assert (await walk.csms.call("RequestStartTransaction", start))["status"] == "Accepted"
        await walk.plug(phases=3)
        await shows(walk, "Laadt", "Energie", within_s=120)


async def test_while_no_charge_may_start_neither_display_nor_page_asks_for_another_card(tmp_path: Path) -> None:
    async with walking(tmp_path, reader=READER) as walk, visiting(walk) as api:
        await walk.accepted()
        walk.csms.answers["Authorize"] = lambda _: {"idTokenInfo": {"status": "Invalid"}}
        await walk.plug(phases=3)
        await walk.present()
        await shows(walk, "Please present another card")
        assert (await api.get("/api/charges"))[0]["awaits_token"]
        walk.parts.station.restart.schedule_restart()
        await walk.until(lambda: not any(text.startswith("Please present another card") for text in texts(walk)))
        assert walk.evse.state.transaction is not None, "the restart waits for the vehicle"
        assert not (await api.get("/api/charges"))[0]["awaits_token"]
