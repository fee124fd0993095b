"""Being accepted by the CSMS (B01–B03), the clock (B01, G02), and what is reported after an absence (B04)."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from foundation.clock import machine_time
from station.charging.tokens.admission import TokenOutcome
from tests.csms import NO_ANSWER, CallErrorAnswer, Csms
from tests.walk import Walk, walking
from tests.walks.visit import visiting

FOLLOWING = {"follow_csms_time": True}
"""simulated time that the CSMS sets, as it sets a real clock"""
ID_TOKEN = {"idToken": "04A3B2C1D5E680", "type": "ISO14443"}
INTERVAL = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}


class BootAnswers:
    """Answers BootNotification with a status and an interval, and records when it was received."""

    def __init__(self, csms: Csms, status: str, interval: int) -> None:
        self.csms = csms
        self.status = status
        self.interval = interval
        self.requested_at: list[datetime] = []
        csms.answers["BootNotification"] = self.answer

    def answer(self, _: object) -> dict[str, Any]:
        """Return the configured answer."""
        self.requested_at.append(self.csms.now())
        return {"currentTime": self.csms.now().isoformat(), "interval": self.interval, "status": self.status}


@contextlib.asynccontextmanager
async def _station_after_boot_answer(
    storage: Path, status: str, interval: int, **tables: Any
) -> AsyncGenerator[tuple[Walk, Csms, BootAnswers]]:
    """Run a station whose first BootNotification was answered with this status and interval."""
    csms = Csms()
    answers = BootAnswers(csms, status, interval)
    async with walking(storage, csms, **tables) as walk:
        await walk.until(lambda: csms.received("BootNotification"))
        await walk.settle()
        yield walk, csms, answers


async def test_the_station_says_who_it_is_and_why_it_boots(tmp_path: Path) -> None:
    """B01.FR.01, B01.FR.09; then the status of each connector, B01.FR.05."""
    evses = [{"id": 1}, {"id": 2}]
    async with walking(tmp_path, evse=evses) as walk:
        await walk.until(lambda: len(walk.csms.received("StatusNotification")) == 2)
        boot = walk.csms.calls[0]
        assert boot.action == "BootNotification"
        assert boot.payload["reason"] == "PowerUp"
        assert boot.payload["chargingStation"]["vendorName"] == "borne"
        assert boot.payload["chargingStation"]["serialNumber"] == "0001"
        statuses = [
            (s["evseId"], s["connectorId"], s["connectorStatus"]) for s in walk.csms.received("StatusNotification")
        ]
        assert statuses == [(1, 1, "Available"), (2, 1, "Available")]


@pytest.mark.parametrize("status", ["Pending", "Rejected"])
async def test_the_next_boot_notification_comes_after_the_interval_and_nothing_else_before(
    tmp_path: Path, status: str
) -> None:
    """B01.FR.08, B02.FR.02, B02.FR.04, B02.FR.08, B03.FR.02, B03.FR.06."""
    async with _station_after_boot_answer(tmp_path, status, 40) as (walk, csms, answers):
        await walk.plug()
        await walk.present()
        await walk.until(lambda: len(answers.requested_at) == 3, within_s=90)
        waits_s = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(answers.requested_at)]
        assert waits_s == pytest.approx([40, 40], abs=0.01)
        assert {received.action for received in csms.calls} == {"BootNotification"}
        assert csms.connections == 1  # B02.FR.06
        answers.status = "Accepted"
        await walk.accepted()


@pytest.mark.parametrize("status", ["Pending", "Rejected"])
@pytest.mark.parametrize("interval", [0, -1])
async def test_without_an_interval_the_station_does_not_flood_the_csms(
    tmp_path: Path, status: str, interval: int
) -> None:
    """B02.FR.07, B03.FR.05."""
    async with _station_after_boot_answer(tmp_path, status, interval) as (walk, csms, _):
        await walk.advance(600)
        assert 2 <= len(csms.received("BootNotification")) <= 600 / 10


async def test_a_new_link_does_not_shorten_the_interval(tmp_path: Path) -> None:
    """B02.FR.04, B03.FR.02: a CSMS that rejects and hangs up is not asked at once again."""
    async with _station_after_boot_answer(tmp_path, "Rejected", 300) as (walk, csms, answers):
        for _ in range(3):
            csms.drop()
            count = csms.connections
            await walk.until(lambda count=count: csms.connections > count, within_s=120)
        await walk.settle()
        assert len(csms.received("BootNotification")) == 1
        answers.status = "Accepted"
        await walk.until(lambda: len(csms.received("BootNotification")) == 2, within_s=300)
        await walk.accepted()


@pytest.mark.parametrize("interval", [10**30, 10**400, 2**63])
async def test_an_interval_without_end_is_survived(tmp_path: Path, interval: int) -> None:
    async with _station_after_boot_answer(tmp_path, "Pending", interval) as (walk, csms, _):
        await walk.advance(3_600)
        assert csms.connections == 1
        assert len(csms.received("BootNotification")) == 1


async def test_while_pending_variables_are_read_and_written(tmp_path: Path) -> None:
    """B02.FR.01."""
    async with _station_after_boot_answer(tmp_path, "Pending", 300) as (walk, csms, _):
        await walk.set_variable("OCPPCommCtrlr", "HeartbeatInterval", "55")
        variables = await csms.call("GetVariables", {"getVariableData": [INTERVAL]})
        assert variables["getVariableResult"][0]["attributeValue"] == "55"


async def test_before_the_first_answer_the_csms_is_answered_as_while_pending(tmp_path: Path) -> None:
    csms = Csms()
    csms.answers["BootNotification"] = lambda _: CallErrorAnswer("InternalError")
    async with walking(tmp_path, csms) as walk:
        await walk.until(lambda: csms.received("BootNotification"))
        variables = await csms.call("GetVariables", {"getVariableData": [INTERVAL]})
        assert variables["getVariableResult"][0]["attributeStatus"] == "Accepted"
        start = {"idToken": ID_TOKEN, "remoteStartId": 1, "evseId": 1}
        assert (await csms.call("RequestStartTransaction", start))["status"] == "Rejected"


async def test_what_is_asked_for_before_the_first_answer_comes_after_it(tmp_path: Path) -> None:
    """B01.FR.08, B07.FR.04, F06.FR.10: what was Accepted is sent, once something may be sent."""
    csms = Csms()
    csms.answers["BootNotification"] = lambda _: CallErrorAnswer("InternalError")
    async with walking(tmp_path, csms) as walk:
        await walk.until(lambda: csms.received("BootNotification"))
        report = {"requestId": 5, "reportBase": "ConfigurationInventory"}
        assert (await csms.call("GetBaseReport", report))["status"] == "Accepted"
        assert (await csms.call("TriggerMessage", {"requestedMessage": "Heartbeat"}))["status"] == "Accepted"
        await walk.advance(5)
        assert {received.action for received in csms.calls} == {"BootNotification"}
        BootAnswers(csms, "Pending", 300)
        await walk.until(lambda: csms.received("NotifyReport") and not csms.received("NotifyReport")[-1]["tbc"])
        await walk.until(lambda: csms.received("Heartbeat"))


async def test_while_pending_nothing_is_started_or_stopped_remotely(tmp_path: Path) -> None:
    """B02.FR.05; a local charge runs on, B02.FR.03."""
    rows = [{"component": "AuthCtrlr", "variable": "OfflineTxForUnknownIdEnabled", "value": "true"}]
    async with _station_after_boot_answer(tmp_path, "Pending", 300, variable=rows) as (walk, csms, _):
        start = {"idToken": ID_TOKEN, "remoteStartId": 1, "evseId": 1}
        answer = await csms.call("RequestStartTransaction", start)
        assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "CSNotAccepted")
        await walk.plug()
        assert await walk.present() is TokenOutcome.AUTHORIZED
        await walk.charging()
        stop = {"transactionId": walk.evse.transaction_id}
        answer = await csms.call("RequestStopTransaction", stop)
        assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "CSNotAccepted")
        assert walk.board.outputs.contactor


async def test_while_pending_only_reports_and_triggers_let_the_station_send(tmp_path: Path) -> None:
    """B02.FR.02. What cannot be reported is not promised (N09.FR.03, N10.FR.05); of a log the end is reported later."""
    async with _station_after_boot_answer(tmp_path, "Pending", 300) as (walk, csms, answers):
        log = {
            "logType": "DiagnosticsLog",
            "requestId": 1,
            "retries": 0,
            "log": {"remoteLocation": "http://127.0.0.1:1/"},
        }
        assert (await csms.call("GetLog", log))["status"] == "Accepted"
        not_accepted = {"reasonCode": "CSNotAccepted"}
        customer = {"requestId": 2, "report": True, "clear": True, "idToken": ID_TOKEN}
        answer = await csms.call("CustomerInformation", customer)
        assert answer == {"status": "Rejected", "statusInfo": not_accepted}
        schedule = {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10}]}
        profile = {
            "id": 1,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Relative",
            "chargingSchedule": [schedule],
        }
        profile_answer = await csms.call("SetChargingProfile", {"evseId": 0, "chargingProfile": profile})
        assert profile_answer["status"] == "Accepted"
        answer = await csms.call("GetChargingProfiles", {"requestId": 3, "chargingProfile": {}})
        assert answer == {"status": "NoProfiles", "statusInfo": not_accepted}
        await walk.advance(60)
        assert {received.action for received in csms.calls} == {"BootNotification"}
        answers.status = "Accepted"
        await walk.until(lambda: csms.received("LogStatusNotification"), within_s=300)
        assert [notification["status"] for notification in csms.received("LogStatusNotification")] == ["UploadFailure"]


async def test_while_rejected_every_call_of_the_csms_is_a_security_error(tmp_path: Path) -> None:
    """B03.FR.08."""
    async with _station_after_boot_answer(tmp_path, "Rejected", 300) as (_, csms, _):
        for action, payload in (
            ("GetVariables", {"getVariableData": [INTERVAL]}),
            ("ClearCache", {}),
            ("GetVariables", {}),
            ("DataTransfer", {"vendorId": "v"}),
            ("BootNotification", {}),
            ("Nothing", {}),
        ):
            answer = await csms.request(action, payload)
            assert (answer[0], answer[2]) == (4, "SecurityError"), action


async def test_after_a_triggered_boot_notification_the_next_one_says_why_the_station_booted(tmp_path: Path) -> None:
    """B01.FR.09: Triggered is the reason of that one message."""
    async with _station_after_boot_answer(tmp_path, "Pending", 40) as (walk, csms, answers):
        answer = await csms.call("TriggerMessage", {"requestedMessage": "BootNotification"})
        assert answer["status"] == "Accepted"
        await walk.until(lambda: len(answers.requested_at) == 3, within_s=90)
        assert [boot["reason"] for boot in csms.received("BootNotification")] == ["PowerUp", "Triggered", "PowerUp"]


async def test_a_boot_notification_that_is_asked_for_while_one_is_under_way_is_sent_after_it(tmp_path: Path) -> None:
    """B02.FR.04, F06.FR.04: the answer to the one under way does not make the station forget."""
    csms = Csms()
    csms.answers["BootNotification"] = lambda _: NO_ANSWER
    async with walking(tmp_path, csms) as walk:
        await walk.until(lambda: csms.calls)
        answer = await csms.call("TriggerMessage", {"requestedMessage": "BootNotification"})
        assert answer["status"] == "Accepted"
        pending = {"currentTime": csms.now().isoformat(), "interval": 600, "status": "Pending"}
        csms.answers["BootNotification"] = lambda _: pending
        await csms.send_raw(json.dumps([3, csms.calls[0].id, pending]))
        await walk.until(lambda: len(csms.received("BootNotification")) == 2)
        await walk.advance(590)
        assert [boot["reason"] for boot in csms.received("BootNotification")] == ["PowerUp", "Triggered"]


async def test_the_sim_card_of_a_mobile_link_is_reported(tmp_path: Path) -> None:
    """B01.FR.01 (ModemType)."""
    modem = {"iccid": "8933000000000000000", "imsi": "208010000000000"}
    async with walking(tmp_path, station=modem) as walk:
        await walk.accepted()
        station = walk.csms.received("BootNotification")[0]["chargingStation"]
        assert station["modem"] == modem


async def test_a_charge_while_pending_is_reported_in_order_once_accepted(tmp_path: Path) -> None:
    """B02.FR.02, B02.FR.03."""
    rows = [{"component": "AuthCtrlr", "variable": "OfflineTxForUnknownIdEnabled", "value": "true"}]
    async with _station_after_boot_answer(tmp_path, "Pending", 300, variable=rows) as (walk, csms, answers):
        await walk.plug()
        assert await walk.present() is TokenOutcome.AUTHORIZED
        await walk.charging()
        await walk.advance(100)
        assert await walk.present() is TokenOutcome.STOPPED
        await walk.advance(10)
        await walk.unplug()
        assert {received.action for received in csms.calls} == {"BootNotification"}
        answers.status = "Accepted"
        await walk.until(lambda: ("Ended", "StopAuthorized") in walk.types_and_triggers(), within_s=400)
        assert [event["seqNo"] for event in walk.events()] == list(range(len(walk.events())))
        assert walk.types_and_triggers()[0][0] == "Started"
        assert all(event["offline"] for event in walk.events())


async def test_a_mere_reconnect_is_no_boot_and_a_power_cut_is_one(tmp_path: Path) -> None:
    """Part 4 §5.3; B01.FR.03."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        for connections in (2, 3):
            walk.csms.drop()
            await walk.until(lambda connections=connections: walk.csms.connections == connections)
        await walk.advance(120)
        assert len(walk.csms.received("BootNotification")) == 1
        await walk.application.cut_power()
        await walk.application.restore_power()
        await walk.until(lambda: len(walk.csms.received("BootNotification")) == 2)


# Heartbeats and the clock


async def test_the_interval_of_the_answer_is_the_heartbeat_interval(tmp_path: Path) -> None:
    """B01.FR.04, G02.FR.01, G02.FR.02."""
    async with _station_after_boot_answer(tmp_path, "Accepted", 100) as (walk, csms, _):
        await walk.advance(550)
        assert len(csms.received("Heartbeat")) == 5
        variables = await csms.call("GetVariables", {"getVariableData": [INTERVAL]})
        assert variables["getVariableResult"][0]["attributeValue"] == "100"


async def test_an_interval_of_0_leaves_the_heartbeat_interval_as_it_is(tmp_path: Path) -> None:
    """B01.FR.04."""
    async with _station_after_boot_answer(tmp_path, "Accepted", 0) as (_, csms, _):
        variables = await csms.call("GetVariables", {"getVariableData": [INTERVAL]})
        assert variables["getVariableResult"][0]["attributeValue"] == "300"


async def test_a_new_heartbeat_interval_counts_from_when_it_is_set(tmp_path: Path) -> None:
    """G02.FR.02: not only after the old one has run out."""
    async with _station_after_boot_answer(tmp_path, "Accepted", 86_400) as (walk, csms, _):
        await walk.set_variable("OCPPCommCtrlr", "HeartbeatInterval", "20")
        await walk.advance(65)
        assert len(csms.received("Heartbeat")) == 3


@pytest.mark.parametrize(
    "spell",
    [
        "%Y-%m-%dT%H:%M:%SZ",
        "%Y-%m-%dT%H:%M:%S.123456Z",
        "%Y-%m-%dT%H:%M:%S.123456789+00:00",
        "%Y-%m-%dT%H:%M:%S",
        "%Y-%m-%d %H:%M:%S+0000",
    ],
)
@pytest.mark.parametrize("message", ["BootNotification", "Heartbeat"])
async def test_the_clock_follows_the_csms_however_it_writes_the_time(tmp_path: Path, spell: str, message: str) -> None:
    """B01.FR.06, G02.FR.06."""
    csms = Csms()
    shift = timedelta(hours=3)

    def csms_time() -> str:
        return (began + shift + timedelta(seconds=clock.monotonic())).strftime(spell)

    async with walking(tmp_path, csms, simulation=FOLLOWING) as walk:
        clock = walk.application.clock
        began = clock.now() - timedelta(seconds=clock.monotonic())
        if message == "BootNotification":
            csms.answers[message] = lambda _: {"currentTime": csms_time(), "interval": 50, "status": "Accepted"}
        else:
            csms.answers[message] = lambda _: {"currentTime": csms_time()}
        await walk.accepted()
        await walk.advance(301)
        expected = began + shift + timedelta(seconds=clock.monotonic())
        assert abs(clock.now() - expected) <= timedelta(seconds=2)


@pytest.mark.parametrize(
    "nonsense",
    [
        "",
        "yesterday",
        "2024-13-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59Z",
        "1970-01-01T00:00:00Z",
    ],
)
async def test_a_time_that_cannot_be_is_ignored(tmp_path: Path, nonsense: str) -> None:
    """A clock at the end of time would end the station."""
    csms = Csms()
    csms.answers["BootNotification"] = lambda _: {"currentTime": nonsense, "interval": 50, "status": "Accepted"}
    csms.answers["Heartbeat"] = lambda _: {"currentTime": nonsense}
    async with walking(tmp_path, csms, simulation=FOLLOWING) as walk:
        clock = walk.application.clock
        began = clock.now() - timedelta(seconds=clock.monotonic())
        await walk.accepted()
        await walk.advance(200)
        assert len(csms.received("Heartbeat")) >= 3
        assert clock.now() - began == timedelta(seconds=clock.monotonic())


async def test_a_triggered_heartbeat_sets_the_time_too(tmp_path: Path) -> None:
    """G02.FR.06."""
    async with walking(tmp_path, simulation=FOLLOWING) as walk:
        await walk.accepted()
        walk.csms.answers["Heartbeat"] = lambda _: {"currentTime": "2031-01-01T00:00:00Z"}
        await walk.csms.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
        await walk.until(lambda: walk.application.clock.now().year == 2031)


async def test_without_heartbeat_as_a_source_the_clock_stays(tmp_path: Path) -> None:
    """B01.FR.06: only where TimeSource says so."""
    csms = Csms()
    csms.answers["BootNotification"] = lambda _: {
        "currentTime": "2031-01-01T00:00:00Z",
        "interval": 50,
        "status": "Accepted",
    }
    rows = [{"component": "ClockCtrlr", "variable": "TimeSource", "value": "NTP"}]
    async with walking(tmp_path, csms, variable=rows, simulation=FOLLOWING) as walk:
        clock = walk.application.clock
        began = clock.now() - timedelta(seconds=clock.monotonic())
        await walk.accepted()
        assert clock.now() - began == timedelta(seconds=clock.monotonic())


@pytest.mark.parametrize("simulation", [{"rate": 0.0}, {"rate": 60.0}])
async def test_simulated_time_is_not_set_back_by_a_csms_in_real_time(
    tmp_path: Path, simulation: dict[str, float], caplog: pytest.LogCaptureFixture
) -> None:
    """Four simulated hours with a heartbeat every 300 s: time never runs backwards; the reason is logged once."""
    caplog.set_level("INFO")
    csms = Csms()
    async with walking(tmp_path, csms, simulation=simulation) as walk, visiting(walk) as api:
        csms.now = machine_time
        clock = walk.application.clock
        await walk.accepted()
        began = clock.now() - timedelta(seconds=clock.monotonic())
        await walk.advance(4 * 3600)
        assert len(csms.received("Heartbeat")) >= 40
        assert abs(clock.now() - began - timedelta(seconds=clock.monotonic())) < timedelta(minutes=30)
        assert (await api.get("/api/status"))["clock"]["follows_csms"] is False
        warnings = [message for message in caplog.messages if message.startswith("the time of the CSMS")]
        assert len(warnings) == 1
        events = await api.get("/api/security-events?most=500")
        assert not [recorded for recorded in events if recorded["type"] == "SettingSystemTime"]


async def test_a_simulated_clock_at_rate_1_takes_the_time_of_the_csms_until_it_is_advanced(tmp_path: Path) -> None:
    """B01.FR.06."""
    csms, ahead = Csms(), timedelta(hours=3)
    csms.answers["BootNotification"] = lambda _: {
        "currentTime": (machine_time() + ahead).isoformat(),
        "interval": 300,
        "status": "Accepted",
    }
    async with walking(tmp_path, csms, simulation={"rate": 1.0}) as walk, visiting(walk) as api:
        await csms.expect("StatusNotification")
        assert abs(walk.application.clock.now() - machine_time() - ahead) < timedelta(minutes=5)
        assert (await api.get("/api/status"))["clock"]["follows_csms"] is True
        await walk.advance(10)
        assert (await api.get("/api/status"))["clock"]["follows_csms"] is False


# After an absence (B04)


async def _lose_network_for(walk: Walk, seconds: float) -> None:
    """Cut the network for some seconds."""
    walk.stack.cut_network()
    await walk.settle()
    await walk.advance(seconds)
    walk.stack.restore_network()
    count = walk.csms.connections
    await walk.until(lambda: walk.csms.connections > count)
    await walk.advance(5)


async def test_after_a_long_absence_every_connector_is_reported_and_after_a_short_one_none(tmp_path: Path) -> None:
    """B04.FR.01, B04.FR.02."""
    rows = [{"component": "OCPPCommCtrlr", "variable": "OfflineThreshold", "value": "200"}]
    async with walking(tmp_path, variable=rows, evse=[{"id": 1}, {"id": 2}]) as walk:
        await walk.until(lambda: len(walk.csms.received("StatusNotification")) == 2)
        await _lose_network_for(walk, 190)
        assert len(walk.csms.received("StatusNotification")) == 2
        await _lose_network_for(walk, 210)
        assert [status["evseId"] for status in walk.csms.received("StatusNotification")[2:]] == [1, 2]


async def test_after_a_short_absence_only_what_changed_is_reported(tmp_path: Path) -> None:
    """B04.FR.02."""
    rows = [{"component": "OCPPCommCtrlr", "variable": "OfflineThreshold", "value": "200"}]
    async with walking(tmp_path, variable=rows, evse=[{"id": 1}, {"id": 2}]) as walk:
        await walk.until(lambda: len(walk.csms.received("StatusNotification")) == 2)
        walk.stack.cut_network()
        await walk.plug()
        await _lose_network_for(walk, 100)
        (status,) = walk.csms.received("StatusNotification")[2:]
        assert (status["evseId"], status["connectorStatus"]) == (1, "Occupied")
