"""One attempt to open a websocket; a module of its own, because importing it imports the websockets library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.frames import CloseCode
from websockets.protocol import State

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable, Iterable

    from websockets.datastructures import HeadersLike
    from websockets.typing import Data, DataLike


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

    def data_received(self, data: bytes) -> None:
        """Process received bytes; a Close frame among them ends a waiting `recv`."""
        super().data_received(data)
        if self.protocol.close_rcvd is not None:
            self.recv_messages.close()

    async def recv(  # pyright: ignore[reportIncompatibleMethodOverride]  # without the overloads: nobody sets `decode`
        self, decode: bool | None = None
    ) -> Data:
        """Wait for a message and return it.

        Raises:
            ConnectionClosed: all messages before the Close frame have been read.
        """
        # Not by `super().recv`, which waits for the end of TCP. It would also double the cost of each message.
        try:
            return await self.recv_messages.get(decode)
        except EOFError:
            protocol = self.protocol
            if protocol.close_rcvd is not None:
                closed = protocol.close_rcvd, protocol.close_sent, protocol.close_rcvd_then_sent
                raise ConnectionClosed(*closed) from None
        except UnicodeDecodeError as error:
            await self._fail(CloseCode.INVALID_DATA, f"{error.reason} at position {error.start}")
        except WebSocketException as error:  # too many fragments
            await self._fail(CloseCode.MESSAGE_TOO_BIG, str(error))
        return await super().recv(decode)  # raises what ended the connection

    async def send(
        self,
        message: DataLike | Iterable[DataLike] | AsyncIterable[DataLike],
        *,
        text: bool | None = None,
    ) -> None:
        """Send a message; waits while the CSMS does not read.

        Raises:
            ConnectionClosed: the connection has ended, or ends.
        """
        is_open = self.protocol.state is State.OPEN and not self.transport.is_closing()
        if not isinstance(message, str) or not is_open:
            await super().send(message, text=text)
            return
        # As `super().send` does for a text on an open connection, without its context manager.
        self.protocol.send_text(message.encode())
        try:
            self.send_data()
            if self.paused:
                await self.drain()
        except OSError:  # TCP has ended with an error
            self.transport.abort()
            await self.wait_closed()
            await super().send(message, text=text)  # raises what ended the connection

    async def _fail(self, code: CloseCode, reason: str) -> None:
        """Close the connection because of a message that cannot be read, as `super().recv` does."""
        async with self.send_context():
            self.protocol.fail(code, reason)


def csms_websocket_class(
    on_request: Callable[[], None], on_message: Callable[[], Awaitable[None]]
) -> type[CsmsWebsocket]:
    """Make the class of the websocket of one attempt, which calls back when it progresses.

    It calls `on_request` when the HTTP request, which carries the password, is about to be sent (TCP and TLS are
    established by then), and awaits `on_message` before `recv` returns the first message.
    """

    class ReportingConnection(CsmsWebsocket):
        """A CsmsWebsocket that reports its HTTP request and its first message."""

        _has_message = False

        async def handshake(
            self, additional_headers: HeadersLike | None = None, user_agent_header: str | None = None
        ) -> None:
            """Report the request, then send it and wait for the response."""
            on_request()
            await super().handshake(additional_headers, user_agent_header)

        async def recv(self, decode: bool | None = None) -> Data:
            """Wait for a message and return it; report the first one before."""
            data = await super().recv(decode)
            if not self._has_message:
                await on_message()
                self._has_message = True
            return data

    return ReportingConnection
