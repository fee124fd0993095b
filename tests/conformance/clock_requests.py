"""Requests that move the station's clock: nine of ten requests of the suite, so they do without a full HTTP client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import httpx

from tests.patience import PATIENCE_S

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection: *close\r\n", re.IGNORECASE)


@dataclass(frozen=True)
class ClockResponse:
    """The response of the station."""

    status: int
    """HTTP status code"""
    body: bytes


class ClockRequests:
    """Sends `POST /api/sim/clock` on a connection that it keeps, several times as fast as a full HTTP client."""

    def __init__(self, url: httpx.URL) -> None:
        self._url = url.join("/api/sim/clock")
        self._idle: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def aclose(self) -> None:
        """Close the connection, if there is one."""
        if self._idle is not None:
            (_, writer), self._idle = self._idle, None
            await _close(writer)

    async def advance(self, seconds: float) -> ClockResponse:
        """Advance the clock; returns the response.

        Raises:
            OSError: the station cannot be reached.
            EOFError: it has closed the connection instead of responding.
            TimeoutError: it has not responded in time.
        """
        body = json.dumps({"advance_s": seconds})
        request = (
            f"POST {self._url.path} HTTP/1.1\r\nHost: {self._url.netloc.decode()}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )
        async with asyncio.timeout(PATIENCE_S), self._connection() as (reader, writer):
            writer.write(request.encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = _CONTENT_LENGTH.search(head)
            assert length is not None, head
            content = await reader.readexactly(int(length[1]))
            if _CLOSES.search(head) is not None:
                reader.feed_eof()  # it will come: not to be used again
        return ClockResponse(int(head.split(b" ", 2)[1]), content)

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """The kept connection, or a new one if that is closed or in use; kept again unless the request fails."""
        kept, self._idle = self._idle, None
        if kept is not None and kept[0].at_eof():
            await _close(kept[1])
            kept = None
        tls = self._url.scheme == "https"
        port = self._url.port or (443 if tls else 80)
        streams = kept or await asyncio.open_connection(self._url.host, port, ssl=tls or None)
        try:
            yield streams
        except BaseException:
            streams[1].close()
            raise
        if self._idle is None:
            self._idle = streams
        else:
            await _close(streams[1])


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):  # the station may have been killed
        await writer.wait_closed()
