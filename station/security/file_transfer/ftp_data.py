"""The data connection of FTP (RFC 959), with TLS if wanted (RFC 4217)."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from station.security.file_transfer.location import CHUNK, CONNECT_S

T = TypeVar("T")


class DataConnection:
    """A connection on which the bytes of one file are sent or received.

    TLS is done here, on the plain streams: the TLS of uvloop drops what it has received and nobody has read yet when
    the server ends TCP, as FTP servers do after each file.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._writer_before_tls = writer
        """the writer before TLS; referenced, since a garbage-collected writer closes its connection"""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None

    @classmethod
    async def connect(cls, host: str, port: int) -> DataConnection:
        """Connect, still without TLS.

        Raises:
            OSError: the server cannot be reached.
            TimeoutError: it does not accept the connection in time.
        """
        async with asyncio.timeout(CONNECT_S):
            return cls(*await asyncio.open_connection(host, port))

    async def secure(self, context: ssl.SSLContext, host: str) -> None:
        """Begin TLS.

        Data that has arrived before was sent without TLS, possibly by an attacker, and is discarded (compare
        CVE-2021-22947 of curl).

        Raises:
            OSError: the handshake failed, or the connection ended.
        """
        loop, transport = asyncio.get_running_loop(), self._writer.transport
        self._reader = asyncio.StreamReader(loop=loop)
        protocol = asyncio.StreamReaderProtocol(self._reader, loop=loop)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if not transport.is_reading():
            transport.resume_reading()
        self._writer = asyncio.StreamWriter(transport, protocol, self._reader, loop)
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        await self._run(self._tls.do_handshake)

    async def read(self) -> bytes:
        """Wait for the next bytes; empty when the server has ended the file."""
        if (tls := self._tls) is None:
            return await self._reader.read(CHUNK)
        try:
            return await self._run(lambda: tls.read(CHUNK))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):  # many servers end TCP without the end of TLS
            return b""

    async def write(self, chunk: bytes) -> None:
        """Send bytes; waits while the server does not read."""
        if (tls := self._tls) is None:
            self._writer.write(chunk)
            await self._writer.drain()
            return
        remaining = memoryview(chunk)
        while remaining:  # TLS takes a record at a time
            remaining = remaining[await self._run(partial(tls.write, remaining)) :]

    async def close(self) -> None:
        """End TLS and TCP after everything was sent.

        Waits until the server has ended TLS too: TCP that ends before it was read to its end loses what was sent.
        """
        if self._tls is not None:
            with contextlib.suppress(ssl.SSLError):  # it ended TCP only
                await self._run(self._tls.unwrap)
        self._writer.close()
        await self._writer.wait_closed()

    def abort(self) -> None:
        """End the connection at once; what has not been sent is lost."""
        self._writer.transport.abort()

    async def _run(self, operation: Callable[[], T]) -> T:
        """Run an operation of the TLS object, with the bytes that it needs from the server."""
        while True:
            try:
                result = operation()
            except ssl.SSLWantReadError:
                await self._send()
                if received := await self._reader.read(CHUNK):
                    self._incoming.write(received)
                else:
                    self._incoming.write_eof()
            else:
                await self._send()
                return result

    async def _send(self) -> None:
        """Send what the TLS object has written."""
        if self._outgoing.pending:
            self._writer.write(self._outgoing.read())
            await self._writer.drain()
