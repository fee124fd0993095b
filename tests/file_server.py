"""An HTTP file server for tests, which can refuse, redirect, stall or break off requests."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import ssl
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field


@dataclass
class HttpRequest:
    """A received request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class FileServer:
    """The files of the server by path, and its configured failures."""

    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    requests: list[HttpRequest] = field(default_factory=list[HttpRequest])
    """all received requests, complete or not"""
    refusals: dict[str, int] = field(default_factory=dict[str, int])
    """by method: the status of the response"""
    users: dict[str, str] = field(default_factory=dict[str, str])
    """password by user for basic authentication; empty: nobody has to log in"""
    redirects: dict[str, str] = field(default_factory=dict[str, str])
    """by path: the redirect target"""
    stalled: int = 0
    """number of next requests that are never answered"""
    break_after: int | None = None
    """bytes of a body after which a GET is broken off"""
    etag: str | None = '"1"'
    first_answered: asyncio.Event = field(default_factory=asyncio.Event)
    """set once the first request is answered"""
    port: int = 0
    secure: bool = False

    @property
    def url(self) -> str:
        """The URL of the server, without a path."""
        return f"{'https' if self.secure else 'http'}://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while (request := await _read_request(reader, self.requests)) is not None:
                if self.stalled > 0:
                    self.stalled -= 1
                    await reader.read()  # until the peer gives up
                    break
                keep_open = await self._answer(request, writer)
                self.first_answered.set()
                if not keep_open:
                    break
        writer.close()

    async def _answer(self, request: HttpRequest, writer: asyncio.StreamWriter) -> bool:
        path = request.path.partition("?")[0]
        if self.users and not self._is_known(request):
            return _send(writer, 401, {"WWW-Authenticate": 'Basic realm="files"'})
        if path in self.redirects:
            return _send(writer, 307, {"Location": self.redirects[path]})
        if (status := self.refusals.get(request.method)) is not None:
            return _send(writer, status)
        if request.method in {"PUT", "POST"}:
            self.files[path] = request.body
            return _send(writer, 201)
        if path not in self.files:
            return _send(writer, 404)
        return await self._send_file(request, self.files[path], writer)

    def _is_known(self, request: HttpRequest) -> bool:
        logins = {base64.b64encode(f"{user}:{password}".encode()).decode() for user, password in self.users.items()}
        return request.headers.get("authorization", "").removeprefix("Basic ") in logins

    async def _send_file(self, request: HttpRequest, content: bytes, writer: asyncio.StreamWriter) -> bool:
        begin, status = 0, 200
        headers = {"ETag": self.etag} if self.etag is not None else {}
        byte_range = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
        if byte_range is not None and request.headers.get("if-range") == self.etag:
            begin, status = int(byte_range[1]), 206
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        rest = content[begin:]
        if self.break_after is None:
            return _send(writer, status, headers, rest)
        _send(writer, status, headers | {"Content-Length": str(len(rest))}, rest[: self.break_after])
        await writer.drain()
        return False


async def _read_request(reader: asyncio.StreamReader, requests: list[HttpRequest]) -> HttpRequest | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    request = HttpRequest(method, path, headers)
    requests.append(request)
    request.body = await reader.readexactly(int(headers.get("content-length", "0")))
    return request


def _send(writer: asyncio.StreamWriter, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> bool:
    all_headers = {"Content-Length": str(len(body))} | (headers or {})
    head = "".join(f"{name}: {value}\r\n" for name, value in all_headers.items())
    writer.write(f"HTTP/1.1 {status} X\r\n{head}\r\n".encode("latin-1") + body)
    return True


@contextlib.asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None) -> AsyncGenerator[FileServer]:
    """Run a file server on a free local port."""
    files = FileServer(secure=tls is not None)
    connections: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(writer)
        try:
            await files.serve(reader, writer)
        finally:
            connections.discard(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    files.port = server.sockets[0].getsockname()[1]
    try:
        yield files
    finally:
        server.close()
        for writer in connections:
            writer.transport.abort()
        await server.wait_closed()
