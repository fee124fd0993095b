"""The general rules of Part 6 §2.1, checked after every test over all that passed."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta

from tests.conformance.bench import Bench, Mark
from tests.conformance.frames import Frame, Payload

_DEVIATION = timedelta(seconds=4)
"""the certification labs' deviation of times"""


def check(bench: Bench) -> None:
    """All of them; the first that is broken fails the test."""
    assert bench.journal.faults == [], bench.journal.faults
    for events in _transactions(bench).values():
        _numbered_in_order(events)
        _begins_with_started(events)
        _local_stop_is_local(events)
    for mark in bench.marks:
        _told_after(bench, mark)
    _firmware_request_ids(bench)
    _times(bench)


def _transactions(bench: Bench) -> dict[str, list[Payload]]:
    found: dict[str, list[Payload]] = defaultdict(list)
    for frame in bench.journal.sent("TransactionEvent"):
        found[frame.payload["transactionInfo"]["transactionId"]].append(frame.payload)
    return found


def _numbered_in_order(events: list[Payload]) -> None:
    """seqNo is sequential in chronological order, however the messages are ordered; a repeated message counts once."""
    by_number = {event["seqNo"]: event for event in events}
    numbers = sorted(by_number)
    assert numbers == list(range(len(numbers))), f"seqNo are {numbers}"
    times = [_moment(by_number[number]["timestamp"]) for number in numbers]
    assert times == sorted(times), "seqNo are not in chronological order"


def _begins_with_started(events: list[Payload]) -> None:
    started = [event["seqNo"] for event in events if event["eventType"] == "Started"]
    assert set(started) == {0}, f"events that start the transaction have seqNo {started}"


def _local_stop_is_local(events: list[Payload]) -> None:
    """A stop at the station itself is Local, or says nothing of it."""
    stops = [event for event in events if event["triggerReason"] == "StopAuthorized"]
    for end in (event for event in events if event["eventType"] == "Ended"):
        if stops and end["triggerReason"] in {"StopAuthorized", "ChargingStateChanged"}:
            reason = end["transactionInfo"].get("stoppedReason", "Local")
            assert reason in {"Local", "MasterPass"}, end


def _told_after(bench: Bench, mark: Mark) -> None:
    """What the first event after a driver's action must carry."""
    later = [m.at for m in bench.marks if m.what == mark.what and m.evse_id == mark.evse_id and m.at > mark.at]
    until = min(later, default=None)
    events = [
        frame.payload
        for frame in bench.journal.sent("TransactionEvent")
        if _moment(frame.payload["timestamp"]) >= mark.at
        and (until is None or _moment(frame.payload["timestamp"]) < until)
        and _evse_of(bench, frame) == mark.evse_id
        and frame.payload["triggerReason"] not in {"MeterValuePeriodic", "MeterValueClock"}
    ]
    if not events:
        return
    first = min(events, key=lambda event: (_moment(event["timestamp"]), event["seqNo"]))
    if mark.what == "connected":
        assert first.get("evse", {}).get("connectorId") is not None, f"no evse.connectorId after connecting: {first}"
    if mark.what == "remote-start":
        assert first["triggerReason"] == "RemoteStart", first
        assert first["transactionInfo"].get("remoteStartId") is not None, first
    if mark.what == "presented" and first["triggerReason"] == "Authorized":
        assert first.get("idToken", {}).get("idToken") == (mark.id_token or {}).get("idToken"), first


def _evse_of(bench: Bench, frame: Frame) -> int | None:
    """The EVSE of an event: told by one event of its transaction at least."""
    identity = frame.payload["transactionInfo"]["transactionId"]
    for other in bench.journal.sent("TransactionEvent"):
        if other.payload["transactionInfo"]["transactionId"] == identity and "evse" in other.payload:
            return int(other.payload["evse"]["id"])
    return None


def _firmware_request_ids(bench: Bench) -> None:
    """Every status of a firmware update carries the requestId of the UpdateFirmware that began it."""
    asked = {
        f.payload["requestId"]
        for f in bench.journal.frames
        if not f.from_station and f.action == "UpdateFirmware" and f.kind == 2
    }
    for frame in bench.journal.sent("FirmwareStatusNotification"):
        if frame.payload["status"] != "Idle":
            assert frame.payload.get("requestId") in asked, frame.payload


def _times(bench: Bench) -> None:
    """Times that the station sends carry milliseconds at the most, a Z, and are not in the future."""
    for frame in bench.journal.frames:
        if frame.from_station and frame.kind == 2 and isinstance(told := frame.payload.get("timestamp"), str):
            assert told.endswith("Z"), told
            assert _moment(told) <= frame.at + _DEVIATION, f"{frame.action} is from the future: {told}"


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
