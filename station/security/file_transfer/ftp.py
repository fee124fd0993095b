"""File transfer over FTP (RFC 959, passive mode as N01 requires), optionally with TLS (RFC 4217).

Implemented on asyncio streams: the standard library's client blocks, and aioftp (0.28) is not suitable (ADR 13).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncGenerator, Awaitable
from typing import TypeVar

from station.security.file_transfer.ftp_data import DataConnection
from station.security.file_transfer.location import (
    CONNECT_S,
    IDLE_S,
    DownloadFile,
    FileLocation,
    TransferError,
    TransferFailure,
    UploadFile,
    connection_error,
)

T = TypeVar("T")

_MAX_LINES = 200
"""maximum number of lines of a reply"""
_IMPLICIT_PORT = 990
"""port with implicit TLS; on any other port TLS begins with AUTH TLS"""
_HIGHEST_PORT = 65_535
_NO_SUCH_FILE = frozenset({550, 553})
_FAILURES = {
    500: TransferFailure.BAD_MESSAGE,
    501: TransferFailure.BAD_MESSAGE,
    502: TransferFailure.NOT_SUPPORTED,
    504: TransferFailure.NOT_SUPPORTED,
    530: TransferFailure.PERMISSION_DENIED,
    532: TransferFailure.PERMISSION_DENIED,
    534: TransferFailure.PERMISSION_DENIED,
}


class _RefusedError(TransferError):
    """The server replied with an error code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(
            _FAILURES.get(code, TransferFailure.FAILED), f"FTP {code} {text}"[:200], broken_off=code == 426
        )
        self.code = code


async def fetch(location: FileLocation, sink: DownloadFile, tls: ssl.SSLContext) -> None:
    """Download a file (RETR) over one connection, continuing at the size of `sink`; `tls` is used for ftps only.

    Raises:
        TransferError: the download failed.
    """
    async with _open_control_connection(location, tls) as control:
        path = _path(location)
        sink.expect(await control.size(path))
        async with control.data(sink.size) as transfer:
            if not transfer.resumed:
                sink.restart()
            await control.begin(f"RETR {path}")
            connection = await transfer.begin()
            while chunk := await _within_timeout(connection.read()):
                await sink.write(chunk)


async def send(location: FileLocation, source: UploadFile, tls: ssl.SSLContext) -> None:
    """Upload a file (STOR) over one connection, continuing where `source` ended; `tls` is used for ftps only.

    If the URL names a directory, the file gets the name of `source` in it.

    Raises:
        TransferError: the upload failed.
    """
    path = _path(location)
    inside = f"{path.rstrip('/')}/{source.name}" if path.rstrip("/") else source.name
    async with _open_control_connection(location, tls) as control:
        try:
            await _send_file(control, inside if location.is_directory else path, source)
        except _RefusedError as error:
            # The path may be a directory.
            if error.code not in _NO_SUCH_FILE or location.is_directory or not await control.enter(path):
                raise
            await _send_file(control, source.name, source)


async def _send_file(control: _ControlConnection, path: str, source: UploadFile) -> None:
    offset = min(source.sent, await control.size(path) or 0) if source.sent else 0
    async with control.data(offset) as transfer:
        source.seek(offset if transfer.resumed else 0)
        await control.begin(f"STOR {path}")
        connection = await transfer.begin()
        while chunk := source.read():
            await _within_timeout(connection.write(chunk))


@contextlib.asynccontextmanager
async def _open_control_connection(location: FileLocation, tls: ssl.SSLContext) -> AsyncGenerator[_ControlConnection]:
    context = tls if location.scheme == "ftps" else None
    implicit = context is not None and location.port == _IMPLICIT_PORT
    try:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(
                location.host, location.port, ssl=context if implicit else None
            )
        control = _ControlConnection(location.host, reader, writer, context)
        try:
            await control.log_in(location, secure_first=context is not None and not implicit)
            yield control
        finally:
            control.hang_up()
    except (OSError, TimeoutError, EOFError) as error:
        raise connection_error(error) from error
    except ValueError as error:  # a line without an end
        raise TransferError(TransferFailure.BAD_MESSAGE, "the server does not respond as an FTP server") from error


class _FileTransfer:
    """The transfer of one file on a data connection."""

    def __init__(self, connection: DataConnection, host: str, context: ssl.SSLContext | None, *, resumed: bool) -> None:
        self._connection, self._host, self._context = connection, host, context
        self.resumed = resumed
        """whether the server continues at the requested offset"""

    async def begin(self) -> DataConnection:
        """The connection, after the server's reply to the transfer command; TLS begins only then."""
        if self._context is not None:
            await _within_timeout(self._connection.secure(self._context, self._host))
        return self._connection


class _ControlConnection:
    """The control connection."""

    def __init__(
        self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext | None
    ) -> None:
        self._host = host
        self._reader = reader
        self._writer = writer
        self._writer_before_tls = writer
        """the writer before TLS; referenced, since a garbage-collected writer closes its connection"""
        self._context = context

    async def log_in(self, location: FileLocation, *, secure_first: bool) -> None:
        await self._expect_reply("2")
        if secure_first:
            await self.command("AUTH TLS")
            if self._context is not None:
                self._reader, self._writer = await _within_timeout(_start_tls(self._writer, self._context, self._host))
        code, _ = await self.command(f"USER {location.user or 'anonymous'}", "23")
        if code // 100 == 3:
            await self.command(f"PASS {location.password or ''}")
        if self._context is not None:
            await self.command("PBSZ 0")
            await self.command("PROT P")
        await self.command("TYPE I")

    def hang_up(self) -> None:
        """Close the connection without QUIT; the transfer is already confirmed."""
        self._writer.transport.abort()

    async def command(self, line: str, expected: str = "2") -> tuple[int, str]:
        """Send a command; the reply code must begin with one of the digits `expected`."""
        self._writer.write(f"{line}\r\n".encode())
        await _within_timeout(self._writer.drain())
        return await self._expect_reply(expected)

    async def begin(self, line: str) -> None:
        """Send a command that starts a transfer on the data connection."""
        await self.command(line, "1")

    async def size(self, path: str) -> int | None:
        """The size of a file on the server; None if unknown (RFC 3659)."""
        try:
            _, text = await self.command(f"SIZE {path}")
        except _RefusedError:
            return None
        return int(text) if text.isascii() and text.isdigit() else None

    async def enter(self, path: str) -> bool:
        """Change to a directory; returns whether it exists."""
        try:
            await self.command(f"CWD {path}")
        except _RefusedError:
            return False
        return True

    @contextlib.asynccontextmanager
    async def data(self, offset: int) -> AsyncGenerator[_FileTransfer]:
        """Open a data connection for one file; on normal exit the server has confirmed the transfer."""
        port, resumed = await self._passive(), False
        if offset:
            with contextlib.suppress(_RefusedError):
                await self.command(f"REST {offset}", "3")
                resumed = True
        connection = await DataConnection.connect(self._host, port)
        try:
            yield _FileTransfer(connection, self._host, self._context, resumed=resumed)
            with contextlib.suppress(OSError):  # the server's reply confirms the transfer
                await _within_timeout(connection.close())
        finally:
            connection.abort()
        await self._expect_reply("2")

    async def _passive(self) -> int:
        """The port of the next data connection; the host is always the server's own."""
        try:
            _, text = await self.command("EPSV")
            match = re.search(r"\(\|\|\|(\d{1,5})\|\)", text)
            if match is not None:
                return _valid_port(int(match[1]))
        except _RefusedError:
            pass  # an old server
        _, text = await self.command("PASV")
        match = re.search(r"(?:\d{1,3},){4}(\d{1,3}),(\d{1,3})", text)
        if match is None:
            raise TransferError(TransferFailure.BAD_MESSAGE, "the FTP server stated no port for the data connection")
        return _valid_port(int(match[1]) * 256 + int(match[2]))

    async def _expect_reply(self, expected: str) -> tuple[int, str]:
        code, text = await self._reply()
        if str(code)[0] not in expected:
            raise _RefusedError(code, text)
        return code, text

    async def _reply(self) -> tuple[int, str]:
        """Read a reply, possibly of several lines (RFC 959 4.2); returns the code and the text of the last line."""
        first_line = await self._line()
        if not re.match(r"[1-5]\d\d[ -]", first_line):
            raise ValueError(first_line)
        line = first_line
        for _ in range(_MAX_LINES):
            if line.startswith(f"{first_line[:3]} "):
                return int(first_line[:3]), line[4:].strip()
            line = await self._line()
        raise ValueError("FTP reply without end")

    async def _line(self) -> str:
        line = await _within_timeout(self._reader.readline())
        if not line.endswith(b"\n"):
            raise EOFError("the FTP server closed the connection")
        return line.decode("utf-8", "replace").rstrip("\r\n")


async def _start_tls(
    writer: asyncio.StreamWriter, context: ssl.SSLContext, host: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Start TLS on a connection; returns new streams with an empty buffer.

    Data left in the old buffer was sent without TLS, possibly by an attacker, and must be discarded (compare
    CVE-2021-22947 of curl).
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    await writer.drain()
    transport = await loop.start_tls(writer.transport, protocol, context, server_hostname=host)
    if transport is None:
        raise EOFError("the FTP server closed the connection")
    protocol.connection_made(transport)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


def _valid_port(number: int) -> int:
    if not 0 < number <= _HIGHEST_PORT:
        raise TransferError(TransferFailure.BAD_MESSAGE, f"the FTP server stated the invalid port {number}")
    return number


async def _within_timeout(operation: Awaitable[T]) -> T:
    async with asyncio.timeout(IDLE_S):
        return await operation


def _path(location: FileLocation) -> str:
    """The path relative to the login directory (RFC 1738 3.2.2); `%2F` begins at the root."""
    return location.path.removeprefix("/")
