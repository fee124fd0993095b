"""The TLS handshake with the CSMS: whom the station believes, and what it makes of each failure (A00)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response

from ocpp_handlers.connection.handshake import (
    CheckedHandshake,
    CipherSuiteError,
    LenientHandshake,
    TlsVersionError,
    security_event_of,
)
from ocpp_handlers.connection.tls import csms_tls_context
from station.security.certificates.certificate_results import TlsMaterial
from station.security.security_events import SecurityEventType
from tests.conformance.pki import Issued, Pki

HOST = "csms.example.com"


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path)


async def shake_hands(
    pki: Pki,
    server: ssl.SSLContext,
    kind: type[CheckedHandshake] = CheckedHandshake,
    host: str = HOST,
) -> None:
    """Connect to a CSMS with this TLS that is called HOST, or so; raises what the station finds wrong."""
    context = csms_tls_context(TlsMaterial(pki.root.pem))
    context.sslobject_class = kind

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server) as listening:
        port = listening.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=host)
        try:
            assert await reader.read(5) == b"hello"
        finally:
            writer.close()


@pytest.mark.parametrize("host", [HOST, HOST.upper()])
async def test_a_certificate_with_the_fqdn_is_believed(pki: Pki, host: str) -> None:
    """A00.FR.309, A00.FR.412."""
    await shake_hands(pki, pki.server_context(pki.server(host=host)))


NOT_BELIEVED: dict[str, Callable[[Pki], Issued]] = {
    "another name": lambda pki: pki.server(host="other.example.com"),
    "expired": lambda pki: pki.server(host=HOST, days=-1),
    "not valid yet": lambda pki: pki.server(host=HOST, begins_in_days=2),
    "another root": lambda pki: pki.server(host=HOST, issuer=pki.make_root("Somebody Else")),
    "a wildcard that fits": lambda pki: pki.server(host="*.example.com"),
}


@pytest.mark.parametrize("why", NOT_BELIEVED)
async def test_any_other_certificate_ends_the_connection(pki: Pki, why: str) -> None:
    """A00.FR.308 to A00.FR.311, A00.FR.413, A00.FR.414; wildcards: errata 2.62."""
    with pytest.raises(ssl.SSLCertVerificationError) as refused:
        await shake_hands(pki, pki.server_context(NOT_BELIEVED[why](pki)))
    assert security_event_of(refused.value) is SecurityEventType.INVALID_CSMS_CERTIFICATE


async def test_a_wildcard_is_believed_where_that_is_allowed_and_only_where_it_fits(pki: Pki) -> None:
    """AllowCSMSTLSWildcards."""
    await shake_hands(pki, pki.server_context(pki.server(host="*.example.com")), LenientHandshake)
    with pytest.raises(ssl.SSLCertVerificationError):
        await shake_hands(pki, pki.server_context(pki.server(host="*.example.org")), LenientHandshake)


async def test_an_address_of_the_certificate_is_believed_beside_a_wildcard(pki: Pki) -> None:
    """RFC 9110 §4.3.5: a wildcard never stands for an address."""
    for address in ("127.0.0.1", "::1"):
        await shake_hands(pki, pki.server_context(pki.server(host="*.example.com", address=address)), host=address)
        with pytest.raises(ssl.SSLCertVerificationError):
            await shake_hands(pki, pki.server_context(pki.server(host="*.example.com")), host=address)


@pytest.mark.parametrize(
    "suites", ["ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-SHA"]
)
async def test_a_csms_with_other_cipher_suites_only_is_left(pki: Pki, suites: str) -> None:
    """A00.FR.320, A00.FR.323; the alert comes as a server sends it that answers before it hangs up."""
    with pytest.raises(CipherSuiteError) as refused:
        await connect_to_answer(pki, bytes.fromhex("15030300020228"))  # handshake_failure
    assert security_event_of(refused.value) is SecurityEventType.INVALID_TLS_CIPHER_SUITE
    only = pki.server_context(
        pki.server(host=HOST), versions=(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2), ciphers=suites
    )
    with pytest.raises(OSError):  # noqa: PT011 - a server that closes at once gives no other reason
        await shake_hands(pki, only)


@pytest.mark.parametrize(
    "answer",
    [
        "15030100020246",  # the alert protocol_version
        "160302002a02000026" + "0302" + "00" * 32 + "00c01300",  # a Server Hello of TLS 1.1
        "160301002a02000026" + "0301" + "00" * 32 + "00c01300",  # of TLS 1.0
    ],
)
async def test_a_csms_with_an_older_tls_only_is_left(pki: Pki, answer: str) -> None:
    """A00.FR.313, A00.FR.316, A00.FR.416, A00.FR.419."""
    with pytest.raises(TlsVersionError) as refused:
        await connect_to_answer(pki, bytes.fromhex(answer))
    assert security_event_of(refused.value) is SecurityEventType.INVALID_TLS_VERSION


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n", b"", b"\x00" * 64])
async def test_what_is_no_tls_at_all_is_no_event(pki: Pki, answer: bytes) -> None:
    with pytest.raises(OSError) as refused:  # noqa: PT011 - reset, end of file or a TLS error
        await connect_to_answer(pki, answer)
    assert security_event_of(refused.value) is None


@pytest.mark.parametrize("reason", ["TLSV1_ALERT_UNKNOWN_CA", "TLSV13_ALERT_CERTIFICATE_REQUIRED"])
def test_a_csms_that_does_not_believe_our_certificate_is_an_event(reason: str) -> None:
    """FailedToAuthenticateAtCsms; with TLS 1.3 the alert comes after the handshake, inside of another error."""
    alert = ssl.SSLError(1, "an alert")
    alert.reason = reason
    wrapped = OSError("did not receive a valid HTTP response")
    wrapped.__cause__ = alert
    assert security_event_of(wrapped) is SecurityEventType.FAILED_TO_AUTHENTICATE_AT_CSMS


@pytest.mark.parametrize(
    ("status", "event"),
    [
        (401, SecurityEventType.FAILED_TO_AUTHENTICATE_AT_CSMS),
        (301, None),
        (403, None),
        (404, None),
        (503, None),
    ],
)
def test_only_401_says_that_the_password_is_wrong(status: int, event: SecurityEventType | None) -> None:
    assert security_event_of(InvalidStatus(Response(status, "", Headers()))) is event


async def connect_to_answer(pki: Pki, answer: bytes) -> None:
    """Connect to a server that answers the Client Hello with these bytes."""

    async def send_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(answer)
        await writer.drain()
        writer.close()

    context = csms_tls_context(TlsMaterial(pki.root.pem))
    context.sslobject_class = CheckedHandshake
    async with await asyncio.start_server(send_answer, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=HOST)
