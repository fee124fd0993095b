"""The local API end to end, over real HTTP: what it shows, what a driver does, and what it refuses."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from metering.journal import FILE_NAME
from station.interfaces.api.problem import ErrorResponse
from station.security.access.accounts import Role
from tests.patience import PATIENCE_S
from tests.walk import CARD, walking
from tests.walks.steps import event, variables
from tests.walks.visit import TOKEN, visiting


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


async def test_an_authorization_that_waits_for_a_vehicle_states_the_seconds_left(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        await api.post("/api/evses/1/token", TOKEN)
        before = (await api.get("/api/charges"))[0]["awaits_vehicle"]
        assert 0.0 < before["left_s"] <= before["timeout_s"]
        await api.advance(10)
        after = (await api.get("/api/charges"))[0]["awaits_vehicle"]
        assert after["left_s"] == pytest.approx(before["left_s"] - 10.0, abs=1.0)
        assert after["timeout_s"] == before["timeout_s"]
        await api.post("/api/sim/evses/1/plug", {})
        await api.advance(3)
        assert (await api.get("/api/charges"))[0]["awaits_vehicle"] is None


async def test_status_says_which_station_it_is_and_why_it_offers_its_current(tmp_path: Path) -> None:
    """Identity, link, clock, limits with their sources, queue."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        status = await api.get("/api/status")
        assert status["identity"] == "BORNE-TEST"
        assert status["powered"] is True
        assert status["boot_status"] == "Accepted"
        assert status["csms"]["connected"] is True
        assert status["csms"]["url"] == walk.csms.url
        assert status["csms"]["security_profile"] == 0
        assert status["clock"]["rate"] == 0
        assert status["grid"] is None
        assert status["queue"] == {"transaction_events": 0}
        (evse,) = status["evses"]
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
        assert [
            transaction["transaction_id"] for transaction in (await api.get("/api/transactions"))["transactions"]
        ] == [identity]
        record = await api.get(f"/api/transactions/{identity}")
        assert record["ongoing"] is True
        assert [recorded["seq_no"] for recorded in record["events"]] == list(range(len(record["events"])))
        assert record["events"][0]["event_type"] == "Started"
        assert (await api.client.get("/api/transactions/none")).status_code == 404
        (cached,) = await api.get("/api/auth/cache")
        assert cached["info"]["status"] == "Accepted"
        assert await api.get("/api/profiles") == []
        rows = await api.get("/api/variables")
        interval = [
            row for row in rows if (row["component"], row["variable"]) == ("OCPPCommCtrlr", "HeartbeatInterval")
        ]
        assert [row["value"] for row in interval] == ["300"]
        assert (await api.client.get("/healthz")).text == "ok\n"
        assert "/api/sim/faults" in (await api.get("/api/openapi.json"))["paths"]


async def test_the_description_of_the_api_is_found_where_tools_look_for_it(tmp_path: Path) -> None:
    """Also by visitors; the viewer is loaded only by its page, from the station itself."""
    away = {"X-Forwarded-For": "192.0.2.7"}
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        document = await api.get("/api/openapi.json")
        assert document["servers"] == [{"url": "/"}]
        assert (await api.client.get("/openapi.json", headers=away)).json() == document
        head = await api.client.head("/openapi.json", headers=away)
        assert (head.status_code, head.content) == (200, b"")
        for path in ("/docs", "/api/docs"):
            page = await api.client.get(path, headers={**away, "Accept": "text/html"})
            assert page.status_code == 200
            loaded = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)
            assert "/static/vendor/swagger-ui/swagger-ui-bundle.js" in loaded
            for address in loaded:
                assert (await api.client.get(address, headers=away)).status_code == 200
        assert "swagger" not in (await api.client.get("/", headers={"Accept": "text/html"})).text


async def test_the_openapi_document_lists_the_errors_of_every_operation_in_one_form(tmp_path: Path) -> None:
    problem = "#/components/schemas/Problem"
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        document = await api.get("/api/openapi.json")
        operations = [operation for path in document["paths"].values() for operation in path.values()]
        assert len(operations) > 50
        for operation in operations:
            for status in ("401", "403", "404", "409", "413", "422", "503"):
                described = operation["responses"][status]
                assert described["description"]
                assert described["content"]["application/json"]["schema"] == {"$ref": problem}
            assert any(status.startswith("2") for status in operation["responses"])
        named = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(document)))
        assert named == set(document["components"]["schemas"]), "each form that is named is there, and no other"


async def test_errors_have_the_form_that_the_openapi_document_describes(tmp_path: Path) -> None:
    away = {"X-Forwarded-For": "192.0.2.7"}
    here: dict[str, str] = {"Content-Type": "application/json"}
    requests = {
        401: ("GET", "/api/variables", away, b""),
        403: ("POST", "/api/unlock", {"Sec-Fetch-Site": "cross-site"}, b""),
        404: ("POST", "/api/evses/9/stop", here, b""),
        409: ("POST", "/api/firmware", here, b"{}"),
        413: ("POST", "/api/session", away, b" " * 9_000),
        422: ("PUT", "/api/prices", here, b"nonsense"),
    }
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        await walk.parts.access.accounts.set_password(Role.OWNER, "correct horse battery")
        for status, (method, path, headers, body) in requests.items():
            answer = await api.client.request(method, path, headers=headers, content=body)
            assert answer.status_code == status, answer.text
            ErrorResponse.model_validate_json(answer.content)
        for path, status in (("/api/nowhere", 404), ("/nowhere", 404)):
            answer = await api.client.get(path)
            assert answer.status_code == status
            ErrorResponse.model_validate_json(answer.content)
        await walk.application.cut_power()
        answer = await api.client.get("/api/variables", headers=away)
        assert answer.status_code == 503
        assert ErrorResponse.model_validate_json(answer.content).starting
        await walk.application.restore_power()


async def test_events_are_sent_as_they_happen(tmp_path: Path) -> None:
    """Server-sent events: OCPP frames in both directions, and changes of EVSEs."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        async with api.client.stream("GET", "/api/events") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            lines = stream.aiter_lines()
            assert await anext(lines) == ": listening"
            await walk.plug()
            found: list[tuple[str, dict[str, Any]]] = []
            kind = ""
            async with asyncio.timeout(PATIENCE_S):
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
    """Whether the stream has had a change, a sent CALL and a received answer."""
    kinds = {str(data["direction"]) if name == "frame" else name for name, data in found}
    event_sent = any("TransactionEvent" in str(data.get("text")) for _, data in found)
    return kinds >= {"evse", "light", "in", "out"} and event_sent


async def test_a_local_button_takes_an_evse_out_of_service_and_back(tmp_path: Path) -> None:
    """The same order as that of the CSMS: it waits for a transaction, is reported, and outlives a power cut."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        answer = await api.post("/api/evses/1/availability", {"operative": False})
        assert answer == {"accepted": True, "scheduled": False}
        assert (await api.evse())["connector_status"] == "Unavailable"
        await walk.until(lambda: walk.csms.received("StatusNotification")[-1]["connectorStatus"] == "Unavailable")
        await api.post("/api/sim/power", {"action": "cycle"})
        assert (await api.evse())["in_service"] is False
        await api.post("/api/evses/1/availability", {"operative": True})
        await api.post("/api/sim/evses/1/plug", {})
        await api.post("/api/token", TOKEN)
        await api.advance(5)
        answer = await api.post("/api/evses/1/availability", {"operative": False})
        assert answer == {"accepted": True, "scheduled": True}
        evse = await api.evse()
        assert (evse["in_service"], evse["operative"], evse["charging_state"]) == (False, True, "Charging")


async def test_the_unlock_button_lets_a_cable_go_that_waits_for_its_holder(tmp_path: Path) -> None:
    """E09.FR.03 keeps it locked; the button of the house does not need the holder."""
    rows = variables(OCPPCommCtrlr__UnlockOnEVSideDisconnect=False)
    async with walking(tmp_path, variable=rows) as walk, visiting(walk) as api:
        await walk.accepted()
        await api.post("/api/sim/evses/1/plug", {})
        await api.post("/api/token", TOKEN)
        await api.advance(5)
        await api.post("/api/sim/evses/1/unplug", {"ev_side": True})
        assert (await api.evse())["locked"] is True
        assert await api.post("/api/unlock") == {"accepted": True, "locked": False}
        await api.post("/api/sim/evses/1/unplug", {})
        assert (await api.evse())["plugged"] is False


async def test_prometheus_sees_the_station_its_link_its_queue_and_its_meters(tmp_path: Path) -> None:
    """The text format, by the names and units that Prometheus wants; without power only that is said."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        await api.post("/api/sim/evses/1/plug", {})
        await api.post("/api/token", TOKEN)
        await api.advance(60)
        answer = await api.client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
        metrics = answer.text.splitlines()
        for line in (
            "borne_powered 1.0",
            "borne_csms_connected 1.0",
            "borne_csms_accepted 1.0",
            "borne_outbox_waiting 0.0",
            'borne_connector_status{evse="1",status="Occupied"} 1.0',
            'borne_connector_status{evse="1",status="Available"} 0.0',
            'borne_fault{evse="1",fault="ground-fault"} 0.0',
            'borne_contactor_closed{evse="1"} 1.0',
            'borne_offered_amperes{evse="1"} 32.0',
            'borne_limit_amperes{evse="1",source="selector"} 32.0',
            'borne_power_watts{evse="1"} 22080.0',
            'borne_current_amperes{evse="1",phase="L3"} 32.0',
            'borne_voltage_volts{evse="1",phase="L1"} 230.0',
            'borne_meter_failing{evse="1"} 0.0',
        ):
            assert line in metrics, line
        (station,) = (line for line in metrics if line.startswith("borne_station_info{"))
        assert 'identity="BORNE-TEST"' in station
        (energy,) = (line for line in metrics if line.startswith("borne_energy_import_watt_hours_total{"))
        assert float(energy.split()[-1]) == pytest.approx(walk.board.read_meter().energy_import_wh, abs=10)
        await api.post("/api/sim/power", {"action": "loss"})
        dark = (await api.client.get("/metrics")).text
        assert "borne_powered 0.0" in dark
        assert "borne_csms_connected" not in dark


MISSING: list[tuple[str, object]] = [
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
    ("/api/sim/lock", {"evse": 7, "failure": True}),
    ("/api/sim/lock", {"connector": 2, "failure": True}),
    ("/api/sim/temperature", {"evse": 7, "celsius": 20}),
    ("/api/evses/7/availability", {"operative": True}),
    ("/api/unlock", {"evse": 7}),
]


async def test_what_does_not_exist_is_404(tmp_path: Path) -> None:
    """An unknown EVSE or connector."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        for path, body in MISSING:
            answer = await api.post(path, body, status=404)
            assert "exist" in answer["detail"], path


WRONG: list[tuple[str, object, str]] = [
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
    ("/api/sim/meter", {"noise": 2}, "noise"),
    ("/api/sim/selector", {"position": "17"}, "position"),
    ("/api/sim/selector", {}, "position"),
    ("/api/sim/temperature", {"celsius": 1000}, "celsius"),
    ("/api/sim/tamper", {}, "open"),
    ("/api/sim/lock", {}, "failure"),
    ("/api/evses/1/availability", {"operative": "maybe"}, "operative"),
]
"""path, body, and the field that the answer must name"""


async def test_bad_input_is_422_and_names_the_field(tmp_path: Path) -> None:
    """Nothing happens."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        for path, body, field in WRONG:
            answer = await api.post(path, body, status=422)
            detail = answer["detail"]
            named = detail if isinstance(detail, str) else str([problem["loc"] for problem in detail])
            assert field in named, (path, body)
        assert walk.board.vehicle is None
        assert walk.application.clock.monotonic() == 0.0


async def test_what_cannot_be_done_now_is_409_with_a_reason(tmp_path: Path) -> None:
    """Plug twice, unplug nothing, pull a locked cable, stop nobody, noise without a meter."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        assert "no vehicle" in (await api.post("/api/sim/evses/1/unplug", {}, status=409))["detail"]
        assert "no vehicle" in (await api.post("/api/sim/evses/1/vehicle", {"state": "resume"}, status=409))["detail"]
        assert "no charge is in progress" in (await api.post("/api/evses/1/stop", status=409))["detail"]
        assert "meter" in (await api.post("/api/sim/grid", {"silence": True}, status=409))["detail"]
        for unseen in ({"currents_a": [5]}, {"loads": {"oven": [9]}}, {"tariff_period": "HC.."}):
            assert "[grid]" in (await api.post("/api/sim/grid", unseen, status=409))["detail"], unseen
        await api.post("/api/sim/evses/1/plug", {})
        assert "already" in (await api.post("/api/sim/evses/1/plug", {}, status=409))["detail"]
        await api.post("/api/token", TOKEN)
        await api.advance(3)
        assert "locked" in (await api.post("/api/sim/evses/1/unplug", {}, status=409))["detail"]
        assert "in progress" in (await api.post("/api/unlock", {}, status=409))["detail"]


async def test_without_waiting_the_answer_comes_at_once_and_the_order_is_kept(tmp_path: Path) -> None:
    """Token, then cable, sent back to back: the card comes first in the record."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        assert await api.post("/api/token", TOKEN, settled=False) == {"accepted": True}
        await api.post("/api/sim/evses/1/plug", {}, settled=False)
        await walk.charging()
        await event(walk, "Updated", "ChargingStateChanged", chargingState="Charging")
        assert {trigger for _, trigger in walk.types_and_triggers()} == {
            "Authorized",
            "CablePluggedIn",
            "ChargingStateChanged",
        }


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_another_machine_may_look_but_not_touch(tmp_path: Path, method: str) -> None:
    """Changes are refused from any address that is not of this machine; reading is not."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        visitor = httpx.ASGITransport(app=walk.process.web_application(), client=("192.0.2.7", 4000))
        async with httpx.AsyncClient(transport=visitor, base_url="http://station") as client:
            refused = await client.request(method, "/api/sim/faults", json={"code": "ground-fault"})
            assert refused.status_code == 403
            assert "the station's own machine" in refused.json()["detail"]
            assert (await client.get("/api/status")).status_code == 200
        assert walk.evse.state.observation.faults == frozenset()


@pytest.mark.parametrize("value", ["NaN", "-Infinity", "1e999", r'"\ud800"', '"' + "x" * 100_000 + '"'])
async def test_what_json_cannot_say_is_refused_by_its_field_and_not_repeated(tmp_path: Path, value: str) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        for body, field in (
            (f'{{"password": "correct horse battery", "role": {value}}}', "role"),
            (f'{{"password": "correct horse battery", "role": "owner", "bearer": {value}}}', "bearer"),
            (value, "body"),
        ):
            headers = {"Content-Type": "application/json"}
            answer = await api.client.post("/api/session", content=body, headers=headers)
            assert answer.status_code == 422, answer.text
            assert [error["loc"][-1] for error in answer.json()["detail"]] == [field]
            assert "horse" not in answer.text
            assert len(answer.text) < 500
        strange = await api.client.post("/api/token", content=r'{"id_token": "A", "\ud800": 1}')
        assert strange.status_code == 422


async def test_a_text_that_utf_8_has_not_is_refused_everywhere(tmp_path: Path) -> None:
    place = '"component": "OCPPCommCtrlr", "variable": "HeartbeatInterval"'
    async with walking(tmp_path) as walk, visiting(walk) as api:
        for method, path, body, field in (
            ("POST", "/api/sim/reader", r'{"name": "\ud800", "failing": true}', "name"),
            ("PUT", "/api/sim/variables", rf'{{{place}, "value": "\ud800"}}', "value"),
            ("PUT", "/api/sim/network", r'{"password": "\ud800"}', "password"),
        ):
            headers = {"Content-Type": "application/json"}
            answer = await api.client.request(method, path, content=body, headers=headers)
            assert answer.status_code == 422, (path, answer.text)
            assert field in [part for error in answer.json()["detail"] for part in error["loc"]], answer.text


async def test_a_register_journal_that_cannot_be_read_is_a_storage_failure(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        assert await api.get("/api/metering/journal")
        journal = Path(walk.application.configuration.station.storage) / FILE_NAME
        journal.rename(journal.with_suffix(".away"))
        journal.mkdir()
        refused = await api.client.get("/api/metering/journal")
        journal.rmdir()
        journal.with_suffix(".away").rename(journal)
        assert refused.status_code == 503
        assert refused.json()["detail"].startswith("the storage failed: ")
        assert await api.get("/api/metering/journal")
