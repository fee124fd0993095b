"""What passes between the test system and the station: frames, checked against the OCPP schemas in both directions."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

import jsonschema_rs

OcppVersion = Literal["2.0.1", "2.1"]
Payload = dict[str, Any]
"""JSON as it is on the wire"""

_LONGEST_ID = 36
_LONGEST_DESCRIPTION = 255
ERROR_CODES = frozenset(
    {
        "FormatViolation",
        "GenericError",
        "InternalError",
        "MessageTypeNotSupported",
        "NotImplemented",
        "NotSupported",
        "OccurrenceConstraintViolation",
        "PropertyConstraintViolation",
        "ProtocolError",
        "RpcFrameworkError",
        "SecurityError",
        "TypeConstraintViolation",
    }
)
"""part 4, §4.3, table 8"""


@dataclass(frozen=True)
class Frame:
    """One OCPP message, and when it passed on the station's clock."""

    from_station: bool
    kind: int
    """2 CALL, 3 CALLRESULT, 4 CALLERROR, 6 SEND"""
    message_id: str
    action: str
    """of an answer: the action that it answers"""
    payload: Any
    at: datetime
    connection: int
    """the number of the websocket, counted from 1"""
    edition: OcppVersion = "2.0.1"
    """of the connection"""

    def __str__(self) -> str:
        sender = "station" if self.from_station else "CSMS   "
        kind = {2: "CALL", 3: "RESULT", 4: "ERROR", 6: "SEND"}.get(self.kind, str(self.kind))
        return f"{self.at:%H:%M:%S.%f} #{self.connection} {sender} {kind:6} {self.action} {json.dumps(self.payload)}"


@cache
def _folder(edition: OcppVersion) -> Path:
    found = importlib.util.find_spec("ocpp")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / f"v{edition.replace('.', '')}" / "schemas"


@cache
def _validator(name: str, edition: OcppVersion) -> jsonschema_rs.Validator | None:
    file = _folder(edition) / f"{name}.json"
    if not file.exists():
        return None
    return jsonschema_rs.validator_for(json.loads(file.read_text(encoding="utf-8-sig")))


def fault_of(frame: Frame) -> str | None:
    """The fault of a frame by its schema or by part 4, 4.2; None if it is valid."""
    if not 0 < len(frame.message_id) <= _LONGEST_ID:
        return f"{frame.action}: the message id {frame.message_id!r} has not 1 to {_LONGEST_ID} characters"
    if frame.kind == 4:
        return _fault_of_error(frame)
    if frame.kind == 6 and frame.edition == "2.0.1":
        return f"{frame.action}: OCPP 2.0.1 has no SEND"
    name = frame.action + {2: "Request", 3: "Response", 6: ""}[frame.kind]
    validator = _validator(name, frame.edition)
    if validator is None:
        return f"{name}: there is no such message"
    for error in validator.iter_errors(frame.payload):
        return f"{name}: {'/'.join(str(step) for step in error.instance_path)}: {error.message}"
    return None


def _fault_of_error(frame: Frame) -> str | None:
    """A CALLERROR has no schema, but a code of the table, a description that is not too long, and an object."""
    code, description = frame.payload["code"], frame.payload["description"]
    if code not in ERROR_CODES:
        return f"CALLERROR to {frame.action}: there is no code {code}"
    if not isinstance(description, str) or len(description) > _LONGEST_DESCRIPTION:
        return f"CALLERROR to {frame.action}: no description: {description!r}"
    if not isinstance(frame.payload.get("details", {}), dict):
        return f"CALLERROR to {frame.action}: errorDetails is no object: {frame.payload['details']!r}"
    return None
