"""The server-sent events of the API: each listener receives the events that its role may see."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import Request
from fastapi.responses import JSONResponse, StreamingResponse

from foundation.clock import Clock
from station.configuration.installation_file import Configuration
from station.core.event_feed import EventFeed
from station.interfaces.access.roles import require_role
from station.interfaces.access.visitor import Visitor, visitor_of
from station.interfaces.access.visitor_view import event_for_role, may_receive_event
from station.interfaces.api.dependencies import part
from station.interfaces.api.listener_places import ListenerPlaces
from station.interfaces.api.routing import api_router
from station.interfaces.part_keys import CLOCK
from station.interfaces.parts import parts_of
from station.security.access.accounts import Role
from station.security.access.sign_in_service import SignInService
from station.storage.database import StorageError

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from station.configuration.network_tables import PageConfig


router = api_router("station")
_KEEP_ALIVE_INTERVAL_S: Final = 15.0
"""interval of comments in real seconds, since proxies and phones close silent connections"""


class _EventStream(StreamingResponse):
    """The event stream of a listener; occupies one of the limited places until it ends."""

    def __init__(self, events: AsyncGenerator[str], places: ListenerPlaces, visitor: Visitor) -> None:
        super().__init__(events, media_type="text/event-stream")
        self._listeners = places
        self._visitor = visitor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the listener disconnects or loses its access; respond with 503 if no place is free."""
        if (refusal := self._listeners.take(self._visitor)) is not None:
            await JSONResponse({"detail": refusal}, 503)(scope, receive, send)
            return
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._listeners.release(self._visitor)


class _EventStreamResponse(StreamingResponse):
    """The media type, for the OpenAPI document."""

    media_type = "text/event-stream"


@router.get(
    "/api/events",
    dependencies=[require_role(Role.VISITOR)],
    summary="Receive events of the station",
    response_class=_EventStreamResponse,
    response_description="Server-sent events: `event` names the kind, `data` is a JSON object.",
)
async def listen_to_events(
    request: Request,
    feed: Annotated[EventFeed, part(EventFeed)],
    places: Annotated[ListenerPlaces, part(ListenerPlaces)],
    clock: Annotated[Clock, part(CLOCK)],
    configuration: Annotated[Configuration, part(Configuration)],
) -> StreamingResponse:
    """Sends an `evse` event for each change at an EVSE, `light` for each of the status light, `display` for each other
    screen of a display (read it with GET /api/display), and `frame` for each OCPP message (installers only).

    The stream ends when the session or access token ends. 503 if there are too many listeners.
    """
    visitor = visitor_of(request)
    access = partial(parts_of(request).find, SignInService)
    return _EventStream(_events(visitor, configuration.page, feed, clock, access), places, visitor)


async def _events(
    visitor: Visitor, page: PageConfig, feed: EventFeed, clock: Clock, access: Callable[[], SignInService | None]
) -> AsyncGenerator[str]:
    """Yield events in the server-sent format until the visitor loses its access."""
    with feed.subscribe(lambda kind: may_receive_event(visitor.role, kind)) as queue:
        yield ": listening\n\n"
        while True:
            try:
                event = await asyncio.wait_for(queue.get(), _KEEP_ALIVE_INTERVAL_S)
            except TimeoutError:
                event = None
            if not await _has_access(visitor, clock, access()):
                return
            if event is None:
                yield ": still here\n\n"
            elif (data := event_for_role(visitor.role, event, page)) is not None:
                yield f"event: {event.event_type}\ndata: {json.dumps(data)}\n\n"


async def _has_access(visitor: Visitor, clock: Clock, access: SignInService | None) -> bool:
    """Return whether the session or access token of the listener is still valid.

    `access` is the sign-in service of the running station; None while it is off.
    """
    if visitor.session is not None:
        return visitor.session.is_valid(clock.monotonic())
    if visitor.token is None or access is None:
        return True
    try:
        await access.ensure_loaded()  # after a restart it is a new instance, loaded from the disk
    except StorageError:
        return False
    return access.tokens.is_valid(visitor.token)
