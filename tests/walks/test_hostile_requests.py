"""Requests as no client writes them, over raw sockets: they move nobody past the table of rights."""

from __future__ import annotations

import asyncio
import string
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from station.interfaces.access.visitor import routed_path
from station.interfaces.http.host_header import is_own_name
from station.security.access.accounts import Role
from tests.patience import PATIENCE_S
from tests.walk import Walk, walking

PUBLIC = ("/api/session", "/healthz", "/static/x", "/api/status", "/api/accounts/owner/first-password", "/")
"""what anybody may ask for: a hostile request pretends to be one of these"""
GUARDED = (("POST", "/api/factory-reset"), ("GET", "/api/frames"), ("GET", "/api/transactions"), ("PUT", "/api/prices"))
TRICKS = (
    "x{path}?",
    "x{path}#",
    "x{path}\\\\",
    "x{path}?@station",
    "station:80{path}?",
    "station@x{path}?",
    "[::1]{path}?",
    "[{path}",
    "{path}",
    "127.0.0.1{path}#",
    "localhost/..{path}?",
)


async def send_request(walk: Walk, method: str, target: str, *headers: str, body: bytes = b"") -> tuple[int, str]:
    """Send a raw request; returns status and text of the response."""
    reader, writer = await asyncio.open_connection("127.0.0.1", walk.web.port)
    head = "\r\n".join([f"{method} {target} HTTP/1.1", *headers, "X-Forwarded-For: 192.0.2.7", "Connection: close"])
    writer.write(f"{head}\r\n\r\n".encode("latin-1") + body)
    async with asyncio.timeout(PATIENCE_S):
        response = (await reader.read()).decode("latin-1")
    writer.close()
    await writer.wait_closed()
    return int(response.split(" ", 2)[1]), response


async def test_no_host_header_makes_a_guarded_path_a_public_one(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await walk.parts.access.accounts.set_password(Role.OWNER, "correct horse battery")
        for method, path in GUARDED:
            assert (await send_request(walk, method, path, "Host: station"))[0] == 401
            for trick in TRICKS:
                for public in PUBLIC:
                    host = trick.format(path=public)
                    assert (await send_request(walk, method, path, f"Host: {host}"))[0] in {400, 401, 421}, host
        assert walk.parts.access.accounts.has_password(Role.OWNER), "nothing was reset"


@pytest.mark.parametrize("path", ["/API/factory-reset", "//api/factory-reset", "/api/session/../factory-reset"])
async def test_no_other_spelling_of_a_path_gets_past_the_table_either(tmp_path: Path, path: str) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await walk.parts.access.accounts.set_password(Role.OWNER, "correct horse battery")
        for target in (path, path.replace("api", "%61pi"), f"http://station{path}"):
            assert (await send_request(walk, "POST", target, "Host: station"))[0] in {400, 401, 404}, target
        assert walk.parts.access.accounts.has_password(Role.OWNER)


@pytest.mark.parametrize(
    "other_headers", [b"Host: station", b"Host: www.example.com", b"Host: station\r\nUser-Agent: borne-file-transfer"]
)
async def test_a_request_with_two_lengths_is_refused_and_the_connection_is_closed(
    tmp_path: Path, other_headers: bytes
) -> None:
    """RFC 9112 6.1: what follows might be a request that somebody smuggles past a proxy. Whatever else is wrong."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        smuggled = b"0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: station\r\n\r\n"
        lengths = (b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n")
        for headers in (b"".join(lengths), b"".join(reversed(lengths))):
            reader, writer = await asyncio.open_connection("127.0.0.1", walk.web.port)
            writer.write(b"POST /api/session HTTP/1.1\r\n" + other_headers + b"\r\n" + headers + b"\r\n" + smuggled)
            async with asyncio.timeout(PATIENCE_S):
                response = await reader.read()
            assert response.startswith(b"HTTP/1.1 400 ")
            assert b"connection: close" in response.lower()
            assert response.count(b"HTTP/1.1") == 1
            writer.close()
            await writer.wait_closed()


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "http://\xe4\x84\x80", "null", "[", ""])
async def test_an_origin_that_is_none_is_one_of_another_page(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, origin: str
) -> None:
    """And writes no traceback into the log, which anybody could fill that way."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await walk.parts.access.accounts.set_password(Role.OWNER, "correct horse battery")
        assert (await send_request(walk, "POST", "/api/session", "Host: station", f"Origin: {origin}"))[0] == 403
    assert not [record for record in caplog.records if record.exc_info]


@given(st.text(string.printable, max_size=30))
def test_a_name_is_ours_only_if_it_is_a_name(name: str) -> None:
    if is_own_name(name, ()):
        assert not set(name) & set("/?#@\\ %"), name


@pytest.mark.parametrize(
    ("target", "mounted_at"),
    [("/x", ""), ("/a/x", "/a"), ("/a", "/a"), ("/ab/x", "/a"), ("/a/b/x", "/a/b"), ("/b/a/x", "/a"), ("/a/a/x", "/a")],
)
async def test_the_path_that_is_judged_is_the_one_that_is_routed(target: str, mounted_at: str) -> None:
    """As Starlette itself routes it, below whichever place the application is mounted at."""
    judged: list[str] = []

    async def judge(request: Request) -> PlainTextResponse:
        judged.append(routed_path(request))
        return PlainTextResponse(str(request.path_params["rest"]))

    routes = [Route("/{rest:path}", judge)]
    app = Starlette(routes=[Mount(mounted_at, routes=routes), *routes] if mounted_at else routes)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://station") as client:
        routed = (await client.get(target)).text
    assert [f"/{routed}"] == [path or "/" for path in judged]


def test_no_code_of_the_page_reads_a_url_that_is_built_with_the_host_header() -> None:
    guilty = [
        file.name
        for file in (Path(__file__).parents[2] / "station" / "web").rglob("*.py")
        for line in file.read_text(encoding="utf-8").splitlines()
        if any(word in line for word in ("request.url", ".base_url", "url_for(")) and "Never" not in line
    ]
    assert guilty == []
