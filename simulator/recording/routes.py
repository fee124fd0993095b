"""Routes that record how a simulated station is driven, and write scenarios and their steps."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

from fastapi import HTTPException, Path
from fastapi.responses import PlainTextResponse
from typing_extensions import TypedDict

from simulator.scenarios.recorded_scenario import RecordedExchange, recorded_exchange, scenario_text, step_text
from simulator.world import World
from station.interfaces.access.roles import require_role
from station.interfaces.api.dependencies import ACCEPTED, Accepted, part
from station.interfaces.api.routing import api_router
from station.maintenance.logs.frame_log import FrameLog
from station.maintenance.logs.ocpp_exchanges import OcppExchange, exchanges
from station.security.access.accounts import Role

router = api_router("simulation")

_NAME: Final = "Recorded"
_World = Annotated[World, part(World)]
_Frames = Annotated[FrameLog, part(FrameLog)]


class RecordingShown(TypedDict):
    """Response of GET /api/sim/recording."""

    active: bool
    """whether somebody records"""
    requests: int
    """number of requests recorded so far"""


@router.post(
    "/api/sim/recording",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Record a scenario",
)
async def begin_recording(world: _World, frames: _Frames) -> Accepted:
    """Start to record the requests that drive the station, from whichever client; what was recorded before is lost."""
    world.recorder.begin(frames.last_number)
    return ACCEPTED


@router.get(
    "/api/sim/recording",
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Read the state of the recording",
)
async def read_recording(world: _World) -> RecordingShown:
    """Returns whether somebody records, and how much."""
    return {"active": world.recorder.active, "requests": len(world.recorder.requests)}


@router.get(
    "/api/sim/recording/scenario",
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    response_class=PlainTextResponse,
    summary="Read the recorded scenario",
)
async def read_scenario(world: _World, frames: _Frames) -> PlainTextResponse:
    """Returns a scenario that does what was done since the begin, and expects what was seen; 409 if nobody records."""
    recorder = world.recorder
    if not recorder.active:
        raise HTTPException(409, "nothing is recorded: POST /api/sim/recording begins")
    recorder.keep(frames.frames_after(recorder.last_number))
    recorded, requests, end_s = list(recorder.frames), list(recorder.requests), recorder.now_s()

    def write() -> str:
        times = {entry.frame.number: entry.at_s for entry in recorded}
        found = [
            _recorded(exchange, times[exchange.first.frame.number])
            for exchange in exchanges(entry.frame for entry in recorded)
        ]
        return scenario_text(requests, [one for one in found if one is not None], name=_NAME, end_s=end_s)

    return PlainTextResponse(await asyncio.to_thread(write), media_type="application/toml")


@router.delete(
    "/api/sim/recording",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="End the recording",
)
async def end_recording(world: _World) -> Accepted:
    """Stop recording, and delete what was recorded."""
    world.recorder.end()
    return ACCEPTED


@router.get(
    "/api/sim/frames/{number}/step",
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    response_class=PlainTextResponse,
    summary="Write a message as a step of a scenario",
)
async def read_step(
    number: Annotated[int, Path(ge=1, description="number of a request in the log of messages")], frames: _Frames
) -> PlainTextResponse:
    """Returns a step that expects this request of the station, or lets the CSMS send it; 404 if it is no request."""
    found_all = await asyncio.to_thread(exchanges, frames.frames_after(0))
    found = next((one for one in found_all if one.first.frame.number == number), None)
    recorded = _recorded(found, 0.0) if found is not None else None
    if recorded is None:
        raise HTTPException(404, "the log of messages has no request with this number")
    return PlainTextResponse(step_text(recorded), media_type="application/toml")


def _recorded(exchange: OcppExchange, at_s: float) -> RecordedExchange | None:
    first, answer = exchange.first, exchange.answer
    if first.frame.note:
        return None
    return recorded_exchange(
        at_s, first.frame.direction, first.frame.text, None if answer is None else answer.frame.text
    )
