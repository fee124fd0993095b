"""TLS to the CSMS (A00, profiles 2 and 3): who is believed, what is shown, and that a failure ends nothing."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import logging
import ssl
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from ocpp_handlers.connection.tls import csms_tls_context
from station.charging.tokens.admission import TokenOutcome
from station.security.certificates.certificate_results import TlsMaterial
from tests.csms import Csms, running_csms
from tests.walk import Walk, configuration, powered
from tests.walks.visit import visiting

PASSWORD = "correct-horse-battery-staple"
DAY = timedelta(days=1)
EXACT = [
    {"component": "OCPPCommCtrlr", "variable": "RetryBackOffWaitMinimum", "value": "5"},
    {"component": "OCPPCommCtrlr", "variable": "RetryBackOffRandomRange", "value": "0"},
    {"component": "OCPPCommCtrlr", "variable": "RetryBackOffRepeatTimes", "value": "0"},
    {"component": "AuthCtrlr", "variable": "OfflineTxForUnknownIdEnabled", "value": "true"},
]


@dataclass(frozen=True)
class CertificateFiles:
    """A certificate and its key, in PEM files."""

    certificate: Path
    key: Path


class Authority:
    """A certification authority that lives for one test."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _common_name(name)
        self._certificate = (
            _certificate_builder(self._name, self._name, self._key.public_key(), DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(
        self, name: str, alternative: x509.GeneralName | None = None, *, valid_for: timedelta = DAY
    ) -> CertificateFiles:
        """Issue a certificate for the station or the CSMS; a negative validity: it has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = (
            _certificate_builder(_common_name(name), self._name, key.public_key(), valid_for)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(identifier, critical=False)
            .add_extension(_usage(signs_certificates=False), critical=True)
        )
        if alternative is not None:
            builder = builder.add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        files = CertificateFiles(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        files.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return files


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _certificate_builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, valid_for: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)  # the TLS library reads the machine's clock
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 10 * DAY)
        .not_valid_after(now + valid_for)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL: a CSMS that lets expired certificates pass"""
LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


@pytest.fixture
def trusted(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "trusted-root")


def _server(files: CertificateFiles, *, clients: Path | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients)
    return context


@contextlib.asynccontextmanager
async def _walking(storage: Path, server: ssl.SSLContext, **csms: Any) -> AsyncGenerator[Walk]:
    async with running_csms(Csms(), ssl=server) as served:
        url = f"wss://127.0.0.1:{served.port}/ocpp"
        config = configuration(storage / "records", url, csms=csms, variable=EXACT)
        async with powered(config, served) as walk:
            yield walk


def _tls_of(csms: Csms) -> ssl.SSLObject:
    server = csms._websocket  # pyright: ignore[reportPrivateUsage]  # what TLS agreed upon
    assert server is not None
    tls = server.transport.get_extra_info("ssl_object")
    assert isinstance(tls, ssl.SSLObject)
    return tls


async def test_a_csms_of_an_authority_of_our_own_is_believed(tmp_path: Path, trusted: Authority) -> None:
    """A00.FR.301, A00.FR.308, A00.FR.309, A00.FR.312, A00.FR.313, A00.FR.321."""
    server = _server(trusted.issue("csms", LOOPBACK))
    async with _walking(tmp_path, server, password=PASSWORD, ca_file=str(trusted.file)) as walk:
        await walk.accepted()
        tls = _tls_of(walk.csms)
        assert tls.version() in {"TLSv1.2", "TLSv1.3"}
        assert tls.compression() is None
        assert walk.csms.headers[0]["Authorization"].startswith("Basic ")
        assert walk.stack.security_profile == 2


async def test_with_tls_1_2_one_of_the_specification_s_suites_is_agreed_upon(
    tmp_path: Path, trusted: Authority
) -> None:
    """A00.FR.319."""
    server = _server(trusted.issue("csms", LOOPBACK))
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    for suite in ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"):
        server.set_ciphers(suite)
        async with _walking(tmp_path, server, password=PASSWORD, ca_file=str(trusted.file)) as walk:
            await walk.accepted()
            agreed = _tls_of(walk.csms).cipher()
            assert agreed is not None
            assert agreed[0] == suite


async def test_a_csms_that_refuses_a_password_by_closing_the_connection_is_explained(
    tmp_path: Path, trusted: Authority
) -> None:
    """Some CSMSs send no HTTP 401."""

    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(close, "127.0.0.1", ssl=_server(trusted.issue("csms", LOOPBACK)))
    url = f"wss://127.0.0.1:{server.sockets[0].getsockname()[1]}/ocpp"
    config = configuration(
        tmp_path / "records", url, csms={"password": PASSWORD, "ca_file": str(trusted.file)}, variable=EXACT
    )
    async with server, powered(config, Csms()) as walk:
        await walk.until(lambda: walk.stack.last_error is not None)
        assert walk.stack.last_error is not None
        assert walk.stack.last_error.startswith(f'cannot connect to the CSMS at {url} as "BORNE-TEST": ')
        assert walk.stack.last_error.endswith('; the CSMS may have refused the password of "BORNE-TEST"')


@pytest.mark.parametrize("why", ["wrong host name", "unknown authority", "expired", "no client certificate", "plain"])
async def test_a_csms_that_is_not_who_it_should_be_is_never_spoken_to_and_a_charge_goes_on(
    tmp_path: Path, trusted: Authority, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A00.FR.308, A00.FR.309, A00.FR.311: the connection ends, not the station; it is dialled again."""
    other_authority = Authority(tmp_path, "other-root")
    files = {
        "wrong host name": lambda: trusted.issue("csms", x509.DNSName("csms.example.com")),
        "unknown authority": lambda: other_authority.issue("csms", LOOPBACK),
        "expired": lambda: trusted.issue("csms", LOOPBACK, valid_for=-DAY),
    }.get(why, lambda: trusted.issue("csms", LOOPBACK))()
    options: dict[str, Any] = {} if why == "plain" else {"ssl": _server(files)}
    if why == "no client certificate":
        options["ssl"] = _server(files, clients=other_authority.file)
    async with running_csms(Csms(), **options) as csms:
        config = configuration(
            tmp_path / "records",
            f"wss://127.0.0.1:{csms.port}/ocpp",
            csms={"password": PASSWORD, "ca_file": str(trusted.file)},
            variable=EXACT,
        )
        caplog.set_level(logging.INFO, "ocpp_handlers.connection.connection")
        async with powered(config, csms) as walk:
            await walk.plug()
            assert await walk.present() is TokenOutcome.AUTHORIZED
            await walk.charging()
            await walk.advance(60)
            assert walk.board.outputs.contactor
            assert walk.stack.last_error is not None
            dials = [record for record in caplog.records if record.getMessage().startswith("next connection attempt")]
            assert len(dials) >= 8  # every 5 s
            assert not walk.stack.link.online
            assert (csms.calls, csms.headers) == ([], [])


async def test_the_station_shows_its_certificate_in_profile_3(tmp_path: Path, trusted: Authority) -> None:
    """A00.FR.401, A00.FR.402."""
    owners = Authority(tmp_path, "owners-root")
    station = owners.issue("0001")
    server = _server(trusted.issue("csms", LOOPBACK), clients=owners.file)
    files = {"certificate_file": str(station.certificate), "key_file": str(station.key)}
    async with _walking(tmp_path, server, ca_file=str(trusted.file), **files) as walk:
        await walk.accepted()
        peer_certificate = _tls_of(walk.csms).getpeercert(binary_form=True)
        assert peer_certificate is not None
        own_certificate = x509.load_pem_x509_certificate(station.certificate.read_bytes())
        assert x509.load_der_x509_certificate(peer_certificate) == own_certificate
        assert "Authorization" not in walk.csms.headers[0]
        assert walk.stack.security_profile == 3


@pytest.mark.parametrize(("certificate", "accepted"), [("own", True), ("unknown-root", False), ("none", False)])
async def test_a_bench_can_try_how_the_csms_takes_a_wrong_client_certificate(
    tmp_path: Path, trusted: Authority, certificate: str, accepted: bool
) -> None:
    owners = Authority(tmp_path, "owners-root")
    station = owners.issue("0001")
    server = _server(trusted.issue("csms", LOOPBACK), clients=owners.file)
    files = {"certificate_file": str(station.certificate), "key_file": str(station.key)}
    async with _walking(tmp_path, server, ca_file=str(trusted.file), **files) as walk, visiting(walk) as api:
        await walk.accepted()
        answer = await api.post("/api/sim/handshake", {"certificate": certificate}, status=200)
        assert answer["accepted"] is accepted
        assert (answer["error"] is None) is accepted


async def test_the_station_shows_its_certificate_also_when_that_has_expired(tmp_path: Path, trusted: Authority) -> None:
    """A00.FR.430: whether that will do is for the CSMS to decide."""
    owners = Authority(tmp_path, "owners-root")
    station = owners.issue("0001", valid_for=-DAY)
    server = _server(trusted.issue("csms", LOOPBACK), clients=owners.file)
    server.verify_flags |= _NO_CHECK_TIME
    files = {"certificate_file": str(station.certificate), "key_file": str(station.key)}
    async with _walking(tmp_path, server, ca_file=str(trusted.file), **files) as walk:
        await walk.accepted()
        peer_certificate = _tls_of(walk.csms).getpeercert(binary_form=True)
        assert peer_certificate is not None
        own_certificate = x509.load_pem_x509_certificate(station.certificate.read_bytes())
        assert x509.load_der_x509_certificate(peer_certificate) == own_certificate


class DisconnectingCsms(Csms):
    """A CSMS that closes the connection without an HTTP response if the password is another one."""

    def __init__(self, password: str, *, in_order: bool) -> None:
        super().__init__()
        self.password = password
        self.received_passwords: list[str] = []
        self._in_order = in_order

    def _refuse_handshake(self, connection: ServerConnection, request: Request) -> Response | None:
        secret = request.headers["Authorization"].removeprefix("Basic ")
        self.received_passwords.append(base64.b64decode(secret).decode().partition(":")[2])
        if self.received_passwords[-1] == self.password:
            return None
        if self._in_order:
            connection.transport.close()
        else:
            connection.transport.abort()
        return connection.respond(401, "which nobody reads")


@pytest.mark.parametrize("in_order", [True, False])
async def test_new_and_former_password_take_turns_where_the_csms_ends_the_connection_without_http(
    tmp_path: Path, trusted: Authority, in_order: bool
) -> None:
    """A01.FR.04, also with a power cut in between; a CSMS that stores the new one late is reached all the same."""
    new = "another-horse-0123456789"
    tls = _server(trusted.issue("csms", LOOPBACK))
    tables = {"password": PASSWORD, "security_profile": 2, "ca_file": str(trusted.file)}
    async with running_csms(DisconnectingCsms(PASSWORD, in_order=in_order), ssl=tls) as csms:
        assert isinstance(csms, DisconnectingCsms)
        config = configuration(tmp_path / "records", f"wss://127.0.0.1:{csms.port}/ocpp", csms=tables, variable=EXACT)
        async with powered(config, csms) as walk:
            await walk.accepted()
            csms.password = "neither of them, for now"
            await walk.set_variable("SecurityCtrlr", "BasicAuthPassword", new)
            await walk.until(lambda: len(csms.received_passwords) == 4)
            assert csms.received_passwords[1:] == [new, PASSWORD, new]
            await walk.application.cut_power()
            await walk.application.restore_power()
            await walk.until(lambda: len(csms.received_passwords) == 5)
            csms.password = PASSWORD  # it has never heard that the new one was accepted
            await walk.until(lambda: walk.stack.connected)
            assert csms.received_passwords[4:] == [new, PASSWORD]
            await csms.call("TriggerMessage", {"requestedMessage": "Heartbeat"})  # a password that it accepts
            csms.drop()
            await walk.until(lambda: csms.connections == 3 and walk.stack.connected)
            assert csms.received_passwords[6:] == [PASSWORD]
            await csms.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
            csms.password = new
            csms.drop()
            await walk.until(lambda: csms.connections == 4 and walk.stack.connected)
            assert csms.received_passwords[7:] == [PASSWORD, new]


async def test_a_csms_that_is_not_there_is_no_refusal_of_the_new_password(tmp_path: Path, trusted: Authority) -> None:
    """The password was not shown: a CSMS that still accepts both must not be shown the former one first."""
    new = "another-horse-0123456789"
    tls = _server(trusted.issue("csms", LOOPBACK))
    tables = {"password": PASSWORD, "security_profile": 2, "ca_file": str(trusted.file)}
    csms = DisconnectingCsms(PASSWORD, in_order=True)
    async with contextlib.AsyncExitStack() as stack:
        async with running_csms(csms, ssl=tls):
            config = configuration(
                tmp_path / "records", f"wss://127.0.0.1:{csms.port}/ocpp", csms=tables, variable=EXACT
            )
            walk = await stack.enter_async_context(powered(config, csms))
            await walk.accepted()
            await walk.set_variable("SecurityCtrlr", "BasicAuthPassword", new)
        await walk.advance(30)
        csms.password = new
        async with running_csms(csms, ssl=tls):
            await walk.until(lambda: len(csms.received_passwords) == 2)
            assert csms.received_passwords == [PASSWORD, new]


async def test_files_that_are_mended_are_read_at_the_next_dial(tmp_path: Path, trusted: Authority) -> None:
    """An unreadable root is a failed dial, not the end of dialling."""
    server = _server(trusted.issue("csms", LOOPBACK))
    roots = tmp_path / "roots.pem"
    roots.write_text("no certificate")
    async with _walking(tmp_path, server, password=PASSWORD, ca_file=str(roots)) as walk:
        await walk.advance(30)
        assert walk.csms.connections == 0
        assert walk.stack.last_error is not None
        roots.write_bytes(trusted.file.read_bytes())
        await walk.accepted()


def test_nothing_older_than_tls_1_2_is_spoken_and_nobody_is_believed_unchecked(trusted: Authority) -> None:
    """A00.FR.308, A00.FR.309, A00.FR.313, A00.FR.319, A00.FR.320, A00.FR.321, A00.FR.411, A00.FR.412."""
    context = csms_tls_context(TlsMaterial(trusted.file.read_text()))
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.options & ssl.OP_NO_COMPRESSION
    suites = {suite["name"] for suite in context.get_ciphers()}
    assert suites >= {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"}
    assert all("GCM" in suite or "POLY1305" in suite for suite in suites)  # authenticated encryption only
    assert len(context.get_ca_certs()) == 1  # where roots are given, the system's are not believed
