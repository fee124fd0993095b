"""ASGI middleware that records the requests with which a simulated station is driven."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from starlette.requests import Request

from simulator.world import World
from station.interfaces.parts import parts_of
from station.maintenance.logs.frame_log import FrameLog

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_DRIVING: Final = re.compile(r"/api/(sim/(?!recording|frames)\S+|(evses/\d+/)?(token|start-button))")
"""paths of requests with which a person drives the station; settings and sign-ins are none"""
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class RecordedApi:
    """Passes requests on, and records those that drive the station and were accepted, if somebody records."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        request = Request(scope)
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        world = parts_of(request).find(World)
        if world is None or not world.recorder.active or request.method in _READING or not _DRIVING.fullmatch(path):
            await self._app(scope, receive, send)
            return
        recorder, at_s = world.recorder, world.recorder.now_s()
        if (frames := parts_of(request).find(FrameLog)) is not None:
            recorder.keep(frames.frames_after(recorder.last_number))
        body = bytearray()

        async def receive_body() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                body.extend(message.get("body", b""))  # as bounded as that of any request
            return message

        async def send_response(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                recorder.add(at_s, request.method, path, _parsed(bytes(body)), len(body))
            await send(message)

        await self._app(scope, receive_body, send_response)


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body) if body else None
    except (ValueError, RecursionError):
        return None
