"""OCPP messages as files for other programs: JSON lines, HAR, and pcapng for Wireshark."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from station.maintenance.logs.ocpp_exchanges import ParsedFrame

_BYTE_ORDER: Final = 0x1A2B3C4D
_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_EXPORTED_PDU: Final = 252
"""link type of a packet that names its dissector in front of it (LINKTYPE_WIRESHARK_UPPER_PDU)"""
_TAG_DISSECTOR, _TAG_IPV4_SOURCE, _TAG_IPV4_TARGET = 12, 20, 21
_TAG_PORT_TYPE, _TAG_SOURCE_PORT, _TAG_TARGET_PORT, _TAG_PROTOCOL = 24, 25, 26, 33
_TCP: Final = 2
_OPTION_END, _OPTION_COMMENT, _OPTION_FLAGS = 0, 1, 2
_INBOUND, _OUTBOUND = 1, 2
_STATION: Final = (bytes((192, 0, 2, 1)), 50_000)
_CSMS: Final = (bytes((192, 0, 2, 2)), 443)
"""addresses for documentation (RFC 5737): the log does not have those of the connection"""


def json_lines(frames: Iterable[ParsedFrame]) -> bytes:
    """One object for each message: number, at, direction, action, message_id, text, note."""
    return b"".join(
        json.dumps(
            {
                "number": parsed.frame.number,
                "at": parsed.frame.at.isoformat(),
                "direction": parsed.frame.direction,
                "action": parsed.action,
                "message_id": parsed.message_id,
                "text": parsed.frame.text,
                "note": parsed.frame.note,
            },
            ensure_ascii=False,
        ).encode("utf-8", "backslashreplace")
        + b"\n"
        for parsed in frames
    )


def har(frames: Sequence[ParsedFrame], url: str, version: str) -> bytes:
    """An HTTP archive (HAR 1.2) with one websocket, as browsers write it: its messages are in `_webSocketMessages`.

    `url`: that of the CSMS, with the identity of the station; `version`: that of the program.
    """
    messages = [
        {
            "type": "send" if parsed.frame.direction == "out" else "receive",
            "time": parsed.frame.at.timestamp(),
            "opcode": 1,
            "data": parsed.frame.text,
            "_action": parsed.action,
            "_note": parsed.frame.note,
        }
        for parsed in frames
    ]
    upgrade: dict[str, object] = {
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": [],
        "headersSize": -1,
        "bodySize": -1,
    }
    entry: dict[str, object] = {
        "startedDateTime": frames[0].frame.at.isoformat() if frames else "1970-01-01T00:00:00+00:00",
        "time": (frames[-1].frame.at - frames[0].frame.at).total_seconds() * 1000.0 if frames else 0.0,
        "request": {**upgrade, "method": "GET", "url": url, "queryString": []},
        "response": {
            **upgrade,
            "status": 101,
            "statusText": "Switching Protocols",
            "redirectURL": "",
            "content": {"size": 0, "mimeType": "x-unknown"},
        },
        "cache": {},
        "timings": {"send": 0, "wait": 0, "receive": 0},
        "_resourceType": "websocket",
        "_webSocketMessages": messages,
    }
    log: dict[str, object] = {"version": "1.2", "creator": {"name": "borne", "version": version}, "entries": [entry]}
    return json.dumps({"log": log}, indent=1).encode()


def pcapng(frames: Iterable[ParsedFrame]) -> bytes:
    """A capture file that Wireshark shows: one packet for each message, dissected as JSON, with direction and note.

    Source: draft-ietf-opsawg-pcapng, and the tags of Wireshark's exported PDUs.
    """
    blocks = [
        _block(_SECTION, struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1)),
        _block(_INTERFACE, struct.pack("<HHI", _EXPORTED_PDU, 0, 0)),
        *(_packet(parsed) for parsed in frames),
    ]
    return b"".join(blocks)


def _packet(parsed: ParsedFrame) -> bytes:
    frame = parsed.frame
    sent = frame.direction == "out"
    source, target = (_STATION, _CSMS) if sent else (_CSMS, _STATION)
    data = b"".join(
        (
            _tag(_TAG_DISSECTOR, b"json"),
            _tag(_TAG_IPV4_SOURCE, source[0]),
            _tag(_TAG_IPV4_TARGET, target[0]),
            _tag(_TAG_PORT_TYPE, struct.pack(">I", _TCP)),
            _tag(_TAG_SOURCE_PORT, struct.pack(">I", source[1])),
            _tag(_TAG_TARGET_PORT, struct.pack(">I", target[1])),
            _tag(_TAG_PROTOCOL, b"OCPP"),
            struct.pack(">HH", 0, 0),
            frame.text.encode("utf-8", "backslashreplace"),
        )
    )
    comment = " ".join(part for part in (parsed.action, frame.note) if part)
    options = _option(_OPTION_FLAGS, struct.pack("<I", _OUTBOUND if sent else _INBOUND))
    if comment:
        options = _option(_OPTION_COMMENT, comment.encode("utf-8", "backslashreplace")[:60_000]) + options
    microseconds = round(frame.at.timestamp() * 1_000_000)
    head = struct.pack("<IIIII", 0, microseconds >> 32, microseconds & 0xFFFFFFFF, len(data), len(data))
    return _block(_PACKET, head + _padded(data) + options + struct.pack("<HH", _OPTION_END, 0))


def _tag(kind: int, value: bytes) -> bytes:
    padded = _padded(value)
    return struct.pack(">HH", kind, len(padded)) + padded


def _option(kind: int, value: bytes) -> bytes:
    return struct.pack("<HH", kind, len(value)) + _padded(value)


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
