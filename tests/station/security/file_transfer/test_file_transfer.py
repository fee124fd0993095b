"""File transfers against real servers: whole, resumed, refused, too large, cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from foundation.clock import SystemClock
from foundation.uv_loop import UvLoop
from simulator.clock import VirtualClock
from station.security.file_transfer import file_transfer
from station.security.file_transfer.file_transfer import FileLocation, TransferError, TransferFailure, download, upload
from station.storage.storage_monitor import LOW_SPACE_BYTES
from tests.conformance.pki import Pki
from tests.file_server import FileServer, serving
from tests.patience import PATIENCE_S
from tests.transfer_servers import ftp_server, sftp_server

CONTENT = bytes(range(256)) * 4096
MOST = 2 * len(CONTENT)


def plain() -> ssl.SSLContext:
    """TLS that believes the operating system."""
    return ssl.create_default_context()


@pytest.fixture
async def server() -> AsyncGenerator[FileServer]:
    """An HTTP server with one file."""
    async with serving() as served:
        served.files["/fw.bin"] = CONTENT
        yield served


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file to upload."""
    path = tmp_path / "source.gz"
    path.write_bytes(CONTENT)
    return path


async def fetch(url: str, target: Path, *, most_bytes: int = MOST) -> None:
    """Download with a clock of this test's own."""
    await download(url, target, max_bytes=most_bytes, clock=VirtualClock(rate=1000.0), tls=plain)


async def upload_log(source: Path, url: str) -> None:
    """Upload as log.gz."""
    await upload(source, url, name="log.gz", clock=VirtualClock(rate=1000.0), tls=plain)


@contextlib.asynccontextmanager
async def server_sending(greeting: bytes, reached: asyncio.Event | None = None) -> AsyncGenerator[int]:
    """The port of a server that sends this and nothing more; `reached` is set when a client connects."""
    connections: list[asyncio.StreamWriter] = []

    def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        writer.write(greeting)
        if reached is not None:
            reached.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for writer in connections:
        writer.transport.abort()


async def test_a_file_is_fetched_over_http(server: FileServer, tmp_path: Path) -> None:
    await fetch(f"{server.url}/fw.bin", tmp_path / "fw")
    assert (tmp_path / "fw").read_bytes() == CONTENT


async def test_a_download_that_breaks_off_is_resumed_where_it_was(server: FileServer, tmp_path: Path) -> None:
    server.break_after = 300_000
    await fetch(f"{server.url}/fw.bin", tmp_path / "fw")
    assert (tmp_path / "fw").read_bytes() == CONTENT
    ranges = [request.headers.get("range") for request in server.requests]
    assert ranges == [None, "bytes=300000-", "bytes=600000-", "bytes=900000-"]


async def test_a_file_that_changed_meanwhile_is_downloaded_from_its_start(server: FileServer, tmp_path: Path) -> None:
    server.break_after = 300_000
    fetching = asyncio.create_task(fetch(f"{server.url}/fw.bin", tmp_path / "fw"))
    await server.first_answered.wait()
    server.files["/fw.bin"], server.etag, server.break_after = CONTENT[::-1], '"2"', None
    await fetching
    assert (tmp_path / "fw").read_bytes() == CONTENT[::-1]


async def test_a_server_that_breaks_off_at_the_same_place_is_given_up(server: FileServer, tmp_path: Path) -> None:
    server.break_after, server.etag = 1000, None
    with pytest.raises(TransferError) as caught:
        await fetch(f"{server.url}/fw.bin", tmp_path / "fw")
    assert caught.value.failure is TransferFailure.FAILED
    assert len(server.requests) == 2


async def test_a_file_that_is_too_large_is_not_fetched(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(TransferError) as caught:
        await fetch(f"{server.url}/fw.bin", tmp_path / "fw", most_bytes=len(CONTENT) - 1)
    assert caught.value.failure is TransferFailure.TOO_LARGE
    assert (tmp_path / "fw").stat().st_size == 0


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (400, TransferFailure.BAD_MESSAGE),
        (401, TransferFailure.PERMISSION_DENIED),
        (403, TransferFailure.PERMISSION_DENIED),
        (404, TransferFailure.FAILED),
        (405, TransferFailure.NOT_SUPPORTED),
        (501, TransferFailure.NOT_SUPPORTED),
        (503, TransferFailure.FAILED),
    ],
)
async def test_a_refusal_has_its_kind(server: FileServer, source: Path, status: int, failure: TransferFailure) -> None:
    server.refusals = {"PUT": status, "POST": status}
    with pytest.raises(TransferError, match=str(status)) as caught:
        await upload_log(source, f"{server.url}/log.gz")
    assert caught.value.failure is failure


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "gopher://x/y",
        "http:///path",
        "http://host:port/",
        "ftp://h/a%0d%0aDELE%20b",
        "http://h/a b",
        "sftp://a..b/x",
        f"sftp://{'a' * 70}.example/x",
        "http://xn--a/x",
    ],
)
async def test_what_is_no_url_of_ours_is_said_so(source: Path, url: str) -> None:
    with pytest.raises(TransferError) as caught:
        await upload_log(source, url)
    assert caught.value.failure is TransferFailure.BAD_LOCATION


async def test_a_log_goes_into_the_directory_or_to_the_name_of_the_url(server: FileServer, source: Path) -> None:
    await upload_log(source, f"{server.url}/logs/?key=1")
    await upload_log(source, f"{server.url}/logs/mine")
    await upload_log(source, server.url)
    assert [request.path for request in server.requests] == ["/logs/log.gz?key=1", "/logs/mine", "/log.gz"]
    assert server.files["/logs/log.gz"] == CONTENT
    assert server.requests[0].headers["content-disposition"] == 'attachment; filename="log.gz"'


async def test_a_server_without_put_gets_a_form(server: FileServer, source: Path) -> None:
    """N01.FR.18, N01.FR.19."""
    server.refusals["PUT"] = 405
    await upload_log(source, f"{server.url}/upload.php")
    assert server.requests[-1].method == "POST"
    head, _, rest = server.requests[-1].body.partition(b"\r\n\r\n")
    assert b'Content-Disposition: form-data; name="file"; filename="log.gz"' in head
    assert b"Content-Type: application/octet-stream" in head
    assert rest.startswith(CONTENT)


async def test_the_password_is_given_to_its_host_and_never_logged(
    server: FileServer, source: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with serving() as other_server:
        server.redirects["/here"] = f"{other_server.url}/there"
        await upload_log(source, f"http://user:se%40cret@127.0.0.1:{server.port}/here?signature=abc")
        assert other_server.files["/there"] == CONTENT
        assert "authorization" not in other_server.requests[0].headers
    assert server.requests[0].headers["authorization"] == "Basic dXNlcjpzZUBjcmV0"
    own = [record.getMessage() for record in caplog.records if record.name.startswith("station")]
    assert not any("cret" in line or "user" in line or "abc" in line for line in own)


def test_a_location_hides_its_user() -> None:
    location = FileLocation.parse("http://user:word@d@csms.org/logs?sig=1")
    assert (location.host, location.user, location.password) == ("csms.org", "user", "word@d")
    assert location.log_text == "http://csms.org:80/logs"
    assert "word" not in repr(location)


async def test_https_is_checked_against_the_roots(tmp_path: Path, source: Path) -> None:
    """N01.FR.15."""
    pki = Pki(tmp_path)
    issued = pki.server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.write_pem("s.pem", issued.pem), pki.write_pem("s.key", issued.key_pem))
    async with serving(context) as server:
        with pytest.raises(TransferError, match=r"(?i)certificate"):
            await upload_log(source, f"{server.url}/log.gz")
        trust = ssl.create_default_context(cadata=pki.root.pem)
        clock = VirtualClock(rate=1000.0)
        await upload(source, f"{server.url}/log.gz", name="x", clock=clock, tls=lambda: trust)
        assert server.files["/log.gz"] == CONTENT


async def test_a_redirect_may_not_lead_out_of_tls(tmp_path: Path, source: Path, server: FileServer) -> None:
    pki = Pki(tmp_path)
    issued = pki.server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.write_pem("s.pem", issued.pem), pki.write_pem("s.key", issued.key_pem))
    async with serving(context) as secure:
        secure.redirects["/log.gz"] = f"{server.url}/log.gz"
        trust = ssl.create_default_context(cadata=pki.root.pem)
        clock = VirtualClock(rate=1000.0)
        with pytest.raises(TransferError, match="redirect"):
            await upload(source, f"{secure.url}/log.gz", name="x", clock=clock, tls=lambda: trust)
    assert server.requests == []


@pytest.mark.parametrize("where", ["https:////[ +", "http://xn--a/", "//[::1%é]/"])
async def test_a_redirect_to_no_url_is_a_failure(source: Path, server: FileServer, where: str) -> None:
    server.redirects["/log.gz"] = where
    with pytest.raises(TransferError) as caught:
        await upload_log(source, f"{server.url}/log.gz")
    assert caught.value.failure is TransferFailure.BAD_LOCATION


@pytest.mark.parametrize("path", ["log.gz", "", "sub/", "sub"])
async def test_ftp_brings_a_file_to_where_the_url_says(tmp_path: Path, source: Path, path: str) -> None:
    folder = tmp_path / "ftp"
    (folder / "sub").mkdir(parents=True)
    with ftp_server(folder) as served:
        await upload_log(source, served.url(path, "ftp"))
    where = folder / "sub" / "log.gz" if path.startswith("sub") else folder / "log.gz"
    assert where.read_bytes() == CONTENT


async def test_ftp_fetches_a_file(tmp_path: Path) -> None:
    (tmp_path / "fw.bin").write_bytes(CONTENT)
    with ftp_server(tmp_path) as served:
        await fetch(served.url("fw.bin", "ftp"), tmp_path / "fw")
        assert (tmp_path / "fw").read_bytes() == CONTENT
        with pytest.raises(TransferError, match="550"):
            await fetch(served.url("no.bin", "ftp"), tmp_path / "fw")
        with pytest.raises(TransferError) as caught:
            await fetch(served.url("fw.bin", "ftp"), tmp_path / "fw", most_bytes=1000)
    assert caught.value.failure is TransferFailure.TOO_LARGE


async def test_ftp_resumes_both_ways(tmp_path: Path, source: Path) -> None:
    """N01, error handling: resume before giving up."""
    (tmp_path / "fw.bin").write_bytes(CONTENT)
    with ftp_server(tmp_path) as served:
        served.break_after = [400_000, 300_000]
        await fetch(served.url("fw.bin", "ftp"), tmp_path / "fw")
        assert (tmp_path / "fw").read_bytes() == CONTENT
        assert served.commands.count("REST") == 2
        served.break_after = [400_000]
        await upload_log(source, served.url("up.gz", "ftp"))
        assert (tmp_path / "up.gz").read_bytes() == CONTENT
        assert served.commands.count("REST") == 3


async def test_ftp_says_who_may_not(tmp_path: Path, source: Path) -> None:
    with ftp_server(tmp_path) as served, pytest.raises(TransferError) as caught:
        await upload_log(source, f"ftp://station:wrong@127.0.0.1:{served.port}/x")
    assert caught.value.failure is TransferFailure.PERMISSION_DENIED


async def test_ftps_protects_both_connections(tmp_path: Path, source: Path) -> None:
    pki = Pki(tmp_path)
    issued = pki.server()
    folder = tmp_path / "ftp"
    folder.mkdir()
    trust = ssl.create_default_context(cadata=pki.root.pem)
    with ftp_server(folder, certificate=pki.write_pem("both.pem", issued.key_pem + issued.pem)) as served:
        clock = VirtualClock(rate=1000.0)
        await upload(source, served.url("log.gz", "ftps"), name="x", clock=clock, tls=lambda: trust)
        assert (folder / "log.gz").read_bytes() == CONTENT
        assert {"AUTH", "PROT"} <= set(served.commands)
        with pytest.raises(TransferError, match=r"(?i)certificate"):
            await upload_log(source, served.url("log.gz", "ftps"))
        await download(served.url("log.gz", "ftps"), tmp_path / "fw", max_bytes=MOST, clock=clock, tls=lambda: trust)
    assert (tmp_path / "fw").read_bytes() == CONTENT


@pytest.mark.parametrize("scheme", ["ftps", "https"])
def test_a_file_is_whole_on_the_event_loop_of_stations_in_real_time(tmp_path: Path, scheme: str) -> None:
    """The TLS of uvloop drops what it has received and nobody has read yet when the server ends TCP."""
    pki = Pki(tmp_path)
    issued = pki.server()
    both = pki.write_pem("both.pem", issued.key_pem + issued.pem)
    trust = ssl.create_default_context(cadata=pki.root.pem)
    content = 4 * CONTENT

    async def get(url: str) -> None:
        await download(url, tmp_path / "fw", max_bytes=len(content), clock=SystemClock(), tls=lambda: trust)

    async def get_https() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(both)
        async with serving(context) as server:
            server.files["/fw.bin"] = content
            await get(f"{server.url}/fw.bin")

    with asyncio.Runner(loop_factory=UvLoop) as runner:
        if scheme == "https":
            runner.run(get_https())
        else:
            (tmp_path / "fw.bin").write_bytes(content)
            with ftp_server(tmp_path, certificate=both) as served:
                runner.run(get(served.url("fw.bin", "ftps")))
    assert (tmp_path / "fw").read_bytes() == content


@contextlib.asynccontextmanager
async def intercepted(
    pki: Pki, replies: dict[str, str], *, ahead: bytes = b""
) -> AsyncGenerator[tuple[str, list[str]]]:
    """An FTPS server with somebody in between, who says `ahead` in the clear just before TLS begins, and INJECTED on
    the data connection; its URL, and the commands that came within TLS."""
    commands: list[str] = []
    trusted = pki.server_context(pki.server())

    async def data(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"INJECTED")
        await writer.start_tls(trusted)
        writer.write(b"right")
        writer.close()

    async def control(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        await reader.readline()
        writer.write(b"234 go on\r\n" + ahead)
        await writer.start_tls(trusted)
        while line := (await reader.readline()).decode().strip():
            commands.append(line)
            for reply in replies.get(line.split()[0], "200 fine").splitlines():
                writer.write(f"{reply}\r\n".encode())
        writer.close()

    data_server = await asyncio.start_server(data, "127.0.0.1", 0)
    control_server = await asyncio.start_server(control, "127.0.0.1", 0)
    replies.setdefault("EPSV", f"229 here (|||{data_server.sockets[0].getsockname()[1]}|)")
    yield f"ftps://127.0.0.1:{control_server.sockets[0].getsockname()[1]}/fw", commands
    data_server.close()
    control_server.close()


async def test_what_came_before_tls_is_no_answer_within_it(tmp_path: Path) -> None:
    """Somebody in between could answer in the server's place."""
    pki = Pki(tmp_path)
    trust = ssl.create_default_context(cadata=pki.root.pem)
    clock = VirtualClock(rate=1000.0)
    ahead = b"230 in\r\n200 fine\r\n200 fine\r\n200 fine\r\n"
    async with intercepted(pki, {"USER": "530 no"}, ahead=ahead) as (url, commands):
        with pytest.raises(TransferError, match="530"):
            await download(url, tmp_path / "fw", max_bytes=MOST, clock=clock, tls=lambda: trust)
    assert commands == ["USER anonymous"]


async def test_what_came_before_tls_is_no_part_of_a_file(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    trust = ssl.create_default_context(cadata=pki.root.pem)
    clock = VirtualClock(rate=1000.0)
    async with intercepted(pki, {"RETR": "150 here it comes\n226 done", "SIZE": "500 what"}) as (url, _):
        await download(url, tmp_path / "fw", max_bytes=MOST, clock=clock, tls=lambda: trust)
    assert (tmp_path / "fw").read_bytes() == b"right"


@pytest.mark.parametrize("path", ["log.gz", "", "sub/", "sub"])
async def test_sftp_brings_a_file_to_where_the_url_says(tmp_path: Path, source: Path, path: str) -> None:
    folder = tmp_path / "sftp"
    (folder / "sub").mkdir(parents=True)
    async with sftp_server(folder) as served:
        await upload_log(source, served.url(path, "sftp"))
    where = folder / "sub" / "log.gz" if path.startswith("sub") else folder / "log.gz"
    assert where.read_bytes() == CONTENT


async def test_sftp_resumes_both_ways(tmp_path: Path, source: Path) -> None:
    (tmp_path / "fw.bin").write_bytes(CONTENT)
    async with sftp_server(tmp_path) as served:
        served.break_after = [600_000]
        await fetch(served.url("fw.bin", "sftp"), tmp_path / "fw")
        assert (tmp_path / "fw").read_bytes() == CONTENT
        served.break_after = [600_000]
        await upload_log(source, served.url("up.gz", "sftp"))
        assert (tmp_path / "up.gz").read_bytes() == CONTENT
        assert served.break_after == []


async def test_sftp_says_who_may_not_and_what_is_not_there(tmp_path: Path, source: Path) -> None:
    async with sftp_server(tmp_path) as served:
        with pytest.raises(TransferError) as caught:
            await upload_log(source, f"sftp://station:wrong@127.0.0.1:{served.port}/x")
        assert caught.value.failure is TransferFailure.PERMISSION_DENIED
        with pytest.raises(TransferError) as caught:
            await upload_log(source, served.url("nowhere/x", "sftp"))
        assert caught.value.failure is TransferFailure.FAILED


@pytest.mark.parametrize("scheme", ["http", "ftp", "sftp"])
async def test_nobody_there_is_a_failure(source: Path, scheme: str) -> None:
    with pytest.raises(TransferError) as caught:
        await upload_log(source, f"{scheme}://127.0.0.1:1/x")
    assert caught.value.failure is TransferFailure.FAILED


@pytest.mark.parametrize("scheme", ["http", "ftp", "sftp"])
async def test_a_transfer_is_cancelled_at_once(source: Path, scheme: str) -> None:
    """A server that accepts the connection and never says a word."""
    reached = asyncio.Event()
    async with server_sending(b"", reached) as port:
        bringing = asyncio.create_task(upload_log(source, f"{scheme}://127.0.0.1:{port}/x"))
        async with asyncio.timeout(PATIENCE_S):
            await reached.wait()
        began_s = time.monotonic()
        bringing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await bringing
        assert time.monotonic() - began_s < 25.0  # whoever waits for the server waits for 30 s


@pytest.mark.parametrize("scheme", ["http", "ftp"])
async def test_a_transfer_that_drips_has_a_time_limit_as_a_whole(tmp_path: Path, scheme: str) -> None:
    """Each byte comes in time, and the last one never."""
    head = {"http": b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", "ftp": b"220"}[scheme]
    dripping, ended, clock = asyncio.Event(), asyncio.Event(), VirtualClock()

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"-")
                await writer.drain()
                dripping.set()
                await asyncio.sleep(0.01)
        writer.transport.abort()
        ended.set()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/fw"
    async with server:
        fetching = asyncio.create_task(download(url, tmp_path / "fw", max_bytes=MOST, clock=clock, tls=plain))
        async with asyncio.timeout(PATIENCE_S):
            await dripping.wait()
            await clock.advance(5 * 3_600.0)
            assert not fetching.done()
            await clock.advance(2 * 3_600.0)
            with pytest.raises(TransferError, match="not complete after 6 hours"):
                await fetching
            await ended.wait()


async def test_a_server_that_speaks_nonsense_is_a_bad_message(source: Path) -> None:
    async with server_sending(b"hello, who are you?\r\n") as port:
        with pytest.raises(TransferError) as caught:
            await upload_log(source, f"ftp://127.0.0.1:{port}/x")
    assert caught.value.failure is TransferFailure.BAD_MESSAGE


async def test_a_download_leaves_room_for_the_records(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However large a file is ordered: a full disk ends charges."""

    def little(_: Path) -> int:
        return 2 * LOW_SPACE_BYTES + len(CONTENT) - 1

    monkeypatch.setattr(file_transfer, "free_bytes", little)
    with pytest.raises(TransferError) as caught:
        await fetch(f"{server.url}/fw.bin", tmp_path / "fw")
    assert caught.value.failure is TransferFailure.STORAGE
    assert (tmp_path / "fw").stat().st_size == 0


@pytest.mark.parametrize("passive", ["229 here (|||99999|)", "227 here (127,0,0,1,999,9)", "229 here (|||0|)"])
async def test_an_ftp_server_that_names_an_impossible_port_is_a_bad_message(source: Path, passive: str) -> None:
    replies = ["220 hello", "230 in", "200 binary", passive, passive]
    async with server_sending("".join(f"{reply}\r\n" for reply in replies).encode()) as port:
        with pytest.raises(TransferError) as caught:
            await upload_log(source, f"ftp://127.0.0.1:{port}/log.gz")
        assert caught.value.failure is TransferFailure.BAD_MESSAGE
