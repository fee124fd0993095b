"""The local API end to end, over real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest

from station.web.api import build
from tests.csms import running_csms
from tests.walk import CARD, Walk, configuration, powered, walking
from tests.walks.steps import event, statuses, variables

TOKEN = {"id_token": CARD.value, "type": CARD.type}


class Api:
    """A visitor of the local API."""

    def __init__(self, walk: Walk, client: httpx.AsyncClient) -> None:
        self.walk = walk
        self.client = client

    async def get(self, path: str) -> Any:
        """What a GET gives; it must succeed."""
        answer = await self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def evse(self, evse_id: int = 1) -> dict[str, Any]:
        """An EVSE as /api/status shows it."""
        return (await self.get("/api/status"))["evses"][evse_id - 1]

    async def post(self, path: str, body: object = None, *, status: int = 202, settled: bool = True) -> Any:
        """What a POST answers; with the status that is expected."""
        query = {"wait": "settled"} if settled and "/clock" not in path and "/power" not in path else {}
        answer = await self.client.post(path, json=body, params=query)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def advance(self, seconds: float) -> None:
        """Let time pass, as a test bench does it."""
        await self.post("/api/sim/clock", {"advance_s": seconds}, status=200)


@contextlib.asynccontextmanager
async def visiting(walk: Walk) -> AsyncGenerator[Api]:
    """A client of the walk's own HTTP port."""
    address = f"http://127.0.0.1:{walk.application.web.port}"
    async with httpx.AsyncClient(base_url=address, timeout=20, trust_env=False) as client:
        yield Api(walk, client)


async def test_a_whole_charge_by_http_alone(tmp_path: Path) -> None:
    """Plug, card, time, stop and unplug; /api/status follows each step."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        assert (await api.evse())["connector_status"] == "Available"
        await api.post("/api/sim/evses/1/plug", {"ev": {"max_current_a": 16, "phases": 3}})
        plugged = await api.evse()
        assert (plugged["connector_status"], plugged["plugged"], plugged["pilot"]) == ("Occupied", True, "B")
        answer = await api.post("/api/evses/1/token", TOKEN)
        assert answer == {"accepted": True, "outcome": "authorized"}
        await api.advance(5)
        charging = await api.evse()
        assert charging["charging_state"] == "Charging"
        assert charging["contactor_closed"] is True
        assert charging["locked"] is True
        assert charging["meter"]["currents_a"] == [16.0, 16.0, 16.0]
        assert CARD.value not in json.dumps(charging)  # shortened
        assert (await api.get("/api/sim/evses/1/circuit"))["currents_a"] == [16.0, 16.0, 16.0]
        await api.post("/api/evses/1/stop")
        await api.advance(10)
        assert (await api.evse())["transaction_id"] is None
        await api.post("/api/sim/evses/1/unplug")
        assert (await api.evse())["connector_status"] == "Available"
        ended = await event(walk, "Ended", "StopAuthorized")
        assert ended["transactionInfo"]["transactionId"] == charging["transaction_id"]


async def test_status_tells_who_the_station_is_and_why_it_offers_what_it_offers(tmp_path: Path) -> None:
    """Identity, link, clock, limits with their sources, queue."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        shown = await api.get("/api/status")
        assert shown["identity"] == "BORNE-TEST"
        assert shown["powered"] is True
        assert shown["boot_status"] == "Accepted"
        assert shown["csms"]["connected"] is True
        assert shown["csms"]["url"] == walk.csms.url
        assert shown["csms"]["security_profile"] == 0
        assert shown["clock"]["rate"] == 0
        assert shown["grid"] is None
        assert shown["queue"] == {"transaction_events": 0}
        (evse,) = shown["evses"]
        assert {limit["source"] for limit in evse["limits"]} >= {"selector", "hardware"}
        assert evse["limit"]["current_a"] == min(limit["current_a"] for limit in evse["limits"])
        assert evse["faults"] == []
        assert evse["offered_a"] == 0
        assert evse["transaction_id"] is None


async def test_transactions_cache_profiles_and_variables_can_be_read(tmp_path: Path) -> None:
    """The record of a transaction with its events, and what is stored."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        await walk.plug()
        await walk.present()
        await walk.charging()
        identity = (await api.evse())["transaction_id"]
        assert [one["transaction_id"] for one in await api.get("/api/transactions")] == [identity]
        record = await api.get(f"/api/transactions/{identity}")
        assert record["ongoing"] is True
        assert [one["seq_no"] for one in record["events"]] == list(range(len(record["events"])))
        assert record["events"][0]["event_type"] == "Started"
        assert (await api.client.get("/api/transactions/none")).status_code == 404
        (cached,) = await api.get("/api/auth/cache")
        assert cached["info"]["status"] == "Accepted"
        assert await api.get("/api/profiles") == []
        rows = await api.get("/api/variables")
        interval = [row for row in rows if (row["component"], row["variable"]) == ("OCPPCommCtrlr", "HeartbeatInterval")]
        assert [row["value"] for row in interval] == ["300"]
        assert (await api.client.get("/healthz")).text == "ok\n"
        assert "/api/sim/faults" in (await api.get("/api/openapi.json"))["paths"]


async def test_events_are_told_as_they_happen(tmp_path: Path) -> None:
    """Server-sent events: OCPP frames in both directions, and changes of EVSEs."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        async with api.client.stream("GET", "/api/events") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            lines = stream.aiter_lines()
            assert await anext(lines) == ": listening"
            while not walk.application.feed._listeners:  # pyright: ignore[reportPrivateUsage]  # nobody listens yet
                await asyncio.sleep(0)
            await walk.plug()
            found: list[tuple[str, dict[str, Any]]] = []
            kind = ""
            async with asyncio.timeout(10):
                async for line in lines:
                    if line.startswith("event: "):
                        kind = line.removeprefix("event: ")
                    elif line.startswith("data: "):
                        found.append((kind, json.loads(line.removeprefix("data: "))))
                    if complete(found):
                        break
        evses = [data for name, data in found if name == "evse"]
        assert evses[0]["id"] == 1
        assert evses[0]["connector_status"] == "Occupied"
        sent = [json.loads(data["text"]) for name, data in found if name == "frame" and data["direction"] == "out"]
        assert "TransactionEvent" in [frame[2] for frame in sent if frame[0] == 2]


def complete(found: list[tuple[str, dict[str, Any]]]) -> bool:
    """A change, a CALL that went out, and an answer that came in."""
    kinds = {name if name == "evse" else str(data["direction"]) for name, data in found}
    told = any("TransactionEvent" in str(data.get("text")) for _, data in found)
    return kinds == {"evse", "in", "out"} and told


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/evses/7/token", TOKEN),
        ("/api/evses/7/stop", None),
        ("/api/token", {**TOKEN, "evse": 7}),
        ("/api/sim/evses/7/plug", {}),
        ("/api/sim/evses/1/plug", {"connector": 2}),
        ("/api/sim/evses/7/unplug", {}),
        ("/api/sim/evses/7/vehicle", {"state": "suspend"}),
        ("/api/sim/evses/7/parking-bay", {"occupied": True}),
        ("/api/sim/faults", {"evse": 7, "code": "ground-fault"}),
        ("/api/sim/meter", {"evse": 7, "power_w": 1}),
    ],
)
async def test_what_does_not_exist_is_404(tmp_path: Path, path: str, body: object) -> None:
    """An unknown EVSE or connector."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        answer = await api.post(path, body, status=404)
        assert "exist" in answer["detail"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/api/evses/1/token", {"type": "ISO14443"}, "id_token"),
        ("/api/evses/1/token", {"id_token": "", "type": "ISO14443"}, "id_token"),
        ("/api/evses/1/token", {"id_token": "1", "type": "Telepathy"}, "type"),
        ("/api/evses/1/token", {"id_token": "1", "typo": 1}, "typo"),
        ("/api/sim/evses/1/plug", {"ev": {"soc": 2}}, "soc"),
        ("/api/sim/evses/1/plug", {"ev": {"phases": 4}}, "phases"),
        ("/api/sim/evses/1/vehicle", {"state": "fly"}, "state"),
        ("/api/sim/faults", {"code": "boredom"}, "code"),
        ("/api/sim/csms-link", {"state": "sideways"}, "state"),
        ("/api/sim/power", {"action": "more"}, "action"),
        ("/api/sim/clock", {"advance_s": -1}, "advance_s"),
        ("/api/sim/clock", {}, "advance_s"),
        ("/api/sim/clock", {"advance_s": 1, "rate": 1}, "rate"),
        ("/api/sim/grid", {"noise": 3}, "noise"),
    ],
)
async def test_bad_input_is_422_and_names_the_field(tmp_path: Path, path: str, body: object, field: str) -> None:
    """Nothing happens."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        answer = await api.post(path, body, status=422)
        assert field in json.dumps(answer["detail"])
        assert walk.board.vehicle is None
        assert walk.application.clock.monotonic() == 0.0


async def test_what_cannot_be_done_now_is_409_with_a_reason(tmp_path: Path) -> None:
    """Plug twice, unplug nothing, pull a locked cable, stop nobody, noise without a meter."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        assert "no vehicle" in (await api.post("/api/sim/evses/1/unplug", {}, status=409))["detail"]
        assert "no vehicle" in (await api.post("/api/sim/evses/1/vehicle", {"state": "resume"}, status=409))["detail"]
        assert "nobody" in (await api.post("/api/evses/1/stop", status=409))["detail"]
        assert "meter" in (await api.post("/api/sim/grid", {"silence": True}, status=409))["detail"]
        await api.post("/api/sim/evses/1/plug", {})
        assert "already" in (await api.post("/api/sim/evses/1/plug", {}, status=409))["detail"]
        await api.post("/api/token", TOKEN)
        await api.advance(3)
        assert "locked" in (await api.post("/api/sim/evses/1/unplug", {}, status=409))["detail"]


async def test_without_waiting_the_answer_comes_at_once_and_the_order_is_kept(tmp_path: Path) -> None:
    """Token, then cable, sent back to back: the card comes first in the record."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        assert await api.post("/api/token", TOKEN, settled=False) == {"accepted": True}
        await api.post("/api/sim/evses/1/plug", {}, settled=False)
        await walk.charging()
        await event(walk, "Updated", "ChargingStateChanged", chargingState="Charging")
        assert {trigger for _, trigger in walk.told()} == {"Authorized", "CablePluggedIn", "ChargingStateChanged"}


async def test_the_vehicle_does_what_it_is_told(tmp_path: Path) -> None:
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


async def test_the_meter_shows_what_it_is_told_and_the_truth_again(tmp_path: Path) -> None:
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
        shown = await api.evse()
        assert shown["meter_error"] is None
        assert shown["meter"]["power_w"] == 0


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
        shown = await api.get("/api/status")
        assert (shown["csms"], shown["boot_status"]) == (None, None)
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
        assert walk.life.station.settings.sampled_tx_updated_interval_s == 17
        assert (await api.client.put("/api/sim/variables", json={**row, "value": "often"})).status_code == 422
        assert (await api.client.put("/api/sim/variables", json={**row, "variable": "Nothing"})).status_code == 404
        assert walk.life.station.settings.sampled_tx_updated_interval_s == 17


async def test_the_clock_moves_as_told_and_may_run_by_itself(tmp_path: Path) -> None:
    """advance_s moves it exactly, a rate lets it flow, 0 stops it."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        before = walk.application.clock.monotonic()
        told = await api.post("/api/sim/clock", {"advance_s": 86_400}, status=200)
        assert told["monotonic_s"] == before + 86_400
        assert (await api.post("/api/sim/clock", {"rate": 500}, status=200))["rate"] == 500
        async with asyncio.timeout(10):
            while walk.application.clock.monotonic() < before + 86_400 + 60:
                await asyncio.sleep(0)
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
        told = len(walk.events())
        await api.post("/api/sim/power", {"action": "loss"})
        await walk.until(lambda: not walk.csms.connected)
        assert len(walk.events()) == told
        dark = await api.get("/api/status")
        assert dark["powered"] is False
        assert "evses" not in dark
        assert walk.board.outputs.contactor is False
        assert "power" in (await api.post("/api/token", TOKEN, status=409))["detail"]
        await api.advance(600)
        await api.post("/api/sim/power", {"action": "restore"})
        await walk.until(lambda: len(walk.csms.sent("BootNotification")) == 2)
        ended = await event(walk, "Ended", "AbnormalCondition")
        assert ended["transactionInfo"]["stoppedReason"] == "PowerLoss"
        assert ended["transactionInfo"]["transactionId"] == charging["transaction_id"]
        assert ended["meterValue"][-1]["sampledValue"][0]["context"] == "Transaction.End"
        assert [one["seqNo"] for one in walk.events()] == list(range(len(walk.events())))
        assert (await api.get("/api/status"))["powered"] is True


async def test_a_power_cycle_boots_again_and_again(tmp_path: Path) -> None:
    """Loss and restore in one; each time the station is accepted anew and charges."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        for boots in (2, 3, 4):
            await api.post("/api/sim/power", {"action": "cycle"})
            await walk.until(lambda boots=boots: len(walk.csms.sent("BootNotification")) == boots)
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


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_another_machine_may_look_but_not_touch(tmp_path: Path, method: str) -> None:
    """Changes are refused from any address that is not of this machine; reading is not."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        visitor = httpx.ASGITransport(app=build(walk.application), client=("192.0.2.7", 4000))
        async with httpx.AsyncClient(transport=visitor, base_url="http://station") as client:
            refused = await client.request(method, "/api/sim/faults", json={"code": "ground-fault"})
            assert refused.status_code == 403
            assert "this machine" in refused.json()["detail"]
            assert (await client.get("/api/status")).status_code == 200
        assert walk.evse.state.seen.faults == frozenset()
