"""The way to the CSMS: dial, notice that the link is dead, dial again; nothing that goes wrong ends it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from metering.pulse import Pulse
from ocpp_handlers.back_off import back_off
from station.supervision import heed_cancellation

if TYPE_CHECKING:
    import ssl
    from datetime import datetime

    from websockets.asyncio.client import ClientConnection
    from websockets.exceptions import ConnectionClosed

    from metering.clock import Clock
    from station.settings import Settings

_log = logging.getLogger(__name__)

SUBPROTOCOL = "ocpp2.0.1"
_DIAL_S = 20.0
_DIAL_WIRE_S = 2.0
_PONG_S = 20.0
_LARGEST_FRAME = 1 << 20
_STABLE_S = 10.0
"""a link that lasted so long starts the back-off anew; one that the CSMS drops at once does not"""


@dataclass(frozen=True, slots=True)
class NetworkProfile:
    """Where the CSMS is and how the station proves who it is."""

    url: str
    """ws:// or wss://, without the identity"""
    identity: str
    password: str | None = None
    tls: Callable[[], ssl.SSLContext] | None = None
    """makes the TLS context of a wss:// link"""
    security_profile: int = 0

    @property
    def address(self) -> str:
        """The URL with the percent-encoded identity as the last step of its path (part 4 §3.1.1)."""
        parts = urlsplit(self.url)
        return parts._replace(path=f"{parts.path.rstrip('/')}/{quote(self.identity, safe='')}").geturl()

    def headers(self) -> dict[str, str]:
        """Basic authentication, where there is a password (A00.FR.204)."""
        if self.password is None:
            return {}
        secret = base64.b64encode(f"{self.identity}:{self.password}".encode()).decode()
        return {"Authorization": f"Basic {secret}"}


class Connection:
    """Keeps a link to the CSMS, and calls `serve` with each websocket that is up."""

    def __init__(
        self,
        profile: NetworkProfile,
        serve: Callable[[ClientConnection], Awaitable[None]],
        settings: Settings,
        clock: Clock,
    ) -> None:
        self.profile = profile
        self._serve = serve
        self._settings = settings
        self._clock = clock
        self._websocket: ClientConnection | None = None
        self._cut = False
        self._mended = Pulse()
        self.connected_since: datetime | None = None
        self.last_error: str | None = None

    @property
    def connected(self) -> bool:
        """Whether the websocket is up."""
        return self._websocket is not None

    async def run(self) -> None:
        """Dial until cancelled."""
        delays = back_off(self._settings, random.uniform)
        while True:
            while self._cut:
                await self._mended.wait()
            began_s = self._clock.monotonic()
            was_up = await asyncio.create_task(self._hold_link(), name="link")
            heed_cancellation()
            if was_up and self._clock.monotonic() - began_s >= _STABLE_S:
                delays = back_off(self._settings, random.uniform)
            delay_s = next(delays)
            _log.info("dial again in %.1f s", delay_s)
            await self._mended.wait_at_most(self._clock, delay_s)

    def cut(self) -> None:
        """The network is gone, and no dialling helps, until `mend`."""
        self._cut = True
        if self._websocket is not None:
            self._websocket.transport.abort()

    def mend(self) -> None:
        """The network is back: dial at once."""
        self._cut = False
        self._mended.fire()

    async def _hold_link(self) -> bool:
        """Dial once and stay as long as the link holds; returns whether it was ever up."""
        from websockets.exceptions import ConnectionClosed

        try:
            websocket = await self._dial()
        except _failures() as error:
            self._say(f"cannot connect to {self.profile.url}: {_describe(error)}")
            return False
        try:
            if websocket.subprotocol != SUBPROTOCOL:
                self._say(f"{self.profile.url} does not speak {SUBPROTOCOL}")
                return False
            self._websocket = websocket
            self.connected_since = self._clock.now()
            self.last_error = None
            _log.info("connected to %s", self.profile.url)
            await self._serve_with_pings(websocket)
        except* ConnectionClosed as closed:
            self._say(f"link lost: {_first(closed)}")
        finally:
            self._websocket = None
            self.connected_since = None
            with contextlib.suppress(*_failures()):
                async with asyncio.timeout(1.0):
                    await websocket.close()
            websocket.transport.abort()  # whatever the CSMS makes of the goodbye
        return True

    async def _dial(self) -> ClientConnection:
        from websockets.asyncio.client import connect
        from websockets.typing import Subprotocol

        profile = self.profile
        with self._clock.wire(_DIAL_WIRE_S):
            return await connect(
                profile.address,
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                additional_headers=profile.headers(),
                ssl=profile.tls() if profile.tls is not None else None,
                open_timeout=_DIAL_S,
                close_timeout=1.0,
                ping_interval=None,  # our own: the interval is a variable, the clock may be virtual
                max_size=_LARGEST_FRAME,
                max_queue=32,
                user_agent_header=None,
                proxy=None,
            )

    async def _serve_with_pings(self, websocket: ClientConnection) -> None:
        async with asyncio.TaskGroup() as group:
            pings = group.create_task(self._ping(websocket), name="websocket-ping")
            try:
                await self._serve(websocket)
            finally:
                pings.cancel()

    async def _ping(self, websocket: ClientConnection) -> None:
        """Find out that a link is half open (part 4 §5.2, WebSocketPingInterval)."""
        changed = Pulse()
        forget = self._settings.watch(lambda name: changed.fire() if name == "web_socket_ping_interval_s" else None)
        try:
            await self._ping_until_dead(websocket, changed)
        finally:
            forget()

    async def _ping_until_dead(self, websocket: ClientConnection, changed: Pulse) -> None:
        while True:
            interval_s = self._settings.web_socket_ping_interval_s
            if interval_s == 0:
                await changed.wait()
                continue
            if await changed.wait_at_most(self._clock, interval_s):
                continue
            try:
                with self._clock.wire(_DIAL_WIRE_S):
                    async with self._clock.timeout(_PONG_S):
                        await (await websocket.ping())
            except TimeoutError:
                self._say("the CSMS does not answer a ping: the link is dead")
                websocket.transport.abort()
                return

    def _say(self, what: str) -> None:
        """The first failure is a warning, the same again is not."""
        _log.log(logging.DEBUG if what == self.last_error else logging.WARNING, "%s", what)
        self.last_error = what


def _failures() -> tuple[type[Exception], ...]:
    """What dialling may end with: network, TLS (an OSError), HTTP status, handshake, time."""
    from websockets.exceptions import WebSocketException

    return (OSError, TimeoutError, EOFError, WebSocketException)


def _first(error: ConnectionClosed | BaseExceptionGroup[ConnectionClosed]) -> ConnectionClosed:
    """The first of the errors that groups of tasks have wrapped."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _describe(error: Exception) -> str:
    return str(error) or type(error).__name__
