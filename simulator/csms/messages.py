"""Frames and schemas of the bundled CSMS: independent of the station's own, so that both are tested by the other."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from jsonschema_rs import ValidationError, validator_for
from jsonschema_rs import ValidationErrorKind as Kind
from msgspec import MsgspecError
from msgspec.json import decode as loads
from msgspec.json import encode as dumps

from foundation.frozen import Frozen
from foundation.json_values import is_list, is_object

if TYPE_CHECKING:
    from jsonschema_rs import Validator

Payload: TypeAlias = Mapping[str, object]

NO_MESSAGE_ID: Final = "-1"
"""message id of a CALLERROR to a frame whose own id cannot be read (part 4, §4.2.3)"""


class RequestFrame(Frozen):
    """A CALL: [2, id, action, payload]."""

    id: str
    action: str
    payload: Payload


class ResultFrame(Frozen):
    """A CALLRESULT: [3, id, payload]."""

    id: str
    payload: Payload


class ErrorFrame(Frozen):
    """A CALLERROR: [4, id, code, description, details]; the details are ignored."""

    id: str
    code: str
    description: str


class InvalidFrameError(Exception):
    """A received frame is none of OCPP's."""

    def __init__(self, response: ErrorFrame) -> None:
        """`response` is to be sent (part 4, §4.2.3)."""
        super().__init__(response.description)
        self.response = response


def encode(message: RequestFrame | ResultFrame | ErrorFrame) -> str:
    """The frame of a message."""
    match message:
        case RequestFrame(id, action, payload):
            parts: list[object] = [2, id, action, payload]
        case ResultFrame(id, payload):
            parts = [3, id, payload]
        case ErrorFrame(id, code, description):
            parts = [4, id, code, description, {}]
    return dumps(parts).decode()


def decode(frame: str) -> RequestFrame | ResultFrame | ErrorFrame | None:
    """The message of a frame; None: an answer that is not valid, which must not be answered.

    Raises:
        InvalidFrameError: the frame is no message.
    """
    try:
        parts: object = loads(frame)
    except (MsgspecError, ValueError, RecursionError):
        raise _invalid_frame(NO_MESSAGE_ID, "RpcFrameworkError", "the frame is not valid JSON") from None
    if not is_list(parts) or len(parts) < 2:
        raise _invalid_frame(NO_MESSAGE_ID, "RpcFrameworkError", "the frame is not an array with a message id")
    kind, identity, *rest = parts
    if not isinstance(identity, str) or not identity:
        raise _invalid_frame(NO_MESSAGE_ID, "RpcFrameworkError", "the frame is not an array with a message id")
    if isinstance(kind, bool) or kind not in (2, 3, 4):
        raise _invalid_frame(identity, "MessageTypeNotSupported", "the message type is not 2, 3 or 4")
    match kind, rest:
        case 2, [str(action), payload] if is_object(payload):
            return RequestFrame(identity, action, payload)
        case 3, [payload] if is_object(payload):
            return ResultFrame(identity, payload)
        case 4, [str(code), str(description), *_]:
            return ErrorFrame(identity, code, description)
        case 2, _:
            raise _invalid_frame(identity, "RpcFrameworkError", "a CALL must be [2, id, action, payload]")
        case _:
            return None


def _invalid_frame(identity: str, code: str, description: str) -> InvalidFrameError:
    return InvalidFrameError(ErrorFrame(identity, code, description))


class RequestSchemas:
    """The JSON schemas of the requests of OCPP 2.0.1, from the package `ocpp`; each is compiled at its first use."""

    def __init__(self) -> None:
        suffix = "Request"
        self._schema_files = {file.stem.removesuffix(suffix): file for file in schema_folder().glob(f"*{suffix}.json")}
        self._validators: dict[str, Validator] = {}

    def __contains__(self, action: str) -> bool:
        return action in self._schema_files

    def check(self, call: RequestFrame) -> ErrorFrame | None:
        """Check the payload of a request; returns the response if it is invalid.

        Raises:
            KeyError: OCPP 2.0.1 has no such action.
        """
        validator = self._validators.get(call.action)
        if validator is None:
            text = self._schema_files[call.action].read_text(encoding="utf-8-sig")
            validator = self._validators[call.action] = validator_for(text, validate_formats=False)
        try:
            validator.validate(call.payload)
        except ValidationError as error:
            return ErrorFrame(call.id, _error_code(error.kind), error.message[:255])
        except ValueError as error:  # an object that JSON does not have, such as an unpaired surrogate
            return ErrorFrame(call.id, "FormatViolation", str(error)[:255])
        return None


def schema_folder() -> Path:
    """The folder of the JSON schemas of OCPP 2.0.1; found without importing the package, which takes 100 ms."""
    spec = find_spec("ocpp")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the package ocpp, which brings the schemas of OCPP 2.0.1, is not installed")
    return Path(spec.origin).parent / "v201" / "schemas"


def _error_code(kind: Kind) -> str:
    """The error code of Part 4 table 8, as the package `ocpp` chooses it."""
    match kind:
        case Kind.Type() | Kind.MaxLength():
            return "TypeConstraintViolation"
        case Kind.Required():
            return "ProtocolError"
        case _:
            return "FormatViolation"
