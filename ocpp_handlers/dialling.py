"""One attempt to open a websocket. A file of its own, since it needs the websockets library when it is imported."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from websockets.asyncio.client import ClientConnection, connect
from websockets.datastructures import HeadersLike
from websockets.exceptions import ConnectionClosed
from websockets.typing import Data


class dial(connect):  # noqa: N801 - used as the function that it extends
    """Opens a websocket where the URL says, and nowhere else.

    A redirect is a refusal: the CSMS's address is a configured one, and the password belongs to it (A01.FR.10).
    """

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Never follow one."""
        return exc


class CsmsConnection(ClientConnection):
    """A websocket that is down as soon as the Close frame of the CSMS is there, whether or not TCP ends with it.

    Whoever reads gets what came before that frame, then ConnectionClosed. To end TCP remains to whoever opened it.
    """

    _reading: asyncio.Timeout | None = None

    def data_received(self, data: bytes) -> None:
        """As that of the base class; a Close frame among the data ends the wait of whoever reads."""
        super().data_received(data)
        if self._reading is not None and self._close_received and not self._reading.expired():
            self._reading.reschedule(self.loop.time())

    async def recv(  # pyright: ignore[reportIncompatibleMethodOverride]  # without the overloads: nobody sets `decode`
        self, decode: bool | None = None
    ) -> Data:
        """As that of the base class.

        Raises:
            ConnectionClosed: all that came before the Close frame is read.
        """
        # A message that is there is read without waiting, so that not even a deadline that is over comes before it.
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


def csms_connection(on_request: Callable[[], None], on_message: Callable[[], Awaitable[None]]) -> type[CsmsConnection]:
    """The class of a connection that reports how far it has come.

    It calls `on_request` when the HTTP request, with the password, goes out (TCP and TLS are up by then), and
    `on_message` before it hands out a message.
    """

    class ReportingConnection(CsmsConnection):
        """As its base class."""

        async def handshake(
            self, additional_headers: HeadersLike | None = None, user_agent_header: str | None = None
        ) -> None:
            """As that of the base class."""
            on_request()
            await super().handshake(additional_headers, user_agent_header)

        async def recv(self, decode: bool | None = None) -> Data:
            """As that of the base class."""
            data = await super().recv(decode)
            await on_message()
            return data

    return ReportingConnection
