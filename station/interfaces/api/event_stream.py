"""Server-sent events: what happens, as far as whoever listens may know, for as long as they may."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, StreamingResponse

from foundation.clock import Clock
from station.core.event_feed import EventFeed
from station.interfaces.access.roles import require_role
from station.interfaces.access.visitor import Visitor, visitor_of
from station.interfaces.access.visitor_view import event_for_role, may_receive_event
from station.interfaces.api.dependencies import part
from station.interfaces.api.listener_places import ListenerPlaces
from station.interfaces.part_keys import CLOCK
from station.interfaces.parts import parts_of
from station.security.access.accounts import Role
from station.security.access.sign_in_service import SignInService
from station.storage.database import StorageError

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


router = APIRouter(tags=["station"])
_SIGN_OF_LIFE_S: Final = 15.0
"""real seconds; a proxy or a phone gives a silent connection up"""


class _EventStream(StreamingResponse):
    """The response to a listener: it holds a place from before its first byte to its end, however it ends."""

    def __init__(self, events: AsyncGenerator[str], places: ListenerPlaces, visitor: Visitor) -> None:
        super().__init__(events, media_type="text/event-stream")
        self._places = places
        self._visitor = visitor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the listener goes or may not listen any more; 503 if there is no place."""
        if (refusal := self._places.take(self._visitor)) is not None:
            await JSONResponse({"detail": refusal}, 503)(scope, receive, send)
            return
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._places.release(self._visitor)


class _EventStreamResponse(StreamingResponse):
    """The media type, for the OpenAPI document."""

    media_type = "text/event-stream"


@router.get(
    "/api/events",
    dependencies=[require_role(Role.VISITOR)],
    summary="Listen to what happens",
    response_class=_EventStreamResponse,
    response_description="Server-sent events: `event` names the kind, `data` is a JSON object.",
)
async def listen_to_events(
    request: Request,
    feed: Annotated[EventFeed, part(EventFeed)],
    places: Annotated[ListenerPlaces, part(ListenerPlaces)],
    clock: Annotated[Clock, part(CLOCK)],
) -> StreamingResponse:
    """An `evse` event with each change at an EVSE, `light` with each of the status light, `frame` with each OCPP
    message, which only installers may read.

    The stream ends with the session or access token. 503 if too many listen already.
    """
    visitor = visitor_of(request)
    return _EventStream(_events(visitor, feed, clock, lambda: parts_of(request).find(SignInService)), places, visitor)


async def _events(
    visitor: Visitor, feed: EventFeed, clock: Clock, access: Callable[[], SignInService | None]
) -> AsyncGenerator[str]:
    """Yield happenings as server-sent events until the visitor may not listen any more."""
    with feed.subscribe(lambda kind: may_receive_event(visitor.role, kind)) as queue:
        yield ": listening\n\n"
        while True:
            try:
                happening = await asyncio.wait_for(queue.get(), _SIGN_OF_LIFE_S)
            except TimeoutError:
                happening = None
            if not await _still_may(visitor, clock, access()):
                return
            if happening is None:
                yield ": still here\n\n"
            elif (data := event_for_role(visitor.role, happening)) is not None:
                yield f"event: {happening.event_type}\ndata: {json.dumps(data)}\n\n"


async def _still_may(visitor: Visitor, clock: Clock, access: SignInService | None) -> bool:
    """Whether what the listener came in with is still good: a session ends, an access token expires or is revoked.

    `access` is that of the station as it runs now; None while it does not.
    """
    if visitor.session is not None:
        return visitor.session.is_valid(clock.monotonic())
    if visitor.token is None or access is None:
        return True
    try:
        await access.ensure_loaded()  # after a restart it is another one, read from the disk
    except StorageError:
        return False
    return access.tokens.holds(visitor.token)
