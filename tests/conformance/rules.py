"""The general rules of Part 6 §2.1, and those of Part 4 for CALLs, checked after every test over all that passed."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, cast

from tests.conformance.bench import DEVIATION_S, PERIODIC, Bench, DriverAction
from tests.conformance.frames import Frame, Payload

_DEVIATION = timedelta(seconds=DEVIATION_S)
_MIN_TIMEOUT_S = 5.0
"""a station that waits less for an answer does not wait"""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z")


def check(bench: Bench) -> None:
    """Assert that the station has kept all general rules; the first broken one fails the test."""
    assert bench.journal.faults == [], bench.journal.faults
    for events in _transactions(bench).values():
        _numbered_in_order(events)
        _begins_with_started(events)
        _ends_once_and_last(events)
        _local_stop_is_local(events)
        _no_authorization_is_empty(events)
    for driver_action in bench.driver_actions:
        _event_after_action(bench, driver_action)
        _status_is_notified(bench, driver_action)
    for index, frame in enumerate(bench.journal.frames):
        if not frame.from_station and frame.kind == 2 and frame.action == "RequestStartTransaction":
            _remote_start_is_reported(bench, index)
    _one_call_at_a_time(bench)
    _firmware_request_ids(bench)
    _times(bench)
    _periods_in_order(bench)
    _all_calls_read(bench)


def _one_call_at_a_time(bench: Bench) -> None:
    """The station's CALLs on a connection have ids of their own, and wait for the answer to the one before, or its
    timeout (part 4, 4.1.1 and 4.2.1).
    """
    known: set[tuple[int, str]] = set()
    unanswered: dict[int, Frame] = {}
    for frame in bench.journal.frames:
        key, before = (frame.connection, frame.message_id), unanswered.get(frame.connection)
        if frame.from_station and frame.kind == 2:
            assert key not in known, f"a message id that was used before: {frame}"
            waited_s = (frame.at - before.at).total_seconds() if before is not None else _MIN_TIMEOUT_S
            assert waited_s >= _MIN_TIMEOUT_S, f"{frame} while {before} is not answered"
            known.add(key)
            unanswered[frame.connection] = frame
        elif frame.kind != 2 and not frame.from_station and before is not None and before.message_id == key[1]:
            del unanswered[frame.connection]


def _transactions(bench: Bench) -> dict[str, list[Payload]]:
    found: dict[str, list[Payload]] = defaultdict(list)
    for frame in bench.journal.sent("TransactionEvent"):
        found[frame.payload["transactionInfo"]["transactionId"]].append(frame.payload)
    return found


def _numbered_in_order(events: list[Payload]) -> None:
    """seqNo is sequential in chronological order, however the messages are ordered; a repeated message counts once."""
    by_number: dict[int, Payload] = {}
    for event in events:
        comparable = event | {"offline": None}  # a message that is repeated may say that it is late
        assert by_number.setdefault(event["seqNo"], comparable) == comparable, (
            f"seqNo {event['seqNo']} names two events"
        )
    numbers = sorted(by_number)
    assert numbers == list(range(len(numbers))), f"seqNo are {numbers}"
    times = [_moment(by_number[number]["timestamp"]) for number in numbers]
    assert times == sorted(times), "seqNo are not in chronological order"


def _begins_with_started(events: list[Payload]) -> None:
    started = [event["seqNo"] for event in events if event["eventType"] == "Started"]
    assert set(started) == {0}, f"events that start the transaction have seqNo {started}"


def _ends_once_and_last(events: list[Payload]) -> None:
    """Ended is the last event of a transaction, and occurs once; a repeated message counts once."""
    last = max(event["seqNo"] for event in events)
    ended = sorted({event["seqNo"] for event in events if event["eventType"] == "Ended"})
    assert ended in ([], [last]), f"Ended has seqNo {ended}, the last event {last}"


def _local_stop_is_local(events: list[Payload]) -> None:
    """A stop at the station itself is Local, or says nothing of it; a master pass stops another's transaction."""
    stops = [event for event in events if event["triggerReason"] == "StopAuthorized"]
    tokens = [event["idToken"]["idToken"] for event in events if "idToken" in event]
    allowed = {"Local", "MasterPass"} if len(set(tokens)) > 1 else {"Local"}
    if stops and "idToken" not in stops[-1] and events[-1]["triggerReason"] == "StopAuthorized":
        allowed |= {"StoppedByEV"}  # E15.FR.04: a vehicle that ends its session presents no token
    for end in (event for event in events if event["eventType"] == "Ended"):
        if stops and end["triggerReason"] not in {"ResetCommand", "RemoteStop"}:
            assert end["transactionInfo"].get("stoppedReason", "Local") in allowed, end


def _no_authorization_is_empty(events: list[Payload]) -> None:
    """The id token of type NoAuthorization is an empty string."""
    for id_token in (event["idToken"] for event in events if "idToken" in event):
        assert id_token["type"] != "NoAuthorization" or id_token["idToken"] == "", id_token


def _all_calls_read(bench: Bench) -> None:
    """At the end of a case every CALL of the station has been read, except those that may come at any time."""
    unread = [received for endpoint in (bench.csms, *bench.other_endpoints) for received in bench.unread(endpoint)]
    assert not unread, "no step has read " + "; ".join(str(received.frame) for received in unread)


def _event_after_action(bench: Bench, driver_action: DriverAction) -> None:
    """Check the fields of the first event after a driver's action."""
    kinds = {"connected"} if driver_action.action == "connected" else {"presented", "remote-start"}
    later = [
        m.at
        for m in bench.driver_actions
        if m.action in kinds and m.evse_id == driver_action.evse_id and m.at > driver_action.at
    ]
    first = _first_after(bench, driver_action.evse_id, driver_action.at, min(later, default=None))
    if first is None:
        return
    if driver_action.action == "connected":
        assert first.get("evse", {}).get("id") == driver_action.evse_id, f"no evse.id after connecting: {first}"
        assert first["evse"].get("connectorId") is not None, f"no evse.connectorId after connecting: {first}"
    if driver_action.action == "presented" and (
        first["triggerReason"] == "Authorized" or _authorizes(bench, driver_action, first)
    ):
        assert first.get("idToken", {}).get("idToken") == (driver_action.id_token or {}).get("idToken"), first


def _status_is_notified(bench: Bench, driver_action: DriverAction) -> None:
    """After connecting or disconnecting, the connector's new status is sent if it was Available or Occupied before."""
    status_before = {"connected": "Available", "disconnected": "Occupied"}
    if driver_action.action not in status_before:
        return
    notifications = [
        f for f in bench.journal.sent("StatusNotification") if f.payload["evseId"] == driver_action.evse_id
    ]
    before = [f.payload["connectorStatus"] for f in notifications if _moment(f.payload["timestamp"]) < driver_action.at]
    later = [
        m.at
        for m in bench.driver_actions
        if m.action in status_before and m.evse_id == driver_action.evse_id and m.at > driver_action.at
    ]
    until = min(later, default=None)
    events = [f for f in bench.journal.sent("TransactionEvent") if _evse_of(bench, f) == driver_action.evse_id]
    # An event of this EVSE was sent since, so the station was connected and had the time.
    since = [f for f in events if f.at > driver_action.at + _DEVIATION and (until is None or f.at < until)]
    if not since or not before or before[-1] != status_before[driver_action.action]:
        return
    assert [f for f in notifications if _moment(f.payload["timestamp"]) >= driver_action.at], (
        f"no status after {driver_action}"
    )


def _authorizes(bench: Bench, driver_action: DriverAction, first: Payload) -> bool:
    """Whether the CSMS accepted the token, and no earlier event of the transaction has an idToken."""
    if first["triggerReason"] == "StopAuthorized":
        return False
    events = _transactions(bench)[first["transactionInfo"]["transactionId"]]
    if any("idToken" in event for event in events if event["seqNo"] < first["seqNo"]):
        return False
    request_ids = {
        frame.message_id
        for frame in bench.journal.sent("Authorize")
        if frame.at >= driver_action.at
        and frame.payload["idToken"]["idToken"] == (driver_action.id_token or {}).get("idToken")
    }
    answers = [
        f.payload for f in bench.journal.frames if not f.from_station and f.kind == 3 and f.message_id in request_ids
    ]
    return bool(answers) and answers[0]["idTokenInfo"]["status"] == "Accepted"


def _remote_start_is_reported(bench: Bench, index: int) -> None:
    """The first event sent after an accepted RequestStartTransactionRequest is a RemoteStart with remoteStartId."""
    frames = bench.journal.frames
    call = frames[index]
    accepted = any(
        f.from_station and f.kind == 3 and f.message_id == call.message_id and f.payload["status"] == "Accepted"
        for f in frames[index:]
    )
    evse_id = call.payload.get("evseId")
    if not accepted or evse_id is None:
        return
    at = call.at.replace(
        microsecond=call.at.microsecond // 1000 * 1000
    )  # rounded to the milliseconds of the station's times
    starts = (m for m in bench.driver_actions if m.action in {"presented", "remote-start"} and m.evse_id == evse_id)
    later = [driver_action.at for driver_action in starts if driver_action.at > at]
    first = _first_after(bench, evse_id, at, min(later, default=None), index)
    if first is not None:
        assert first["triggerReason"] == "RemoteStart", first
        assert first["transactionInfo"].get("remoteStartId") == call.payload["remoteStartId"], first


def _first_after(bench: Bench, evse_id: int, at: datetime, until: datetime | None, index: int = 0) -> Payload | None:
    """The first event of an EVSE from a moment on, in its chronological order; periodic meter values aside."""
    events = [
        frame.payload
        for frame in bench.journal.frames[index:]
        if frame.from_station
        and frame.kind == 2
        and frame.action == "TransactionEvent"
        and _moment(frame.payload["timestamp"]) >= at
        and (until is None or _moment(frame.payload["timestamp"]) < until)
        and _evse_of(bench, frame) == evse_id
        and frame.payload["triggerReason"] not in PERIODIC
    ]
    return min(events, key=lambda event: (_moment(event["timestamp"]), event["seqNo"]), default=None)


def _evse_of(bench: Bench, frame: Frame) -> int | None:
    """The EVSE of an event: at least one event of its transaction names it."""
    identity = frame.payload["transactionInfo"]["transactionId"]
    for frame_of_transaction in bench.journal.sent("TransactionEvent"):
        if (
            frame_of_transaction.payload["transactionInfo"]["transactionId"] == identity
            and "evse" in frame_of_transaction.payload
        ):
            return int(frame_of_transaction.payload["evse"]["id"])
    return 1 if bench.setup.evses == 1 else None


def _firmware_request_ids(bench: Bench) -> None:
    """Every status of a firmware update carries the requestId of the UpdateFirmware that began it.

    An update that took the place of another one is not followed by statuses of that one, but where the CSMS asks.
    """
    request_ids: list[int] = []
    latest, triggered = 0, False
    for frame in (call for call in bench.journal.frames if call.kind == 2):
        if frame.action == "UpdateFirmware":
            request_ids.append(frame.payload["requestId"])
        triggered |= frame.action == "TriggerMessage"
        if frame.action != "FirmwareStatusNotification" or frame.payload["status"] == "Idle":
            continue
        assert frame.payload.get("requestId") in request_ids, frame.payload
        place = len(request_ids) - 1 - request_ids[::-1].index(frame.payload["requestId"])
        assert place >= latest or triggered, f"of an update that another one has replaced: {frame.payload}"
        latest = max(latest, place)


def _times(bench: Bench) -> None:
    """Times that the station sends carry milliseconds at the most and a Z, and are not in the future."""
    for frame in bench.journal.frames:
        if not frame.from_station or frame.kind == 4:
            continue
        for name, value in _fields(frame.payload):
            if name in {"timestamp", "generatedAt"}:
                assert _TIME.fullmatch(value), f"{frame.action}: {value}"
                assert _moment(value) <= frame.at + _DEVIATION, f"{frame.action} is from the future: {value}"


def _periods_in_order(bench: Bench) -> None:
    """The periods of a charging schedule are ordered by increasing startPeriod."""
    for frame in bench.journal.frames:
        if not frame.from_station or frame.kind == 4:
            continue
        for name, value in _fields(frame.payload):
            if name == "chargingSchedulePeriod":
                starts = [period["startPeriod"] for period in value]
                assert starts == sorted(set(starts)), f"{frame.action}: {value}"


def _fields(payload: Any) -> Iterator[tuple[str, Any]]:
    """All fields of a message with their names, at any depth, without vendor data."""
    if isinstance(payload, dict):
        for name, value in cast("dict[str, Any]", payload).items():
            if name not in {"customData", "data"}:
                yield name, value
                yield from _fields(value)
    elif isinstance(payload, list):
        for element in cast("list[Any]", payload):
            yield from _fields(element)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
