"""One attempt to open a websocket; a module of its own, because importing it imports the websockets library."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from websockets.asyncio.client import ClientConnection, connect
from websockets.datastructures import HeadersLike
from websockets.exceptions import ConnectionClosed
from websockets.typing import Data


class dial(connect):  # noqa: N801 - used as the function that it extends
    """Open a websocket at exactly this URL, without following redirects.

    A redirect counts as a refusal: the password must be sent only to the configured CSMS (A01.FR.10).
    """

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Return the exception of the redirect, so that the attempt fails: redirects are never followed."""
        return exc


class CsmsWebsocket(ClientConnection):
    """A websocket that counts as closed once the CSMS has sent a Close frame, whether or not TCP ends with it.

    `recv` returns the messages before that frame, then raises ConnectionClosed. The opener still has to end TCP.
    """

    _reading: asyncio.Timeout | None = None

    def data_received(self, data: bytes) -> None:
        """Process received bytes; a Close frame among them ends a waiting `recv`."""
        super().data_received(data)
        if self._reading is not None and self._close_received and not self._reading.expired():
            self._reading.reschedule(self.loop.time())

    async def recv(  # pyright: ignore[reportIncompatibleMethodOverride]  # without the overloads: nobody sets `decode`
        self, decode: bool | None = None
    ) -> Data:
        """Wait for a message and return it.

        Raises:
            ConnectionClosed: all messages before the Close frame have been read.
        """
        # A message that has arrived is returned without waiting, before a deadline that has passed can end the read.
        try:
            async with asyncio.timeout_at(self.loop.time() if self._close_received else None) as self._reading:
                return await super().recv(decode)
        except TimeoutError as error:
            protocol = self.protocol
            raise ConnectionClosed(protocol.close_rcvd, protocol.close_sent, protocol.close_rcvd_then_sent) from error
        finally:
            self._reading = None

    @property
    def _close_received(self) -> bool:
        return self.protocol.close_rcvd is not None


def csms_websocket_class(
    on_request: Callable[[], None], on_message: Callable[[], Awaitable[None]]
) -> type[CsmsWebsocket]:
    """Make the class of the websocket of one attempt, which calls back when it progresses.

    It calls `on_request` when the HTTP request, which carries the password, is about to be sent (TCP and TLS are
    established by then), and awaits `on_message` before `recv` returns a message.
    """

    class ReportingConnection(CsmsWebsocket):
        """A CsmsWebsocket that reports its HTTP request and each message."""

        async def handshake(
            self, additional_headers: HeadersLike | None = None, user_agent_header: str | None = None
        ) -> None:
            """Report the request, then send it and wait for the response."""
            on_request()
            await super().handshake(additional_headers, user_agent_header)

        async def recv(self, decode: bool | None = None) -> Data:
            """Wait for a message, report it, and return it."""
            data = await super().recv(decode)
            await on_message()
            return data

    return ReportingConnection
