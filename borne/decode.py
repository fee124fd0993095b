"""`borne decode`: decodes an installer's recording of a meter to JSON lines.

Read-only; energy/sources and metering/drivers define the keys of the output.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from energy.sources import linky_capture, p1_capture
from foundation.clock import SystemClock
from foundation.frozen import Frozen
from foundation.json_values import integer_of, is_list, is_object, list_of, object_of, text_of
from metering.drivers import modbus_frames as exchange
from metering.drivers import register_image
from metering.drivers.models import MODELS, find_model_name
from metering.drivers.register_image import RegisterImage

if TYPE_CHECKING:
    from metering.drivers.modbus_frames import ReadResponse
    from metering.drivers.registers import MeterModel, RegisterBlock

Json = dict[str, object]

_KEY_BYTES: Final = 16


class UsageError(Exception):
    """`borne decode` is called wrongly: the file cannot be read, or options do not fit; the message says what."""


class _InvalidRecordingError(Exception):
    """The content of the file is not a recording; carries the reason."""


class DecodedMeterRecording(Frozen):
    """The output of `borne decode`: the decoded content of a recording, or why nothing in it is valid."""

    lines: tuple[Json, ...]
    """one JSON object for each decoded frame, telegram or register image"""
    problem: str | None = None
    """why nothing in the recording is valid; None: something is"""


class DecodeRequest(Frozen):
    """The arguments of `borne decode`: a recording, its kind, and what is needed to decode it."""

    kind: str
    """kind of the recording, a key of KINDS"""
    file: Path
    """the recording, read as a whole"""
    key: str | None = None
    """hex; decrypts telegrams of a P1 port"""
    authentication_key: str | None = None
    """hex; None: that of Luxembourg"""
    model: str | None = None
    """the meter model of Modbus registers; None: the one that the recording names"""


def decode_recording(request: DecodeRequest) -> DecodedMeterRecording:
    """Read and decode an installer's recording of a meter.

    A recording without valid content is no error: `problem` says why.

    Raises:
        UsageError: the file cannot be read, or an option does not fit.
    """
    try:
        kind = KINDS[request.kind]
    except KeyError:
        raise UsageError(f"{request.kind}: must be one of {', '.join(KINDS)}") from None
    if request.kind != "p1" and (request.key is not None or request.authentication_key is not None):
        raise UsageError("--key: is only for p1, since only P1 telegrams are encrypted")
    if request.kind != "modbus" and request.model is not None:
        raise UsageError("--model: is only for modbus")
    try:
        data = request.file.read_bytes()
    except OSError as error:
        raise UsageError(f"{request.file}: cannot be read: {error.strerror}") from None
    try:
        return kind(request, data)
    except _InvalidRecordingError as error:
        return DecodedMeterRecording((), str(error))


def _decode_linky(_: DecodeRequest, data: bytes) -> DecodedMeterRecording:
    capture = linky_capture.parse_recording(data)
    lines = tuple(linky_capture.recording_to_json(capture))
    if any(frame.has_valid_groups for frame in capture.frames):
        return DecodedMeterRecording(lines)
    if not capture.frames:
        return DecodedMeterRecording(lines, "the recording contains no complete frame")
    return DecodedMeterRecording(lines, "no group of any frame has a valid checksum")


def _decode_p1(request: DecodeRequest, data: bytes) -> DecodedMeterRecording:
    keys = None
    if request.key is not None:
        keys = p1_capture.DecryptionKeys(_parse_key("--key", request.key))
        if request.authentication_key is not None:
            authentication_key = request.authentication_key.strip()
            if len(authentication_key) == 2 * (_KEY_BYTES + 1):
                authentication_key = authentication_key.removeprefix("30")  # some print it with the preceding tag 30
            keys = p1_capture.DecryptionKeys(keys.key, _parse_key("--authentication-key", authentication_key))
    entries = p1_capture.parse_recording(data, keys)
    lines = tuple(p1_capture.telegram_to_json(entry) for entry in entries)
    if any(entry.believable for entry in entries):
        return DecodedMeterRecording(lines)
    if not entries:
        return DecodedMeterRecording(lines, "the recording contains no complete telegram")
    if all(entry.telegram is None for entry in entries):
        why = (
            "the telegrams are encrypted: --key is required"
            if keys is None
            else "the telegrams cannot be decrypted with this key"
        )
        return DecodedMeterRecording(lines, why)
    if p1_capture.lost_its_line_ends(data):
        return DecodedMeterRecording(
            lines, "the line ends of the recording were changed, which invalidates the checksums: record raw bytes"
        )
    return DecodedMeterRecording(lines, "no telegram has a valid checksum, or is complete without one")


def _parse_key(option: str, text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise UsageError(f"{option}: must be {2 * _KEY_BYTES} hexadecimal digits")  # never repeats the given key
    return key


def _decode_modbus(request: DecodeRequest, data: bytes) -> DecodedMeterRecording:
    document = _parse_document(data)
    if "frames" in document:
        return _decode_frames(request, document["frames"])
    image = _parse_image(document)
    model_name = request.model if request.model is not None else document.get("meter")
    model = find_model_name(model_name) if isinstance(model_name, str) else None
    now = SystemClock().now()
    if (
        model is None
        and request.model is None
        and register_image.decode_image(image, MODELS["sunspec"], now) is not None
    ):
        model = "sunspec"  # the only meters that identify themselves
    if not isinstance(model_name, str) and model is None:
        raise UsageError(f"--model: is required, one of {', '.join(MODELS)}")
    if model is None:
        raise UsageError(f"--model: {model_name} is not known; must be one of {', '.join(MODELS)}")
    finding = register_image.decode_image(image, MODELS[model], now)
    if finding is None:
        return DecodedMeterRecording((), "the recording contains no SunSpec meter")
    if finding.implausibility is not None:
        return DecodedMeterRecording((), finding.implausibility)
    return DecodedMeterRecording((register_image.image_to_json(finding),))


def _decode_frames(request: DecodeRequest, frames: object) -> DecodedMeterRecording:
    """Decode recorded Modbus requests and responses."""
    model = find_model_name(request.model) if request.model is not None else None
    if model is None and request.model is not None:
        raise UsageError(f"--model: {request.model} is not known; must be one of {', '.join(MODELS)}")
    if not is_list(frames):
        raise _InvalidRecordingError("invalid recording: `frames` must be a list")
    meter_model = MODELS[model] if model is not None else None
    lines = tuple(_decode_exchange(number, frame, meter_model) for number, frame in enumerate(frames, start=1))
    if any("words" in line or "exception" in line for line in lines):
        return DecodedMeterRecording(lines)
    return DecodedMeterRecording(lines, "no response is complete and matches its request")


def _decode_exchange(number: int, recorded: object, meter_model: MeterModel | None) -> Json:
    """Decode one request and its response, if any; without values if a frame is damaged."""
    try:
        texts = object_of(recorded)
        transport = exchange.ModbusTransport(texts["transport"])
        request, response = bytes.fromhex(text_of(texts["request"])), bytes.fromhex(text_of(texts.get("response", "")))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _InvalidRecordingError(
            f"invalid recording: frame {number} needs `transport`, rtu or tcp, and `request` in hex"
        ) from None
    line: Json = {"name": texts["name"]} if "name" in texts else {}
    try:
        parsed = exchange.parse_request(request, transport)
        line |= {"unit": parsed.unit, **{key: getattr(parsed.block, key) for key in ("function", "address", "count")}}
        if response:
            answered = exchange.parse_response(response, transport, parsed)
            line |= _response_to_json(parsed.block, answered, texts.get("decode"), meter_model)
    except exchange.ModbusFrameError as error:
        invalid_part = "response" if "unit" in line else "request"
        return line | {"valid": False, "why": f"the {invalid_part} {error}"}
    return line | {"valid": True}


def _response_to_json(
    block: RegisterBlock, answered: ReadResponse, layout: object, meter_model: MeterModel | None
) -> Json:
    if answered.exception is not None:
        return {"exception": answered.exception}
    line: Json = {"words": [f"{word:04X}" for word in answered.words]}
    if isinstance(layout, str) and (value := exchange.decode_number(answered, layout)) is not None:
        line["value"] = value
    if meter_model is None:
        return line
    words = {block.address + at: word for at, word in enumerate(answered.words)}
    image = register_image.RegisterImage(frozenset({block.function}), words)
    finding = register_image.decode_image(image, meter_model, SystemClock().now())
    if finding is None or finding.implausibility is not None:
        return line
    return line | {
        "values": {name: value for name, value in register_image.image_to_json(finding).items() if value is not None}
    }


def _parse_document(data: bytes) -> Mapping[str, object]:
    try:
        document: object = json.loads(data)
    except (ValueError, RecursionError):
        raise _InvalidRecordingError("it is no JSON") from None
    if not is_object(document):
        raise _InvalidRecordingError("invalid recording: it must be an object with `registers` or `frames`")
    return document


def _parse_image(document: Mapping[str, object]) -> RegisterImage:
    try:
        registers = object_of(document["registers"])
        words = {_parse_address(address): int(text_of(word), 16) for address, word in registers.items()}
        functions = frozenset(integer_of(function) for function in list_of(document.get("functions", [3, 4])))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _InvalidRecordingError("invalid recording: `registers` must map addresses to words in hex") from None
    if any(not 0 <= word <= 0xFFFF for word in words.values()):
        raise _InvalidRecordingError("invalid recording: a word must have four hexadecimal digits")
    return RegisterImage(functions, words)


def _parse_address(text: str) -> int:
    return int(text, 16) if text.lower().startswith("0x") else int(text)


KINDS: Final[Mapping[str, Callable[[DecodeRequest, bytes], DecodedMeterRecording]]] = {
    "linky": _decode_linky,
    "p1": _decode_p1,
    "modbus": _decode_modbus,
}
"""the decoders of `borne decode`, by kind of recording"""
