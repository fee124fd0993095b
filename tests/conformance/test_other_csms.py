"""Central systems differ: what real ones do, beside the cases, must neither stop the station nor be asked for ever."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.conformance import states
from tests.conformance.bench import VALID_TOKEN, Bench
from tests.conformance.cases import setup
from tests.conformance.charging_profiles import profile
from tests.conformance.csms import CallError, NoAnswer
from tests.conformance.frames import Payload
from tests.conformance.station_under_test import Setup

NOT_IMPLEMENTED = CallError("NotImplemented", "we do not do that")


async def _charge(bench: Bench) -> None:
    """Run a complete charging session."""
    await states.ev_connected_pre_session(bench)
    await states.authorized(bench, local=True)
    await states.parking_bay_unoccupied(bench)


@pytest.mark.parametrize("station_setup", [Setup(tables={"csms": {"message_timeout_s": 60.0}})], ids=["60s"])
async def test_an_answer_after_more_than_twenty_seconds_is_an_answer(bench: Bench) -> None:
    """A CSMS that is slow is not one that is gone: with MessageTimeout 60 s an answer after 40 s counts."""
    held: list[Payload] = []
    bench.on("TransactionEvent", lambda event: held.append(event) or NoAnswer())
    await bench.connect_ev()
    await bench.until(lambda: held)
    await bench.advance(40.0)
    assert len(held) == 1, "it was sent again before its time was over"
    frame = bench.journal.sent("TransactionEvent")[-1]
    bench.restore_default_reply("TransactionEvent")
    await bench.csms.answer_late(frame, {})
    await bench.advance(60.0)
    numbers = [event.payload["seqNo"] for event in bench.journal.sent("TransactionEvent")]
    assert numbers.count(0) == 1, numbers
    assert (await bench.expect_event())["eventType"] == "Started"


@setup(accept_at_boot=False)
async def test_a_csms_without_security_events_gets_no_more_of_them(bench: Bench) -> None:
    """NotImplemented is no reason to try again for ever, nor to keep other messages waiting."""
    bench.on("SecurityEventNotification", NOT_IMPLEMENTED)
    bench.csms.accepting = True
    await bench.accepted()
    await bench.learn_points()
    await _charge(bench)
    await bench.advance(600.0)
    assert 1 <= len(bench.journal.sent("SecurityEventNotification")) <= 3, "again and again"
    await _charge(bench)


async def test_a_log_is_uploaded_though_nobody_wants_its_status(bench: Bench) -> None:
    bench.on("LogStatusNotification", NOT_IMPLEMENTED)
    request: Payload = {"logType": "DiagnosticsLog", "requestId": 0, "retries": 0, "log": {}}
    request["log"]["remoteLocation"] = "http://127.0.0.1:9/nowhere"
    answer = await bench.call("GetLog", request)
    assert answer["status"] == "Accepted", answer
    await bench.advance(120.0)
    frames = bench.take("LogStatusNotification")
    assert 1 <= len(frames) <= 4, frames
    assert frames[0].payload["requestId"] == 0
    await _charge(bench)


async def test_what_a_csms_does_not_implement_is_sent_once_and_holds_nothing_up(bench: Bench) -> None:
    """NotifyEvent of a lock that fails, perhaps of its end; DataTransfer of a vendor."""
    bench.on("NotifyEvent", NOT_IMPLEMENTED)
    bench.on("DataTransfer", NOT_IMPLEMENTED)
    refused = await bench.station.http.post("/api/sim/data-transfer", json={"vendor_id": "com.example", "data": 1})
    assert refused.status_code == 409, refused.text
    await bench.station.post("/api/sim/lock", {"evse": 1, "failure": True})
    await bench.connect_ev()
    await bench.present()
    notification = await bench.expect("NotifyEvent", within_s=60.0)
    assert notification["eventData"][0]["variable"]["name"] == "Problem", notification
    await bench.advance(600.0)
    values = [frame.payload["eventData"][0]["actualValue"] for frame in bench.journal.sent("NotifyEvent")]
    assert values in (["true"], ["true", "false"]), values  # each change of it once
    assert len(bench.take("DataTransfer")) == 1
    await bench.station.post("/api/sim/lock", {"evse": 1, "failure": False})
    bench.drop_unsolicited()
    answer = await bench.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
    assert answer["status"] == "Accepted", answer
    await bench.expect("Heartbeat")
    await bench.drain_messages()
    bench.take("NotifyEvent")  # that the lock works again
    assert len(bench.take("Authorize")) == 1
    assert bench.take("TransactionEvent")[0].payload["eventType"] == "Started"


@setup(accept_at_boot=False)
async def test_a_request_before_the_answer_to_the_boot_notification_is_answered(bench: Bench) -> None:
    held: list[Payload] = []
    bench.on("BootNotification", lambda boot: held.append(boot) or NoAnswer())
    bench.csms.accepting = True
    await bench.until(lambda: held, within_s=120.0)
    value = await bench.get_variable("OCPPCommCtrlr", "HeartbeatInterval")
    assert int(value) > 0
    frame = bench.journal.sent("BootNotification")[-1]
    bench.restore_default_reply("BootNotification")
    await bench.csms.answer_late(frame, {"currentTime": bench.iso(), "interval": 300, "status": "Accepted"})
    await bench.accepted()


@pytest.mark.parametrize(
    ("action", "criteria", "report"),
    [
        ("GetBaseReport", {"reportBase": "ConfigurationInventory"}, "NotifyReport"),
        ("GetReport", {"componentVariable": [{"component": {"name": "OCPPCommCtrlr"}}]}, "NotifyReport"),
        (
            "CustomerInformation",
            {"report": True, "clear": False, "customerIdentifier": "nobody"},
            "NotifyCustomerInformation",
        ),
        ("GetChargingProfiles", {"chargingProfile": {}}, "ReportChargingProfiles"),
    ],
)
async def test_a_request_id_may_be_zero(bench: Bench, action: str, criteria: Payload, report: str) -> None:
    if action == "GetChargingProfiles":
        await states.set_charging_profile(bench, profile("A", start=bench.iso()))
    assert (await bench.call(action, {"requestId": 0, **criteria}))["status"] == "Accepted"
    more = True
    while more:
        part = await bench.expect(report)
        assert part["requestId"] == 0, part
        more = part.get("tbc", False)


async def test_a_remote_start_id_may_be_zero(bench: Bench) -> None:
    request: Payload = {"idToken": VALID_TOKEN, "remoteStartId": 0, "evseId": 1}
    assert (await bench.call("RequestStartTransaction", request))["status"] == "Accepted"
    await bench.connect_ev()
    event = await bench.expect_event()
    assert event["transactionInfo"]["remoteStartId"] == 0, event
    assert (await bench.expect_event())["triggerReason"] == "CablePluggedIn"


@pytest.mark.parametrize(
    ("form", "offset_s"),
    [
        ("{:%Y-%m-%dT%H:%M:%S}+00:00", 0),
        ("{:%Y-%m-%dT%H:%M:%S.%f}Z", 0),
        ("{:%Y-%m-%dT%H:%M:%S}", 0),
        ("{:%Y-%m-%dT%H:%M:%S}+02:00", 7200),
        ("{:%Y-%m-%dT%H:%M:%S.%f}000Z", 0),
    ],
)
@setup(accept_at_boot=False, tables={"simulation": {"follow_csms_time": True}})
async def test_the_csms_may_write_its_time_as_it_likes(bench: Bench, form: str, offset_s: int) -> None:
    """currentTime with an offset, microseconds, nanoseconds or no zone at all, an hour ahead of ours."""
    ahead = timedelta(hours=1)

    booted: list[datetime] = []

    def boot(payload: Payload) -> Payload:
        del payload
        booted.append(bench.now())
        text = form.format(bench.now() + ahead + timedelta(seconds=offset_s))
        return {"currentTime": text, "interval": 300, "status": "Accepted"}

    bench.on("BootNotification", boot)
    bench.csms.accepting = True
    bench.journal.now = lambda: bench.now() + ahead
    await bench.until(lambda: bench.journal.sent("StatusNotification"), within_s=120.0)
    timestamp = bench.journal.sent("StatusNotification")[-1].payload["timestamp"]
    off = datetime.fromisoformat(timestamp.replace("Z", "+00:00")) - booted[-1]
    assert abs(off - ahead) < timedelta(seconds=10), timestamp
    await bench.expect("BootNotification")
    await states.startup_is_notified(bench)
    assert (await bench.expect("SecurityEventNotification"))["type"] == "SettingSystemTime"
    bench.journal.faults = [fault for fault in bench.journal.faults if "currentTime" not in fault]  # what is tested


async def test_our_times_have_milliseconds_and_a_z(bench: Bench) -> None:
    await _charge(bench)
    times: list[str] = []

    def collect(value: Any) -> None:
        if isinstance(value, dict):
            for key, item in value.items():  # pyright: ignore[reportUnknownVariableType]  # JSON
                if key in {"timestamp", "generatedAt"} and isinstance(item, str):
                    times.append(item)
                collect(item)
        elif isinstance(value, list):
            for item in value:  # pyright: ignore[reportUnknownVariableType]  # JSON
                collect(item)

    for frame in bench.journal.frames:
        if frame.from_station:
            collect(frame.payload)
    assert times
    for text in times:
        assert text.endswith("Z"), text
        assert len(text.partition(".")[2]) == 4, text


async def test_a_nonsense_firmware_is_refused_in_order(bench: Bench) -> None:
    firmware: Payload = {
        "location": "no scheme at all",
        "retrieveDateTime": bench.iso(),
        "signature": "this is not base64!",
        "signingCertificate": "neither is this a certificate",
    }
    answer = await bench.call("UpdateFirmware", {"requestId": 0, "firmware": firmware})
    assert answer["status"] in {"Rejected", "InvalidCertificate"}, answer
    await bench.silence("FirmwareStatusNotification", for_s=30.0)
    event = await bench.expect("SecurityEventNotification")
    assert event["type"] == "InvalidFirmwareSigningCertificate", event
    await _charge(bench)


async def test_a_message_that_is_never_accepted_is_given_up_and_the_next_one_follows(bench: Bench) -> None:
    """E13: after MessageAttempts the event is given up; those after it are delivered."""
    await bench.configure("OCPPCommCtrlr", "MessageAttempts", "2", instance="TransactionEvent")
    await bench.configure("OCPPCommCtrlr", "MessageAttemptInterval", "1", instance="TransactionEvent")
    refused = CallError("InternalError", "always")
    bench.on(
        "TransactionEvent",
        lambda event: refused if event["seqNo"] == 0 else bench.csms.default_reply("TransactionEvent", event),
    )
    await bench.connect_ev()
    await bench.present()
    await bench.until(lambda: len(bench.journal.sent("TransactionEvent")) >= 4, within_s=60.0)
    numbers = [frame.payload["seqNo"] for frame in bench.journal.sent("TransactionEvent")]
    assert numbers[:3] == [0, 0, 1], numbers
    status = await bench.call("GetTransactionStatus", {})
    assert status["messagesInQueue"] is False
    assert len(bench.take("Authorize")) == 1
    assert len(bench.take("TransactionEvent")) >= 4


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "[2]",
        "[2,1,2,3]",
        '[2,"x","Reset"]',
        '[2,"x","Reset",{"type":"Immediate","type":"OnIdle"}',
        '[9,"x","Reset",{}]',
        '[2,"x","SetVariables",{"setVariableData":' + "[" * 2000 + "]" * 2000 + "}]",
        json.dumps([2, "y", "DataTransfer", {"vendorId": "v", "data": "x" * 200_000}]),
    ],
)
async def test_garbage_does_not_stop_a_charge(bench: Bench, text: str) -> None:
    await states.energy_transfer_started(bench)
    await bench.csms.send_raw(text)
    await bench.settle()
    bench.journal.faults.clear()
    assert bench.csms.connected.is_set()
    await states.parking_bay_unoccupied(bench)
