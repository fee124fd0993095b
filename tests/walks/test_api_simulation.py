"""The simulated hardware over real HTTP: vehicle, faults, meter, network, clock and power."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from station.charging.sampling_settings import SamplingSettings
from tests.csms import running_csms
from tests.patience import PATIENCE_S
from tests.walk import configuration, powered, walking
from tests.walks.steps import event, statuses, variables
from tests.walks.visit import TOKEN, visiting


async def test_the_vehicle_does_what_is_requested(tmp_path: Path) -> None:
    """Late plugging, suspend, resume, a smaller charger, a broken diode, and leaving by itself."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        await api.post("/api/token", TOKEN)
        await api.post("/api/sim/evses/1/plug", {"ev": {"delay_s": 10}})
        assert (await api.evse())["plugged"] is False
        await api.advance(15)
        assert (await api.evse())["charging_state"] == "Charging"
        await api.post("/api/sim/evses/1/vehicle", {"max_current_a": 8})
        await api.advance(2)
        assert (await api.evse())["meter"]["currents_a"] == [8.0, 8.0, 8.0]
        await api.post("/api/sim/evses/1/vehicle", {"state": "suspend"})
        await api.advance(2)
        assert (await api.evse())["charging_state"] == "SuspendedEV"
        await api.post("/api/sim/evses/1/vehicle", {"state": "resume"})
        await api.advance(5)
        assert (await api.evse())["charging_state"] == "Charging"
        await api.post("/api/sim/evses/1/vehicle", {"diode_fail": True})
        await api.advance(2)
        assert (await api.evse())["faults"] == ["diode-fault"]
        assert (await api.evse())["contactor_closed"] is False


async def test_a_vehicle_may_leave_by_itself(tmp_path: Path) -> None:
    """auto_unplug_s, when nothing holds the cable."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        await api.post("/api/sim/evses/1/plug", {"ev": {"auto_unplug_s": 30}})
        await api.advance(29)
        assert (await api.evse())["plugged"] is True
        await api.advance(2)
        assert (await api.evse())["plugged"] is False


async def test_the_parking_bay_sensor_starts_a_transaction(tmp_path: Path) -> None:
    """With ParkingBayOccupancy as start point."""
    rows = variables(TxCtrlr__TxStartPoint="ParkingBayOccupancy", TxCtrlr__TxStopPoint="ParkingBayOccupancy")
    async with walking(tmp_path, variable=rows) as walk, visiting(walk) as api:
        await walk.accepted()
        await api.post("/api/sim/evses/1/parking-bay", {"occupied": True})
        await event(walk, "Started", "EVDetected")
        await api.post("/api/sim/evses/1/parking-bay", {"occupied": False})
        await event(walk, "Ended", "EVDeparted")


@pytest.mark.parametrize("code", ["ground-fault", "over-temperature", "meter-failure"])
async def test_faults_come_and_go(tmp_path: Path, code: str) -> None:
    """POST raises, DELETE clears; the CSMS learns both."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        await api.post("/api/sim/faults", {"code": code})
        await api.advance(15)
        assert (await api.evse())["faults"] == [code]
        await walk.until(lambda: statuses(walk)[-1] == "Faulted")
        answer = await api.client.request("DELETE", "/api/sim/faults", json={"code": code})
        assert answer.status_code == 202
        await api.advance(3)
        assert (await api.evse())["faults"] == []
        await walk.until(lambda: statuses(walk)[-1] == "Available")


async def test_the_meter_shows_the_values_that_are_set_and_the_true_ones_again(tmp_path: Path) -> None:
    """Overrides are shown by status; null is the truth."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        await api.post("/api/sim/meter", {"power_w": 1234, "voltage_v": 225})
        await api.advance(2)
        meter = (await api.evse())["meter"]
        assert meter["power_w"] == 1234
        assert meter["voltages_v"] == [225, 225, 225]
        await api.post("/api/sim/meter", {"failure": True})
        await api.advance(2)
        assert (await api.evse())["meter_error"]
        await api.post("/api/sim/meter", {"failure": False})
        await api.advance(2)
        evse = await api.evse()
        assert evse["meter_error"] is None
        assert evse["meter"]["power_w"] == 0


async def test_the_network_is_cut_and_mended(tmp_path: Path) -> None:
    """While it is down nobody dials, however long it takes."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        await api.post("/api/sim/csms-link", {"state": "down"})
        await walk.until(lambda: not walk.csms.connected)
        await api.advance(3600)
        assert walk.csms.connections == 1
        assert (await api.get("/api/status"))["csms"]["connected"] is False
        await api.post("/api/sim/csms-link", {"state": "up"})
        await walk.until(lambda: walk.csms.connected)
        assert walk.csms.connections == 2


async def test_without_a_csms_the_station_charges_and_says_so(tmp_path: Path) -> None:
    """A station that stands alone."""
    config = configuration(tmp_path, None, variable=variables(AuthCtrlr__OfflineTxForUnknownIdEnabled=True))
    async with running_csms() as csms, powered(config, csms) as walk, visiting(walk) as api:
        status = await api.get("/api/status")
        assert (status["csms"], status["boot_status"]) == (None, None)
        assert "CSMS" in (await api.post("/api/sim/csms-link", {"state": "up"}, status=409))["detail"]
        await api.post("/api/sim/evses/1/plug", {})
        assert (await api.post("/api/token", TOKEN))["outcome"] == "authorized"
        await api.advance(5)
        assert (await api.evse())["charging_state"] == "Charging"


async def test_a_variable_is_set_past_its_mutability(tmp_path: Path) -> None:
    """PUT: in force at once; unknown ones 404, bad values 422."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        row = {"component": "SampledDataCtrlr", "variable": "TxUpdatedInterval", "value": "17"}
        assert (await api.client.put("/api/sim/variables", json=row)).status_code == 202
        assert walk.parts.settings(SamplingSettings).sampled_tx_updated_interval_s == 17
        assert (await api.client.put("/api/sim/variables", json={**row, "value": "often"})).status_code == 422
        assert (await api.client.put("/api/sim/variables", json={**row, "variable": "Nothing"})).status_code == 404
        assert walk.parts.settings(SamplingSettings).sampled_tx_updated_interval_s == 17


async def test_the_clock_advances_as_requested_and_may_run_by_itself(tmp_path: Path) -> None:
    """advance_s moves it exactly, a rate lets it flow, 0 stops it."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        before = walk.application.clock.monotonic()
        clock = await api.post("/api/sim/clock", {"advance_s": 3600}, status=200)
        assert clock["monotonic_s"] == before + 3600
        assert (await api.post("/api/sim/clock", {"rate": 500}, status=200))["rate"] == 500
        async with asyncio.timeout(PATIENCE_S):
            await walk.application.clock.sleep(60)  # virtual: nobody moves this clock but its rate
        stopped = await api.post("/api/sim/clock", {"rate": 0}, status=200)
        assert (await api.get("/api/status"))["clock"]["monotonic_s"] == stopped["monotonic_s"]


async def test_a_power_cut_says_no_goodbye_and_the_next_boot_ends_the_transaction(tmp_path: Path) -> None:
    """The link ends without a close frame; afterwards BootNotification, and Ended with PowerLoss."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        await api.post("/api/sim/evses/1/plug", {})
        await api.post("/api/token", TOKEN)
        await api.advance(30)
        charging = await api.evse()
        assert charging["charging_state"] == "Charging"
        count_before = len(walk.events())
        await api.post("/api/sim/power", {"action": "loss"})
        await walk.until(lambda: not walk.csms.connected)
        assert len(walk.events()) == count_before
        dark = await api.get("/api/status")
        assert dark["powered"] is False
        assert "evses" not in dark
        assert walk.board.outputs.contactor is False
        assert "power" in (await api.post("/api/token", TOKEN, status=409))["detail"]
        await api.advance(600)
        await api.post("/api/sim/power", {"action": "restore"})
        await walk.until(lambda: len(walk.csms.received("BootNotification")) == 2)
        ended = await event(walk, "Ended", "AbnormalCondition")
        assert ended["transactionInfo"]["stoppedReason"] == "PowerLoss"
        assert ended["transactionInfo"]["transactionId"] == charging["transaction_id"]
        assert ended["meterValue"][-1]["sampledValue"][0]["context"] == "Transaction.End"
        numbers = [
            sent_event["seqNo"]
            for sent_event in walk.events()
            if sent_event["transactionInfo"]["transactionId"] == charging["transaction_id"]
        ]
        assert numbers == list(range(len(numbers)))
        assert (await api.get("/api/status"))["powered"] is True


async def test_a_power_cycle_boots_again_and_again(tmp_path: Path) -> None:
    """Loss and restore in one; each time the station is accepted again and charges."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        for boots in (2, 3, 4):
            await api.post("/api/sim/power", {"action": "cycle"})
            await walk.until(lambda boots=boots: len(walk.csms.received("BootNotification")) == boots)
            await walk.until(lambda: walk.csms.connected)
        await api.post("/api/sim/evses/1/plug", {})
        await walk.until(lambda: statuses(walk)[-1] == "Occupied")
        await api.post("/api/token", TOKEN)
        await walk.charging()


async def test_to_cut_what_has_no_power_and_to_restore_what_has_is_harmless(tmp_path: Path) -> None:
    """Both answer at once."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        await api.post("/api/sim/power", {"action": "restore"})
        await api.post("/api/sim/power", {"action": "loss"})
        await api.post("/api/sim/power", {"action": "loss"})
        await api.post("/api/sim/power", {"action": "restore"})
        assert (await api.get("/api/status"))["powered"] is True


async def test_the_meter_is_noisy_when_configured_and_its_register_is_not(tmp_path: Path) -> None:
    """noise: momentary values differ from reading to reading, within bounds."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        await api.post("/api/sim/meter", {"current_a": 10, "noise": 0.05})
        currents_a: list[float] = []
        for _ in range(5):
            await api.advance(1)
            meter = (await api.evse())["meter"]
            currents_a.append(meter["currents_a"][0])
            assert meter["energy_import_wh"] == 0
        assert len(set(currents_a)) == 5
        assert all(9.5 <= current_a <= 10.5 for current_a in currents_a)
        await api.post("/api/sim/meter", {})
        await api.advance(1)
        assert (await api.evse())["meter"]["currents_a"] == [0, 0, 0]


async def test_the_selector_is_turned_and_stays_so_without_power(tmp_path: Path) -> None:
    """A position is a limit at once; reserved ones and one that cannot be read are 8 A."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        await api.post("/api/sim/evses/1/plug", {})
        await api.post("/api/token", TOKEN)
        await api.advance(5)
        for position, current_a in (("16", 16), ("X", 8), (None, 8), ("25", 25)):
            await api.post("/api/sim/selector", {"position": position})
            evse = await api.evse()
            assert evse["offered_a"] == current_a
            assert evse["limit"]["source"] == "selector"
        await api.post("/api/sim/power", {"action": "loss"})
        await api.post("/api/sim/selector", {"position": "12"})
        await api.post("/api/sim/power", {"action": "restore"})
        await api.advance(2)
        limits = {limit["source"]: limit["current_a"] for limit in (await api.evse())["limits"]}
        assert limits["selector"] == 12


async def test_the_temperature_inside_is_shown(tmp_path: Path) -> None:
    """Of one EVSE or of all; null: no sensor."""
    async with walking(tmp_path, evse=[{"id": 1}, {"id": 2}]) as walk, visiting(walk) as api:
        await walk.accepted()
        await api.post("/api/sim/temperature", {"celsius": 41.5})
        assert [(await api.evse(number))["temperature_c"] for number in (1, 2)] == [41.5, 41.5]
        await api.post("/api/sim/temperature", {"evse": 2, "celsius": None})
        assert [(await api.evse(number))["temperature_c"] for number in (1, 2)] == [41.5, None]


async def test_a_lock_that_sticks_moves_when_it_is_mended(tmp_path: Path) -> None:
    """failure: the cable stays locked after the charge; without: it comes free."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        await api.post("/api/sim/evses/1/plug", {})
        await api.post("/api/token", TOKEN)
        await api.advance(5)
        assert (await api.evse())["locked"] is True
        await api.post("/api/sim/lock", {"failure": True})
        await api.post("/api/evses/1/stop")
        await api.advance(10)
        evse = await api.evse()
        assert (evse["locked"], evse["faults"], evse["transaction_id"]) == (True, ["lock-failure"], None)
        assert (await api.post("/api/unlock"))["locked"] is True
        await api.post("/api/sim/lock", {"failure": False})
        evse = await api.evse()
        assert (evse["locked"], evse["faults"]) == (False, [])


async def test_who_opens_the_station_stops_it_until_somebody_answers_for_it(tmp_path: Path) -> None:
    """The alarm is a fault of every EVSE and a security event, outlives a power cut, and is not ended by the flap."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        await api.post("/api/sim/evses/1/plug", {})
        await api.post("/api/token", TOKEN)
        await api.advance(5)
        await api.post("/api/sim/tamper", {"open": True})
        await api.post("/api/sim/tamper", {"open": True})
        await api.advance(10)
        assert (await api.get("/api/status"))["tamper"] is True
        evse = await api.evse()
        assert (evse["faults"], evse["contactor_closed"]) == (["tamper"], False)
        events = [
            entry for entry in await walk.parts.security_events.entries() if entry.type == "TamperDetectionActivated"
        ]
        assert len(events) == 1
        await api.post("/api/sim/power", {"action": "cycle"})
        answer = await api.client.delete("/api/tamper")
        assert (answer.status_code, answer.json()["detail"]) == (409, "the flap is still open")
        await api.post("/api/sim/tamper", {"open": False})
        assert (await api.evse())["faults"] == ["tamper"]
        await walk.until(lambda: statuses(walk)[-1] == "Faulted")
        answer = await api.client.delete("/api/tamper", params={"wait": "settled"})
        assert answer.status_code == 202
        assert (await api.get("/api/status"))["tamper"] is False
        assert (await api.evse())["faults"] == []
        await api.post("/api/sim/power", {"action": "cycle"})
        assert (await api.evse())["faults"] == []


async def test_an_overridden_variable_is_given_back(tmp_path: Path) -> None:
    """DELETE ends what PUT did, for a setting and for what only tells."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        for name, before, value in (("TxUpdatedInterval", "60", "17"), ("Available", "true", "false")):
            row = {"component": "SampledDataCtrlr", "variable": name}

            async def value_of(row: dict[str, str] = row) -> str:
                rows = await api.get("/api/variables")
                (found,) = (variable for variable in rows if all(variable[key] == row[key] for key in row))
                return str(found["value"])

            assert await value_of() == before
            assert (await api.client.put("/api/sim/variables", json={**row, "value": value})).status_code == 202
            assert await value_of() == value
            answer = await api.client.request("DELETE", "/api/sim/variables", json=row)
            assert answer.status_code == 202
            assert await value_of() == before
        unknown = {"component": "SampledDataCtrlr", "variable": "Nothing"}
        assert (await api.client.request("DELETE", "/api/sim/variables", json=unknown)).status_code == 404


async def test_every_attribute_that_a_variable_has_can_be_overridden_and_no_other(tmp_path: Path) -> None:
    row = {"component": "SampledDataCtrlr", "variable": "TxUpdatedInterval", "attribute": "MaxSet", "value": "9"}
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        answer = await api.client.put("/api/sim/variables", json=row)
        assert (answer.status_code, answer.json()["detail"]) == (404, "NotSupportedAttributeType")
        answer = await api.client.put("/api/sim/variables", json={**row, "attribute": "Wrong"})
        assert answer.status_code == 422
