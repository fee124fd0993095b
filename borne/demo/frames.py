"""Short summaries of the last OCPP frames, for the demonstration's screen."""

from __future__ import annotations

import json
from collections import deque
from typing import Final

from foundation.frozen import Frozen
from foundation.json_values import is_list, is_object
from station.core.identifiers import shorten_token

Json = dict[str, object]
_CALLRESULT, _CALLERROR = 3, 4
_MAX_FRAMES = 200


class FrameSummary(Frozen):
    """The summary of one OCPP frame, as the demonstration shows it."""

    at: str
    """time of day"""
    from_station: bool
    """whether the station sent it"""
    action: str
    """OCPP action; of a response, that of its request"""
    answer: bool
    """whether it is a response or an error"""
    summary: str
    """its most important values in a few words; may be empty"""

    @property
    def arrow(self) -> str:
        """→ if the station sent the frame, else ←."""
        return "→" if self.from_station else "←"


class Frames:
    """The summaries of the last 200 OCPP frames, and the requests that still lack a response."""

    def __init__(self) -> None:
        self.summaries: deque[FrameSummary] = deque(maxlen=_MAX_FRAMES)
        """the summaries, the newest last"""
        self._requests: dict[str, str] = {}

    def add(self, at: str, direction: str, text: str) -> FrameSummary | None:
        """Add a frame with its time of day, and return its summary; None if it is not an OCPP frame.

        `direction`: `out` if the station sent it.
        """
        try:
            frame: object = json.loads(text)
        except ValueError:
            return None
        if not is_list(frame) or len(frame) < 3:
            return None
        identity = str(frame[1])
        if frame[0] in (_CALLRESULT, _CALLERROR):
            action = self._requests.pop(identity, "?")
            refused = frame[0] == _CALLERROR
            summary = f"refused: {frame[2]}" if refused else _response_summary(_object(frame[2]))
        else:
            action, summary = (
                str(frame[2]),
                _request_summary(str(frame[2]), _object(frame[3] if len(frame) > 3 else {})),
            )
            self._requests[identity] = action
        frame_summary = FrameSummary(at, direction == "out", action, frame[0] in (_CALLRESULT, _CALLERROR), summary)
        self.summaries.append(frame_summary)
        return frame_summary


def _object(value: object) -> Json:
    return value if is_object(value) else {}


def _objects(value: object) -> list[Json]:
    return [part for part in value if is_object(part)] if is_list(value) else []


def _object_field(payload: Json, name: str) -> Json:
    return _object(payload.get(name))


def _response_summary(payload: Json) -> str:
    status = payload.get("status") or _object_field(payload, "idTokenInfo").get("status")
    return str(status) if status is not None else "ok"


def _request_summary(action: str, payload: Json) -> str:
    match action:
        case "BootNotification":
            station = _object_field(payload, "chargingStation")
            return f"{payload.get('reason')}: {station.get('vendorName')} {station.get('model')}"
        case "StatusNotification":
            return f"EVSE {payload.get('evseId')} {payload.get('connectorStatus')}"
        case "Authorize":
            return _card_summary(payload)
        case "TransactionEvent":
            return _event_summary(payload)
        case "SetChargingProfile":
            return _profile_summary(payload)
        case "RequestStartTransaction":
            return f"EVSE {payload.get('evseId')}, {_card_summary(payload)}"
        case "RequestStopTransaction" | "GetTransactionStatus":
            return str(payload.get("transactionId", ""))[:8]
        case _:
            return ""


_EVENT_NAMES: Final = {"Started": "Started", "Updated": "Updated", "Ended": "Ended  "}


def _event_summary(payload: Json) -> str:
    kind = str(payload.get("eventType"))
    parts = [f"#{payload.get('seqNo')}", _EVENT_NAMES.get(kind, kind), str(payload.get("triggerReason"))]
    if (register := _register_wh(payload)) is not None:
        parts.append(f"{register:.1f} Wh")
    elif "idToken" in payload:
        parts.append(_card_summary(payload))
    elif (state := _object_field(payload, "transactionInfo").get("chargingState")) is not None:
        parts.append(str(state))
    if payload.get("offline"):
        parts.append("offline")
    return " ".join(parts)


def _register_wh(payload: Json) -> float | None:
    """The last reading of the register in an event, Wh."""
    for value in reversed(_objects(payload.get("meterValue"))):
        for sample in _objects(value.get("sampledValue")):
            if sample.get("measurand", "Energy.Active.Import.Register") == "Energy.Active.Import.Register":
                return number if isinstance(number := sample.get("value"), int | float) else None
    return None


def _profile_summary(payload: Json) -> str:
    profile = _object_field(payload, "chargingProfile")
    schedules = _objects(profile.get("chargingSchedule")) or [{}]
    periods = _objects(schedules[0].get("chargingSchedulePeriod")) or [{}]
    return f"{profile.get('chargingProfilePurpose')} {periods[0].get('limit')} {schedules[0].get('chargingRateUnit')}"


def _card_summary(payload: Json) -> str:
    return f"card {shorten_token(str(_object_field(payload, 'idToken').get('idToken', '')))}"
