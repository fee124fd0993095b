"""The protocol between a station and an SECC in a process of its own: JSON lines over a Unix socket. Pure.

The SECC listens; the station connects, one connection for one EVSE, and begins with `Hello`. Each line is one JSON
object with a tag: `order` from the station, `event` from the SECC; further keys are those of the types here and of
`station.core.vehicle_link`. A key that is not known breaks the protocol: an edition with others has another version.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta

from foundation.expected_error import ExpectedError
from foundation.frozen import Frozen
from station.core.vehicle_link import VehicleEvent, VehicleOrder

VERSION: Final = 1
"""of this protocol; another one is refused by both sides"""
MAX_LINE_BYTES: Final = 65_536
"""longest line, with its end"""
CONNECT_TIMEOUT_S: Final = 5.0
"""the SECC accepts the connection and says hello within this time"""
PING_AFTER_S: Final = 5.0
"""the station sends `Ping` after this time without a line of the SECC"""
ANSWER_TIMEOUT_S: Final = 5.0
"""the SECC answers a `Ping` within this time, and takes what is sent to it"""
MAX_LINES: Final = 400
RATE_WINDOW_S: Final = 10.0
"""an SECC sends at most `MAX_LINES` lines in this time"""


class SeccProtocolError(ExpectedError):
    """A line breaks the protocol; the message says how, and names the key."""


class Hello(Frozen, tag_field="order", tag="hello"):
    """The first line of the station: who it is, and what it speaks."""

    version: int
    """`VERSION`"""
    evse: int
    """the number of the EVSE that this connection is for"""


class Ping(Frozen, tag_field="order", tag="ping"):
    """The SECC must answer with a `Pong` of the same number."""

    number: int


class HelloAnswer(Frozen, tag_field="event", tag="hello"):
    """The first line of the SECC."""

    version: int
    """`VERSION`"""
    evse: int
    """the number of the EVSE that it serves on this socket"""
    name: Annotated[str, Meta(max_length=100)] = ""
    """product and version of the SECC, for the log"""


class Pong(Frozen, tag_field="event", tag="pong"):
    """The answer to a `Ping`."""

    number: int


StationLine: TypeAlias = VehicleOrder | Hello | Ping
"""what the station sends"""
SeccLine: TypeAlias = VehicleEvent | HelloAnswer | Pong
"""what the SECC sends"""

_encoder: Final = msgspec.json.Encoder()
_secc_decoder: Final[msgspec.json.Decoder[SeccLine]] = msgspec.json.Decoder(SeccLine)
_station_decoder: Final[msgspec.json.Decoder[StationLine]] = msgspec.json.Decoder(StationLine)


def encode_line(line: StationLine | SeccLine) -> bytes:
    """Encode a line, with its end."""
    return _encoder.encode(line) + b"\n"


def decode_secc_line(line: bytes) -> SeccLine:
    """Decode a line of the SECC.

    Raises:
        SeccProtocolError: it is no JSON, or breaks the types; the message names the key.
    """
    try:
        return _secc_decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SeccProtocolError(f"line of the SECC: {error}") from None


def decode_station_line(line: bytes) -> StationLine:
    """Decode a line of the station, for an SECC in Python.

    Raises:
        SeccProtocolError: it is no JSON, or breaks the types; the message names the key.
    """
    try:
        return _station_decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SeccProtocolError(f"line of the station: {error}") from None


def check_hello(answer: SeccLine, evse_id: int) -> HelloAnswer:
    """Check the first line of an SECC.

    Raises:
        SeccProtocolError: it is no hello, or one of another version or EVSE.
    """
    if not isinstance(answer, HelloAnswer):
        raise SeccProtocolError("event: the first line of the SECC must be hello")
    if answer.version != VERSION:
        raise SeccProtocolError(f"version: the SECC speaks {answer.version}, the station {VERSION}")
    if answer.evse != evse_id:
        raise SeccProtocolError(f"evse: the SECC serves EVSE {answer.evse} on the socket of EVSE {evse_id}")
    return answer


def protocol_schema() -> dict[str, object]:
    """The JSON Schema (2020-12) of both directions: `$defs` has each line, `station` and `secc` their alternatives."""
    (station, secc), definitions = msgspec.json.schema_components(
        [StationLine, SeccLine], ref_template="#/$defs/{name}"
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"borne: lines between station and SECC, version {VERSION}",
        "$defs": {**definitions, "station": station, "secc": secc},
        "oneOf": [{"$ref": "#/$defs/station"}, {"$ref": "#/$defs/secc"}],
    }
