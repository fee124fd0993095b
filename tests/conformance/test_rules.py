"""The general rules bite: a journal that breaks one of them fails the test that made it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conformance import rules
from tests.conformance.bench import VALID_TOKEN, Bench, DriverAction
from tests.conformance.csms import Csms, Journal, Received
from tests.conformance.frames import Frame, Payload
from tests.conformance.pki import Pki
from tests.conformance.station_under_test import Setup, Station

_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
_EVSE = {"id": 1, "connectorId": 1}


def _at(second: float) -> datetime:
    return _BEGAN + timedelta(seconds=second)


def _iso(second: float) -> str:
    return _at(second).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Scenario:
    """A journal that a test writes line by line."""

    def __init__(self, folder: Path, *, evses: int = 1) -> None:
        journal = Journal()
        station = Station(httpx.AsyncClient())
        self.bench = Bench(station, Csms(journal), journal, Setup(evses=evses), Pki(folder))
        self._answered = True

    def station(self, action: str, payload: Payload, second: float, *, message_id: str | None = None) -> Scenario:
        """A CALL of the station; the one before has been answered."""
        frames = self.bench.journal.frames
        calls = [frame for frame in frames if frame.from_station and frame.kind == 2]
        if not self._answered:
            frames.append(Frame(False, 3, calls[-1].message_id, calls[-1].action, {}, _at(second), 1))
        self._answered = False
        frames.append(Frame(True, 2, message_id or f"s{len(calls)}", action, payload, _at(second), 1))
        return self

    def csms(self, action: str, payload: Payload, answer: Payload, second: float) -> Scenario:
        """A CALL of the CSMS, and the station's answer."""
        frames = self.bench.journal.frames
        frames.append(Frame(False, 2, f"c{second}", action, payload, _at(second), 1))
        frames.append(Frame(True, 3, f"c{second}", action, answer, _at(second), 1))
        return self

    def answered(self, payload: Payload) -> Scenario:
        """The CSMS answers the station's latest CALL."""
        call = self.bench.journal.frames[-1]
        self.bench.journal.frames.append(Frame(False, 3, call.message_id, call.action, payload, call.at, 1))
        self._answered = True
        return self

    def impatient(self) -> Scenario:
        """The station does not wait for the answer to its latest CALL."""
        self._answered = True
        return self

    def event(self, seq_no: int, kind: str, trigger: str, second: float, **more: Any) -> Scenario:
        """A TransactionEventRequest; `info`: further fields of transactionInfo."""
        info: Payload = {"transactionId": "t1", **more.pop("info", {})}
        payload = {"eventType": kind, "triggerReason": trigger, "seqNo": seq_no, "timestamp": _iso(second)}
        return self.station("TransactionEvent", {**payload, "transactionInfo": info, "evse": _EVSE, **more}, second)

    def receives(self, action: str, payload: Payload, *, csms: Csms | None = None) -> Scenario:
        """A CALL that an endpoint has received, and no step has read."""
        frame = Frame(True, 2, "unread", action, payload, _at(1), 1)
        (csms or self.bench.csms).unread.append(Received(action, payload, frame))
        return self

    def driver(self, action: str, second: float) -> Scenario:
        """A driver's action."""
        self.bench.driver_actions.append(DriverAction(action, 1, _at(second), dict(VALID_TOKEN)))
        return self

    def check(self) -> None:
        """The general rules."""
        rules.check(self.bench)


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    """An empty journal of a station with one EVSE."""
    return Scenario(tmp_path)


def _start_transaction(scenario: Scenario, **more: Any) -> Scenario:
    scenario.driver("presented", 1).station("Authorize", {"idToken": VALID_TOKEN}, 1)
    scenario.answered({"idTokenInfo": {"status": "Accepted"}})
    return scenario.event(0, "Started", "Authorized", 1, **{"idToken": VALID_TOKEN, **more})


def test_a_whole_session_keeps_all_rules(scenario: Scenario) -> None:
    _start_transaction(scenario).driver("connected", 2)
    scenario.event(1, "Updated", "CablePluggedIn", 2)
    scenario.event(2, "Ended", "StopAuthorized", 9, idToken=VALID_TOKEN, info={"stoppedReason": "Local"})
    scenario.event(2, "Ended", "StopAuthorized", 9, idToken=VALID_TOKEN, info={"stoppedReason": "Local"}, offline=True)
    scenario.check()


def test_a_frame_against_its_schema_is_a_fault(scenario: Scenario) -> None:
    scenario.bench.journal.note(Frame(True, 2, "1", "Heartbeat", {"surprise": 1}, _BEGAN, 1))
    with pytest.raises(AssertionError, match="surprise"):
        scenario.check()


def test_an_answer_to_no_call_is_a_fault(scenario: Scenario) -> None:
    scenario.bench.journal.note(Frame(True, 3, "never-asked", "", {}, _BEGAN, 1))
    with pytest.raises(AssertionError, match="no such message"):
        scenario.check()


@pytest.mark.parametrize(
    "payload",
    [
        {"code": "FormationViolation", "description": "", "details": {}},
        {"code": "InternalError", "description": "x" * 256, "details": {}},
        {"code": "InternalError", "description": "", "details": []},
    ],
    ids=["code", "description", "details"],
)
def test_a_callerror_has_a_form_too(scenario: Scenario, payload: Payload) -> None:
    scenario.bench.journal.note(Frame(True, 4, "1", "Reset", {"code": "NotSupported", "description": ""}, _BEGAN, 1))
    scenario.check()
    scenario.bench.journal.note(Frame(True, 4, "1", "Reset", payload, _BEGAN, 1))
    with pytest.raises(AssertionError, match="CALLERROR"):
        scenario.check()


@pytest.mark.parametrize("message_id", ["", "x" * 37])
def test_a_message_id_has_1_to_36_characters(scenario: Scenario, message_id: str) -> None:
    scenario.bench.journal.note(Frame(True, 2, message_id, "Heartbeat", {}, _BEGAN, 1))
    with pytest.raises(AssertionError, match="message id"):
        scenario.check()


def test_a_message_id_is_used_once_on_a_connection(scenario: Scenario) -> None:
    scenario.station("Heartbeat", {}, 1, message_id="same").station("Heartbeat", {}, 2, message_id="same")
    with pytest.raises(AssertionError, match="used before"):
        scenario.check()


def test_a_call_waits_for_the_answer_to_the_one_before_or_its_timeout(scenario: Scenario) -> None:
    scenario.station("Heartbeat", {}, 1).impatient().station("Heartbeat", {}, 31).check()
    scenario.impatient().station("Heartbeat", {}, 32)
    with pytest.raises(AssertionError, match="not answered"):
        scenario.check()


@pytest.mark.parametrize("numbers", [(0, 2), (0, 0), (1, 2)], ids=["gap", "twice", "not-from-0"])
def test_sequence_numbers_are_sequential(scenario: Scenario, numbers: tuple[int, int]) -> None:
    scenario.event(numbers[0], "Started", "CablePluggedIn", 1).event(numbers[1], "Updated", "Trigger", 2)
    with pytest.raises(AssertionError, match="seqNo"):
        scenario.check()


def test_sequence_numbers_are_in_chronological_order(scenario: Scenario) -> None:
    scenario.event(1, "Updated", "Trigger", 1).event(0, "Started", "CablePluggedIn", 2)
    with pytest.raises(AssertionError, match="chronological"):
        scenario.check()


@pytest.mark.parametrize("kinds", [("Updated", "Started"), ("Updated", "Updated")])
def test_a_transaction_begins_with_started(scenario: Scenario, kinds: tuple[str, str]) -> None:
    scenario.event(0, kinds[0], "CablePluggedIn", 1).event(1, kinds[1], "Trigger", 2)
    with pytest.raises(AssertionError, match="start the transaction"):
        scenario.check()


def test_nothing_follows_the_end_of_a_transaction(scenario: Scenario) -> None:
    _start_transaction(scenario).event(1, "Ended", "StopAuthorized", 3).check()
    scenario.event(2, "Updated", "ChargingStateChanged", 4)
    with pytest.raises(AssertionError, match="Ended has seqNo"):
        scenario.check()


def test_a_meter_value_does_not_follow_the_end_of_a_transaction_either(scenario: Scenario) -> None:
    _start_transaction(scenario).event(1, "Ended", "StopAuthorized", 3).event(2, "Updated", "MeterValuePeriodic", 4)
    with pytest.raises(AssertionError, match="Ended has seqNo"):
        scenario.check()


def test_a_transaction_ends_once(scenario: Scenario) -> None:
    _start_transaction(scenario).event(1, "Ended", "StopAuthorized", 3).event(2, "Ended", "EVCommunicationLost", 4)
    with pytest.raises(AssertionError, match="Ended has seqNo"):
        scenario.check()


def test_the_end_that_is_sent_again_counts_once(scenario: Scenario) -> None:
    _start_transaction(scenario).event(1, "Ended", "StopAuthorized", 3).event(
        1, "Ended", "StopAuthorized", 3, offline=True
    ).check()


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("SecurityEventNotification", {"type": "StartupOfTheDevice", "timestamp": _iso(1)}),
        ("LogStatusNotification", {"status": "Uploaded", "requestId": 1}),
        ("TransactionEvent", {"eventType": "Updated", "triggerReason": "ChargingStateChanged"}),
        ("TransactionEvent", {"eventType": "Started", "triggerReason": "MeterValueClock"}),
    ],
    ids=["security", "log", "event", "periodic-start"],
)
def test_a_call_that_no_step_has_read_fails_the_case(scenario: Scenario, action: str, payload: Payload) -> None:
    scenario.receives(action, payload)
    with pytest.raises(AssertionError, match="no step has read"):
        scenario.check()
    scenario.bench.drop_unsolicited()
    with pytest.raises(AssertionError, match="no step has read"):
        scenario.check()
    assert [frame.payload for frame in scenario.bench.take(action)] == [payload]
    scenario.check()


def test_a_call_to_another_endpoint_that_no_step_has_read_fails_the_case(scenario: Scenario) -> None:
    other_csms = Csms(scenario.bench.journal)
    scenario.bench.other_endpoints.append(other_csms)
    scenario.receives("BootNotification", {"reason": "PowerUp"}, csms=other_csms)
    with pytest.raises(AssertionError, match="no step has read"):
        scenario.check()


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("Heartbeat", {}),
        ("StatusNotification", {"connectorStatus": "Available", "evseId": 1, "connectorId": 1, "timestamp": _iso(1)}),
        ("MeterValues", {"evseId": 1, "meterValue": []}),
        ("TransactionEvent", {"eventType": "Updated", "triggerReason": "MeterValuePeriodic"}),
        ("TransactionEvent", {"eventType": "Updated", "triggerReason": "ChargingRateChanged"}),
    ],
    ids=["heartbeat", "status", "values", "sample", "rate"],
)
def test_a_call_that_may_come_at_any_time_may_be_unread(scenario: Scenario, action: str, payload: Payload) -> None:
    scenario.receives(action, payload).check()


def test_the_event_after_connecting_has_the_connector(scenario: Scenario) -> None:
    _start_transaction(scenario).driver("connected", 2).event(1, "Updated", "CablePluggedIn", 2, evse={"id": 1})
    with pytest.raises(AssertionError, match="connectorId"):
        scenario.check()


@pytest.mark.parametrize("trigger", ["Authorized", "CablePluggedIn"])
def test_the_event_after_presenting_has_the_token(scenario: Scenario, trigger: str) -> None:
    scenario.driver("presented", 1).station("Authorize", {"idToken": VALID_TOKEN}, 1)
    scenario.answered({"idTokenInfo": {"status": "Accepted"}}).event(0, "Started", trigger, 2)
    with pytest.raises(AssertionError):
        scenario.check()


def test_a_token_that_was_refused_need_not_be_reported(scenario: Scenario) -> None:
    scenario.event(0, "Started", "CablePluggedIn", 1)
    scenario.driver("presented", 2).station("Authorize", {"idToken": VALID_TOKEN}, 2)
    scenario.answered({"idTokenInfo": {"status": "Invalid"}}).event(1, "Ended", "EVCommunicationLost", 3)
    scenario.check()


@pytest.mark.parametrize(
    ("trigger", "info"),
    [("CablePluggedIn", {"remoteStartId": 7}), ("RemoteStart", {}), ("RemoteStart", {"remoteStartId": 8})],
)
def test_the_event_after_a_remote_start_says_so(scenario: Scenario, trigger: str, info: Payload) -> None:
    request = {"idToken": VALID_TOKEN, "evseId": 1, "remoteStartId": 7}
    scenario.csms("RequestStartTransaction", request, {"status": "Accepted"}, 1)
    scenario.event(0, "Started", trigger, 2, info=info)
    with pytest.raises(AssertionError):
        scenario.check()


def test_a_remote_start_that_was_rejected_starts_nothing(scenario: Scenario) -> None:
    request = {"idToken": VALID_TOKEN, "evseId": 1, "remoteStartId": 7}
    scenario.csms("RequestStartTransaction", request, {"status": "Rejected"}, 1)
    scenario.event(0, "Started", "CablePluggedIn", 2).check()


@pytest.mark.parametrize("trigger", ["StopAuthorized", "ChargingStateChanged", "EVCommunicationLost", "EVDeparted"])
@pytest.mark.parametrize("reason", ["Remote", "EVDisconnected", "MasterPass"])
def test_a_local_stop_ends_with_local(scenario: Scenario, trigger: str, reason: str) -> None:
    _start_transaction(scenario).event(1, "Updated", "StopAuthorized", 3)
    scenario.event(2, "Ended", trigger, 4, info={"stoppedReason": reason})
    with pytest.raises(AssertionError):
        scenario.check()


def test_a_firmware_status_names_its_request(scenario: Scenario) -> None:
    scenario.csms("UpdateFirmware", {"requestId": 3}, {"status": "Accepted"}, 1)
    scenario.station("FirmwareStatusNotification", {"status": "Downloading", "requestId": 3}, 2).check()
    scenario.station("FirmwareStatusNotification", {"status": "Downloaded", "requestId": 4}, 3)
    with pytest.raises(AssertionError):
        scenario.check()


def test_an_update_that_was_replaced_reports_no_more(scenario: Scenario) -> None:
    scenario.csms("UpdateFirmware", {"requestId": 3}, {"status": "Accepted"}, 1)
    scenario.csms("UpdateFirmware", {"requestId": 4}, {"status": "AcceptedCanceled"}, 2)
    scenario.station("FirmwareStatusNotification", {"status": "Downloading", "requestId": 3}, 2)  # on its way already
    scenario.station("FirmwareStatusNotification", {"status": "Downloading", "requestId": 4}, 3).check()
    scenario.station("FirmwareStatusNotification", {"status": "Downloaded", "requestId": 3}, 4)
    with pytest.raises(AssertionError, match="replaced"):
        scenario.check()


@pytest.mark.parametrize(
    ("action", "before"), [("connected", "Available"), ("disconnected", "Occupied")], ids=["connected", "disconnected"]
)
def test_a_new_status_is_reported_after_connecting_and_disconnecting(
    scenario: Scenario, action: str, before: str
) -> None:
    after = {"Available": "Occupied", "Occupied": "Available"}[before]
    connector = {"evseId": 1, "connectorId": 1}
    scenario.station("StatusNotification", {**connector, "connectorStatus": before, "timestamp": _iso(1)}, 1)
    scenario.driver(action, 2).event(0, "Started", "CablePluggedIn", 9)
    with pytest.raises(AssertionError, match="no status"):
        scenario.check()
    scenario.station("StatusNotification", {**connector, "connectorStatus": after, "timestamp": _iso(2)}, 9).check()


@pytest.mark.parametrize(
    "timestamp",
    ["2026-01-01T00:00:01.000+00:00", "2026-01-01T00:00:01.000001Z", _iso(30)],
    ids=["offset", "micro", "late"],
)
def test_times_are_utc_in_milliseconds_and_not_in_the_future(scenario: Scenario, timestamp: str) -> None:
    scenario.station("MeterValues", {"evseId": 1, "meterValue": [{"timestamp": timestamp, "sampledValue": []}]}, 2)
    with pytest.raises(AssertionError):
        scenario.check()


def test_the_periods_of_a_schedule_are_in_order(scenario: Scenario) -> None:
    periods = [{"startPeriod": 60, "limit": 6.0}, {"startPeriod": 0, "limit": 16.0}]
    scenario.csms(
        "GetCompositeSchedule", {}, {"status": "Accepted", "schedule": {"chargingSchedulePeriod": periods}}, 1
    )
    with pytest.raises(AssertionError):
        scenario.check()


def test_no_authorization_has_an_empty_token(scenario: Scenario) -> None:
    scenario.event(0, "Started", "CablePluggedIn", 1, idToken={"idToken": "somebody", "type": "NoAuthorization"})
    with pytest.raises(AssertionError):
        scenario.check()
