"""The frames of OCPP-J: text ↔ CALL, CALLRESULT, CALLERROR (part 4, chapter 4). Pure; `decode` never raises."""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias, cast

from msgspec import DecodeError, field
from msgspec.json import Decoder, Encoder

from foundation.frozen import Frozen
from ocpp_handlers.wire.edition import CALL, CALLERROR, CALLRESULT, CALLRESULTERROR, SEND
from station.core.identifiers import shorten_token

if TYPE_CHECKING:
    from ocpp_handlers.wire.edition import Edition

Payload: TypeAlias = dict[str, object]

UNREADABLE_ID = "-1"
"""the message id of a CALLERROR to a frame whose message id cannot be read (§4.2.3)"""
_LONGEST_ID = 36
_LARGEST_EXACT_INTEGER = 2**53
_MAX_DIGITS: Final = 4_000
"""digits of an integer that are parsed: Python refuses more than 4,300"""


class Call(Frozen):
    """A request frame (CALL), received or to be sent; its payload is any JSON, not checked against the schema yet."""

    id: str
    action: str
    payload: object


class CallResult(Frozen):
    """The response frame to a CALL (CALLRESULT), with its message id; the payload is not checked yet."""

    id: str
    payload: object


class CallError(Frozen):
    """The error response to a CALL (CALLERROR): message id of that CALL, error code, sentence and details."""

    id: str
    code: str
    description: str = ""
    details: Payload = field(default_factory=dict[str, object])


class CallResultError(Frozen):
    """The answer to a CALLRESULT that its receiver cannot use, with its message id (OCPP 2.1 part 4, §4.2.3)."""

    id: str
    code: str
    description: str = ""


class Send(Frozen):
    """A message that is not answered (SEND; OCPP 2.1 part 4, §4.2.4); its payload is not checked."""

    id: str
    action: str
    payload: object


class InvalidFrame(Frozen):
    """A received text that is not a valid frame.

    `reply`: the CALLERROR to send; None if it was itself a response, or asks for none.
    """

    reason: str
    reply: CallError | None


Frame: TypeAlias = Call | CallResult | CallError | CallResultError | Send | InvalidFrame


def decode(text: str | bytes, edition: Edition) -> Frame:
    """Parse a frame received in a session of this edition; never raises.

    What is wrong is an InvalidFrame, or a CallError for a bad response.
    """
    if isinstance(text, bytes):
        return _invalid_call(UNREADABLE_ID, "RpcFrameworkError", "the frame is binary, not text")
    try:
        parts = _parse(text)
    except (ValueError, RecursionError) as error:
        return _invalid_call(UNREADABLE_ID, "RpcFrameworkError", f"the frame is not valid JSON: {type(error).__name__}")
    if not isinstance(parts, list) or len(cast("list[object]", parts)) < 2:
        return _invalid_call(
            UNREADABLE_ID, "RpcFrameworkError", "the frame is not an array of message type and message id"
        )
    return _decode_array(cast("list[object]", parts), text, edition)


def _decode_array(parts: list[object], text: str, edition: Edition) -> Frame:
    kind, identity = parts[0], parts[1]
    readable = isinstance(identity, str) and 0 < len(identity) <= _LONGEST_ID and _is_encodable(identity)
    message_id = identity if isinstance(identity, str) and readable else UNREADABLE_ID
    if isinstance(kind, bool) or kind not in edition.frame_kinds:
        *first_kinds, last = edition.frame_kinds
        expected = f"{', '.join(map(str, first_kinds))} or {last}"
        return _invalid_call(message_id, "MessageTypeNotSupported", f"the message type is not {expected}")
    if kind == CALL:
        return _decode_call(parts, message_id, text)
    if kind == SEND:
        return _decode_send(parts, message_id, text)
    if not readable:
        return InvalidFrame("the response has no readable message id", None)
    if not _has_no_surrogates(parts, text):
        return CallError(message_id, "FormatViolation", "the response contains an unpaired surrogate")
    if kind == CALLRESULTERROR:
        return _decode_result_error(parts, message_id)
    if kind == CALLRESULT:
        return (
            CallResult(message_id, parts[2])
            if len(parts) == 3
            else InvalidFrame("a CALLRESULT must be [3, id, payload]", None)
        )
    return _decode_call_error(parts, message_id)


def _decode_call_error(parts: list[object], message_id: str) -> CallError:
    if len(parts) != 5 or not isinstance(parts[2], str):
        # Some CSMSs leave out empty parts: it still counts as an error response.
        return CallError(message_id, "GenericError", "the CALLERROR is incomplete")
    description = parts[3] if isinstance(parts[3], str) else ""
    details = cast("Payload", parts[4]) if isinstance(parts[4], dict) else {}
    return CallError(message_id, parts[2], description, details)


def _decode_result_error(parts: list[object], message_id: str) -> Frame:
    if len(parts) != 5 or not isinstance(parts[2], str):
        return InvalidFrame("a CALLRESULTERROR must be [5, id, code, description, details]", None)
    return CallResultError(message_id, parts[2], parts[3] if isinstance(parts[3], str) else "")


def _decode_send(parts: list[object], message_id: str, text: str) -> Frame:
    """Read a SEND; whatever is wrong with it, it is not answered (GEN.FR.07)."""
    if message_id == UNREADABLE_ID or len(parts) != 4 or not isinstance(parts[2], str):
        return InvalidFrame("a SEND must be [6, id, action, payload]", None)
    if not _has_no_surrogates(parts, text):
        return InvalidFrame("the SEND contains an unpaired surrogate", None)
    return Send(message_id, parts[2], parts[3])


def _decode_call(parts: list[object], message_id: str, text: str) -> Frame:
    if message_id == UNREADABLE_ID:
        return _invalid_call(message_id, "RpcFrameworkError", "the message id is not a string of 1 to 36 characters")
    if len(parts) != 4 or not isinstance(parts[2], str):
        return _invalid_call(message_id, "RpcFrameworkError", "a CALL must be [2, id, action, payload]")
    if not _has_no_surrogates(parts, text):
        return _invalid_call(message_id, "FormatViolation", "the request contains an unpaired surrogate")
    return Call(message_id, parts[2], parts[3])


def encode(frame: Call | CallResult | CallError | CallResultError | Send) -> str:
    """Serialize a frame to the JSON text to send; an error description is cut to 255 characters.

    Raises:
        ValueError: the payload is not JSON (NaN, for one), or nested too deeply to be written.
    """
    match frame:
        case Call():
            parts: list[object] = [CALL, frame.id, frame.action, frame.payload]
        case CallResult():
            parts = [CALLRESULT, frame.id, frame.payload]
        case CallError():
            parts = [CALLERROR, frame.id, frame.code, frame.description[:255], frame.details]
        case CallResultError():
            parts = [CALLRESULTERROR, frame.id, frame.code, frame.description[:255], {}]
        case Send():
            parts = [SEND, frame.id, frame.action, frame.payload]
    try:
        text = _ENCODER.encode(parts).decode()
        if not any(word in text for word in _WRITTEN_FOR_NO_NUMBER):
            return text
        return json.dumps(parts, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_decimal_as_float)
    except RecursionError as error:
        raise ValueError("the payload is nested too deeply") from error
    except TypeError as error:
        raise ValueError("the payload has an object that is not JSON") from error


def _decimal_as_float(value: object) -> float:
    if isinstance(value, Decimal):
        return float(value)  # NaN and infinity are refused then
    raise TypeError(f"{type(value).__name__} is not JSON")


_SECRET_VARIABLE_NAME = re.compile("password|passphrase|secret", re.IGNORECASE)
"""matches the name of a variable whose value is masked: BasicAuthPassword, and names used by vendors"""
_SECRET_FIELDS = {"apn": ("apnPassword", "simPin"), "vpn": ("password", "key")}
"""secret fields of a NetworkConnectionProfile"""
_KEY_CODE = "KeyCode"
_INVALID_FRAME_TEXT = "<a frame that is not valid>"
_TOKEN_FIELDS = frozenset({"idToken", "additionalIdToken", "customerIdentifier"})
"""fields that identify a customer, if their value is text"""
_MAY_CONTAIN_SECRET = re.compile(rf'{_SECRET_VARIABLE_NAME.pattern}|"apn"|"vpn"|{_KEY_CODE}|\\u', re.IGNORECASE)
"""matches a frame that may carry a secret; an escaped character may be part of such a word"""
_USER_INFO_IN_JSON = re.compile(r'(:(?:\\?/){2})(?:[^"/\\\s]|\\[^/])*@')
"""user and password in a URL (GetLog and UpdateFirmware, N01.FR.17) in JSON text, where characters may be escaped"""
_USER_INFO_IN_STRING = re.compile(r"(://)[^/\s]*@")
"""the same in a parsed string"""
_LONGEST_DETAILS: Final = 300
"""characters of the details of an error in the log"""


def without_secrets(text: str) -> str:
    """Mask passwords, key codes (C04.FR.04) and users in URLs in the text of a frame, for logs and pages."""
    if "@" in text:
        text = _USER_INFO_IN_JSON.sub(r"\1***@", text)
    if _MAY_CONTAIN_SECRET.search(text) is None:
        return text if _is_whole(text) else _HIDDEN_FRAME
    try:
        masked = _masked(json.loads(text))
        written = json.dumps(masked, separators=(",", ":"), ensure_ascii=False)
        # An unpaired surrogate stays escaped: as a character, neither a log nor the API could write it.
        return written if _is_encodable(written) else json.dumps(masked, separators=(",", ":"))
    except (ValueError, RecursionError):
        return _HIDDEN_FRAME


def _is_whole(text: str) -> bool:
    """Whether a text is no part of a frame whose other part would say that it has a secret."""
    return text.rstrip().endswith("]") or not any(field in text for field in _SECRET_CARRIERS)


def anonymous(text: str) -> str:
    """Shorten the id tokens in a frame without secrets, and mask other personal data, for the disk.

    Vendor data and the report about a customer are masked as a whole.
    """
    try:
        parts = cast("object", json.loads(text))
        if isinstance(parts, list):
            wire = cast("list[object]", parts)
            if isinstance(payload := wire[-1], dict) and "data" in (fields := cast("Payload", payload)):
                wire[-1] = {**fields, "data": "***"}
        written = json.dumps(_anonymized(cast("object", parts)), separators=(",", ":"), ensure_ascii=False)
    except (ValueError, IndexError, RecursionError):
        return _INVALID_FRAME_TEXT
    return written if _is_encodable(written) else _INVALID_FRAME_TEXT


def _anonymized(node: object) -> object:
    """A copy of parsed JSON with shortened id tokens and masked messages to a person."""
    if isinstance(node, list):
        return [_anonymized(item) for item in cast("list[object]", node)]
    if not isinstance(node, dict):
        return node
    anonymized: Payload = {}
    for key, value in cast("Payload", node).items():
        if key in _TOKEN_FIELDS and isinstance(value, str):
            anonymized[key] = shorten_token(value)
        else:
            anonymized[key] = "***" if key == "personalMessage" else _anonymized(value)
    return anonymized


def loggable_details(details: Payload) -> str:
    """The errorDetails of a CALLERROR as JSON text for the log: without secrets, anonymous and cut."""
    try:
        text = anonymous(without_secrets(json.dumps(details, separators=(",", ":"), ensure_ascii=False)))
    except (ValueError, RecursionError):
        return _INVALID_FRAME_TEXT
    return text if len(text) <= _LONGEST_DETAILS else f"{text[:_LONGEST_DETAILS]}…"


def _masked(node: object) -> object:
    """A copy of parsed JSON with the values of secret variables, key codes and users in URLs masked."""
    if isinstance(node, list):
        return [_masked(item) for item in cast("list[object]", node)]
    if isinstance(node, str):
        return _USER_INFO_IN_STRING.sub(r"\1***@", node)
    if not isinstance(node, dict):
        return node
    fields = cast("Payload", node)
    secret = "attributeValue" in fields and _SECRET_VARIABLE_NAME.search(json.dumps(fields.get("variable"))) is not None
    hidden = {"attributeValue"} if secret else {"idToken"} if fields.get("type") == _KEY_CODE else set[str]()
    masked = {key: "***" if key in hidden else _masked(value) for key, value in fields.items()}
    for part, names in _SECRET_FIELDS.items():
        if isinstance(access := masked.get(part), dict):
            settings = cast("Payload", access)
            masked[part] = {key: "***" if key in names else value for key, value in settings.items()}
    return masked


def _has_no_surrogates(parts: list[object], text: str) -> bool:
    """Return whether no string contains an unpaired surrogate, which can be neither stored nor sent."""
    try:
        return "\\u" not in text or _is_encodable(json.dumps(parts, ensure_ascii=False))
    except RecursionError:  # writing takes a little more stack than reading; no valid payload is nested so deeply
        return False


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parse(text: str) -> object:
    """Parse JSON.

    msgspec takes a fraction of the time of `json` and refuses all that `json` refuses. It also refuses what the caller
    answers more precisely, such as unpaired surrogates: what it refuses is left to `json`.

    Raises:
        ValueError: not JSON.
        RecursionError: nested too deeply.
    """
    try:
        return _DECODER.decode(text)
    except (DecodeError, ValueError, RecursionError):
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_parse_decimal, parse_int=_parse_integer)


def _parse_decimal(text: str) -> float:
    """Parse a number with a decimal point; 1.0 becomes an integer, as in JSON schema: some libraries write it so."""
    value = float(text)
    return int(value) if value.is_integer() and abs(value) <= _LARGEST_EXACT_INTEGER else value


def _parse_integer(text: str) -> float:
    """Parse an integer; one of more digits than Python converts becomes infinite, which the check of the payload names.

    Otherwise the whole frame could not be read, nor answered by its message id.
    """
    return int(text) if len(text) <= _MAX_DIGITS else -math.inf if text.startswith("-") else math.inf


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _invalid_call(message_id: str, code: str, why: str) -> InvalidFrame:
    return InvalidFrame(why, CallError(message_id, code, why))


_DECODER: Final = Decoder(float_hook=_parse_decimal)
_HIDDEN_FRAME: Final = "<a frame with a secret>"
_SECRET_CARRIERS: Final = ("attributeValue", "idToken", "apnPassword", "simPin", "Password")
"""fields that may have a secret, depending on what else the frame says"""
_ENCODER: Final = Encoder(decimal_format="number")
"""A Decimal counts as a number when a payload is validated, and is written as one."""
_WRITTEN_FOR_NO_NUMBER: Final = ("null", "NaN", "Infinity")
"""what the encoder writes for a float or a Decimal that JSON does not have; texts have it too: `json.dumps` decides"""
