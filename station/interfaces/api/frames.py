"""Routes for the log of OCPP messages: as they came, as requests with their answers, and as files."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from fastapi import Depends, Query
from fastapi.responses import Response
from typing_extensions import TypedDict

from station.configuration.installation_file import Configuration
from station.core.version import package_version
from station.interfaces.access.roles import require_role
from station.interfaces.api.dependencies import part
from station.interfaces.api.routing import api_router
from station.interfaces.api.transaction import attachment
from station.maintenance.logs.frame_exports import har, json_lines, pcapng
from station.maintenance.logs.frame_log import FrameLog, LoggedFrame
from station.maintenance.logs.ocpp_exchanges import FrameFilter, OcppExchange, exchanges
from station.security.access.accounts import Role

router = api_router("diagnosis")

_Frames = Annotated[FrameLog, part(FrameLog)]
_Since = Annotated[int, Query(ge=0, description="the number of the last entry already received")]


class OcppFrame(TypedDict):
    """An OCPP message between the station and the CSMS, as text; numbered, with direction and time."""

    number: int
    """consecutive number; a client passes the last one as `since`"""
    at: str
    """when the message was sent or received (ISO 8601, UTC)"""
    direction: str
    """`in`: from the CSMS; `out`: to the CSMS"""
    text: str
    """the JSON text of the message, with secrets masked"""
    note: str
    """what the simulated misbehaviour of a station has done to a message; `text` is then the frame that differs, or
    empty; empty for an ordinary message"""


class OcppExchangeShown(TypedDict):
    """A request with its answer; or a message that belongs to no request."""

    number: int
    """number of the request, or of the single message"""
    at: str
    """when the request was sent or received (ISO 8601, UTC)"""
    direction: str
    """of the request: `in`: from the CSMS; `out`: to the CSMS"""
    action: str
    """action of the request; empty: not known"""
    message_id: str
    """id of the message; empty: it has none"""
    outcome: Literal["result", "error", "open", "none"]
    """how it was answered: with a result, with an error, not yet; none: the message is no request"""
    duration_s: float | None
    """seconds from the request to its answer; null: there is none"""
    request: str
    """the JSON text of the request, or of the single message, with secrets masked"""
    answer: str | None
    """the JSON text of the answer; null: there is none"""
    note: str
    """as that of a frame"""


class OcppExchangesFound(TypedDict):
    """Response of GET /api/frames/exchanges: requests with their answers."""

    total: int
    """number of all that match"""
    last_number: int
    """number of the newest message in the log; a client passes it as `since`"""
    exchanges: list[OcppExchangeShown]
    """the newest of them, in order"""


def _filter(
    action: Annotated[str, Query(max_length=50, description="only requests of this action, ignoring case")] = "",
    direction: Annotated[
        Literal["in", "out"] | None, Query(description="only requests from (in) or to (out) the CSMS")
    ] = None,
    message_id: Annotated[str, Query(max_length=100, description="only the request with this id")] = "",
    text: Annotated[
        str, Query(max_length=200, description="only those with this text in request, answer or note, ignoring case")
    ] = "",
    since: Annotated[int, Query(ge=0, description="only those with a message after this number")] = 0,
    begin: Annotated[datetime | None, Query(description="only requests at or after this time")] = None,
    end: Annotated[datetime | None, Query(description="only requests before this time")] = None,
) -> FrameFilter:
    """The query parameters that choose messages; times without an offset are UTC."""
    return FrameFilter(action, direction, message_id, since, text, _utc(begin), _utc(end))


def _utc(moment: datetime | None) -> datetime | None:
    return moment if moment is None or moment.tzinfo is not None else moment.replace(tzinfo=UTC)


_Filter = Annotated[FrameFilter, Depends(_filter)]


@router.get("/api/frames", dependencies=[require_role(Role.INSTALLER)], summary="Read the OCPP messages")
async def list_ocpp_frames(frames: _Frames, since: _Since = 0) -> list[OcppFrame]:
    """Returns the newest messages to and from the CSMS; only those after `since`."""
    return [
        {
            "number": frame.number,
            "at": frame.at.isoformat(),
            "direction": frame.direction,
            "text": frame.text,
            "note": frame.note,
        }
        for frame in frames.frames_after(since)
    ]


@router.get("/api/frames/exchanges", dependencies=[require_role(Role.INSTALLER)], summary="Search the OCPP messages")
async def search_exchanges(
    frames: _Frames,
    wanted: _Filter,
    most: Annotated[int, Query(ge=1, le=5000, description="maximum number of rows")] = 300,
) -> OcppExchangesFound:
    """Returns the newest requests with their answers that match all filters, each as one row with its duration."""
    last_number = frames.last_number
    found = await asyncio.to_thread(_find, frames.frames_after(0), wanted)
    rows = [_exchange_to_json(exchange) for exchange in found[-most:]]
    return {"total": len(found), "last_number": last_number, "exchanges": rows}


@router.get(
    "/api/frames/export",
    dependencies=[require_role(Role.INSTALLER)],
    response_class=Response,
    summary="Export the OCPP messages as a file",
)
async def export_frames(
    frames: _Frames,
    wanted: _Filter,
    configuration: Annotated[Configuration, part(Configuration)],
    form: Annotated[
        Literal["jsonl", "har", "pcapng"],
        Query(description="JSON lines, HTTP archive of a websocket, or capture file for Wireshark"),
    ] = "jsonl",
) -> Response:
    """Returns a file with the messages that match all filters, in order, secrets masked."""
    csms_url = configuration.csms.url if configuration.csms is not None else ""
    logged = frames.frames_after(0)

    def make() -> bytes:
        messages = sorted(
            (parsed for exchange in _find(logged, wanted) for parsed in exchange.frames),
            key=lambda parsed: parsed.frame.number,
        )
        match form:
            case "jsonl":
                return json_lines(messages)
            case "har":
                return har(messages, f"{csms_url}/{configuration.station.identity}", package_version())
            case "pcapng":
                return pcapng(messages)

    media_type = _MEDIA_TYPES[form]
    return Response(await asyncio.to_thread(make), media_type=media_type, headers=attachment(f"ocpp.{form}"))


_MEDIA_TYPES: Final = {
    "jsonl": "application/jsonl",
    "har": "application/json",
    "pcapng": "application/x-pcapng",
}


def _find(frames: list[LoggedFrame], wanted: FrameFilter) -> list[OcppExchange]:
    return [exchange for exchange in exchanges(frames) if wanted.accepts(exchange)]


def _exchange_to_json(exchange: OcppExchange) -> OcppExchangeShown:
    first, answer = exchange.first, exchange.answer
    return {
        "number": first.frame.number,
        "at": first.frame.at.isoformat(),
        "direction": first.frame.direction,
        "action": first.action,
        "message_id": first.message_id,
        "outcome": exchange.outcome,
        "duration_s": exchange.duration_s,
        "request": first.frame.text,
        "answer": None if answer is None else answer.frame.text,
        "note": first.frame.note,
    }
