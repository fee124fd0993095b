"""Block A, security: profiles, passwords and their upgrade. Certificates of the station: test_a_certificates.py."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator

import pytest

from tests.conformance import states
from tests.conformance.bench import Bench
from tests.conformance.cases import case, setup
from tests.conformance.csms import Csms
from tests.conformance.frames import Payload
from tests.conformance.pki import Issued
from tests.conformance.station_under_test import PASSWORD, Setup

WITH_PASSWORD = pytest.mark.parametrize(
    "station_setup", [Setup(security_profile=1), Setup(security_profile=2)], ids=["profile-1", "profile-2"]
)
WITH_TLS = pytest.mark.parametrize(
    "station_setup", [Setup(security_profile=2), Setup(security_profile=3)], ids=["profile-2", "profile-3"]
)
SUITES = ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384")
"""the specification's for a CSMS with a key of an elliptic curve, by OpenSSL's names"""
TLS_1_2 = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
LONG_OPERATION_S = 300.0
"""<Configured long operation timeout>"""
OTHER_SLOT = 2


def connection_data(url: str, security_profile: int) -> Payload:
    """A NetworkConnectionProfile as the cases set it."""
    return {
        "messageTimeout": 30,
        "ocppCsmsUrl": url,
        "ocppInterface": "Wired0",
        "ocppTransport": "JSON",
        "ocppVersion": "OCPP20",
        "securityProfile": security_profile,
    }


async def set_network_profile(bench: Bench, slot: int, url: str, security_profile: int) -> str:
    """SetNetworkProfile; its status."""
    request: Payload = {"configurationSlot": slot, "connectionData": connection_data(url, security_profile)}
    return (await bench.call("SetNetworkProfile", request))["status"]


async def upgrade_is_rejected(bench: Bench, slot: int, active: int) -> None:
    """NetworkConfigurationPriority with this slot first is rejected, and the station stays (A05.FR.02, A05.FR.03)."""
    connection = bench.csms.connection
    before = await bench.get_variable("OCPPCommCtrlr", "NetworkConfigurationPriority")
    status = await bench.set_variable("OCPPCommCtrlr", "NetworkConfigurationPriority", f"{slot},{active}")
    assert status == "Rejected"
    await bench.advance(10.0)
    assert bench.csms.connection == connection, "the station reconnected"
    assert all(not endpoint.handshakes for endpoint in bench.other_endpoints), "the station went to the other endpoint"
    assert await bench.get_variable("OCPPCommCtrlr", "NetworkConfigurationPriority") == before
    security_profile = await bench.get_variable("SecurityCtrlr", "SecurityProfile")
    assert security_profile == str(bench.setup.security_profile)


def server_tls(bench: Bench, issued: Issued | None = None, **options: object) -> ssl.SSLContext:
    """The TLS context of the CSMS; in security profile 3 it requires the station's certificate."""
    root = bench.pki.root if bench.setup.security_profile == 3 else None
    return bench.pki.server_context(issued, client_root=root, **options)  # type: ignore[arg-type]  # passed on


def check_credentials(bench: Bench, password: str | None) -> None:
    """The latest connection request carries this password, formatted as it should be; None: it carries none."""
    request = bench.csms.handshakes[-1]
    if password is None:
        assert request.headers.get("Authorization") is None
        return
    assert request.headers["Authorization"].startswith("Basic ")
    assert bench.csms.credentials_of(request) == (bench.identity, password)
    assert request.path.rsplit("/", 1)[-1] == bench.identity


@case("Core", "M")
@WITH_PASSWORD
async def test_tc_a_01_cs(bench: Bench) -> None:
    """Basic Authentication - Valid username/password combination"""
    assert await bench.set_variable("SecurityCtrlr", "BasicAuthPassword", PASSWORD) == "Accepted"
    await bench.settle()
    await bench.until(bench.csms.connected.is_set, within_s=60.0)
    await states.booted(bench)
    check_credentials(bench, PASSWORD)
    _, password = bench.csms.credentials_of(bench.csms.handshakes[-1]) or ("", "")
    assert 16 <= len(password) <= 40
    assert password.isalnum()


@case("Core", "M")
@WITH_TLS
async def test_tc_a_04_cs(bench: Bench) -> None:
    """TLS - server-side certificate - Valid certificate"""
    with_certificate = bench.setup.security_profile == 3
    for suite in SUITES:
        await bench.csms.restart(server_tls(bench, versions=TLS_1_2, ciphers=suite))
        await bench.until(bench.csms.connected.is_set, within_s=120.0, why=f"no connection with {suite}")
        await states.booted(bench)
        assert bench.csms.tls_versions[-1] == "TLSv1.2"
        assert (bench.csms.client_certificates[-1] is not None) == with_certificate
        check_credentials(bench, None if with_certificate else PASSWORD)
    await bench.csms.restart(server_tls(bench))
    await bench.until(bench.csms.connected.is_set, within_s=120.0)
    await states.booted(bench)
    assert bench.csms.tls_versions[-1] in {"TLSv1.2", "TLSv1.3"}


@case("Core", "M")
@WITH_TLS
async def test_tc_a_05_cs(bench: Bench) -> None:
    """TLS - server-side certificate - Invalid certificate"""
    await bench.configure("OCPPCommCtrlr", "NetworkProfileConnectionAttempts", "3")
    active = await bench.get_variable("OCPPCommCtrlr", "ActiveNetworkProfile")
    await bench.configure("OCPPCommCtrlr", "NetworkConfigurationPriority", active)
    await bench.configure("SecurityCtrlr", "AllowCSMSTLSWildcards", "false")
    # Not in the case; with it the reconnection time that is measured holds for every round.
    await bench.configure("OCPPCommCtrlr", "RetryBackOffRandomRange", "0")
    valid = server_tls(bench)
    await bench.csms.restart(valid)  # step 1
    began = bench.now()
    await bench.until(bench.csms.connected.is_set, within_s=120.0)  # steps 2 and 3
    reconnection_s = (bench.now() - began).total_seconds()
    invalid = {
        "expired": bench.pki.server(days=-1),
        "future validity date": bench.pki.server(begins_in_days=7),
        "not signed by the installed root": bench.pki.server(issuer=bench.pki.make_root("Somebody Else")),
        "another common name": bench.pki.server(host="csms.example.com"),
        # One that fits the FQDN needs a name of three labels: tests/ocpp_handlers/connection/test_handshake.py.
        "a wildcard": bench.pki.server(host="*.localhost"),
    }
    for why, issued in invalid.items():
        bench.drop_unsolicited()
        await bench.csms.restart(server_tls(bench, issued))  # steps 4 to 6
        handshakes_before = len(bench.csms.handshakes)
        await bench.advance(2 * reconnection_s)
        assert len(bench.csms.handshakes) == handshakes_before, (
            f"{why}: the station went on after the handshake"
        )  # step 7
        assert not bench.csms.connected.is_set(), why
        await bench.csms.restart(valid)
        await bench.until(bench.csms.connected.is_set, within_s=120.0, why=f"{why}: no reconnect")  # steps 8 and 9
        event = await bench.expect("SecurityEventNotification")
        assert event["type"] == "InvalidCsmsCertificate", f"{why}: {event}"


@contextlib.asynccontextmanager
async def old_server(port: int) -> AsyncGenerator[list[bytes]]:
    """A server that answers every Client Hello with a Server Hello of TLS 1.1; yields the clients' replies."""
    hello = bytes.fromhex("0302") + bytes(32) + bytes.fromhex("00c01300")  # version, random, no session, suite
    message = b"\x02" + len(hello).to_bytes(3, "big") + hello
    record = bytes.fromhex("160302") + len(message).to_bytes(2, "big") + message
    ended: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client_hello = await reader.read(4096)
        assert client_hello[0] == 0x16, client_hello
        writer.write(record)
        with contextlib.suppress(ConnectionError):
            ended.append(await reader.read())  # until the client ends the connection
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port)
    async with server:
        yield ended


@case("Core", "M")
@WITH_TLS
async def test_tc_a_06_cs(bench: Bench) -> None:
    """TLS - server-side certificate - TLS version too low"""
    await bench.configure("OCPPCommCtrlr", "NetworkProfileConnectionAttempts", "1")
    bench.drop_unsolicited()
    await bench.csms.stop()
    async with old_server(bench.csms.port) as ended:
        await bench.station.power("cycle")
        await bench.until(lambda: ended, within_s=60.0, why="no handshake that the station terminated")  # steps 1 to 3
    # It ended the handshake, at the most with an alert (RFC 5246 §7.2), and did not go on with it.
    assert all(reply[:1] in {b"", b"\x15"} for reply in ended), ended
    await bench.csms.start()  # steps 4 to 9
    await states.has_booted(bench)  # steps 10 to 15
    assert bench.csms.tls_versions[-1] in {"TLSv1.2", "TLSv1.3"}
    check_credentials(bench, None if bench.setup.security_profile == 3 else PASSWORD)
    event = await bench.expect("SecurityEventNotification")  # step 16
    assert event["type"] == "InvalidTLSVersion", event


@case("Core", "M")
@WITH_PASSWORD
async def test_tc_a_09_cs(bench: Bench) -> None:
    """Update Charging Station Password for HTTP Basic Authentication - Accepted"""
    new = "NewPassword-0123456789"
    before = bench.csms.connection
    bench.csms.passwords = {bench.identity: new}  # A01.FR.03
    status = await bench.set_variable("SecurityCtrlr", "BasicAuthPassword", new)
    assert status in {"Accepted", "RebootRequired"}
    await bench.until(lambda: bench.csms.connection != before, within_s=60.0, why="no reconnect")  # steps 3 and 4
    check_credentials(bench, new)
    if status == "RebootRequired":
        await states.has_booted(bench)
    await states.booted(bench)  # it is stored
    check_credentials(bench, new)
    log = await bench.station.get("/api/security-events")  # A01.FR.11
    changes = [entry for entry in log if entry["type"] == "ReconfigurationOfSecurityParameters"]
    assert changes
    assert new not in str(log)  # A01.FR.12
    assert bench.process is None or new not in bench.process.log.read_text()


@case("Core", "M")
@WITH_PASSWORD
async def test_tc_a_10_cs(bench: Bench) -> None:
    """Update Charging Station Password for HTTP Basic Authentication - Rejected"""
    assert await bench.set_variable("SecurityCtrlr", "BasicAuthPassword", "TooShort0123456") == "Rejected"
    bench.csms.drop()
    await bench.until(bench.csms.connected.is_set, within_s=60.0, why="no reconnect")
    check_credentials(bench, PASSWORD)
    await states.booted(bench)
    check_credentials(bench, PASSWORD)


@case("Core", "M")
@WITH_PASSWORD
async def test_tc_a_19_cs(bench: Bench) -> None:
    """Upgrade Charging Station Security Profile - Accepted"""
    security_profile = bench.setup.security_profile + 1
    active = int(await bench.get_variable("OCPPCommCtrlr", "ActiveNetworkProfile"))
    assert active != OTHER_SLOT
    certificate = ""
    if security_profile == 2:
        await states.certificate_installed(bench, "CSMSRootCertificate", bench.pki.root.pem)
    else:
        certificate = await states.renew_charging_station_certificate(bench, reconnects=False)
    url = f"wss://localhost:{bench.csms.port}{bench.csms.path}"
    assert await set_network_profile(bench, OTHER_SLOT, url, security_profile) == "Accepted"  # step 2
    priority = f"{OTHER_SLOT},{active}"
    status = await bench.set_variable("OCPPCommCtrlr", "NetworkConfigurationPriority", priority)
    assert status in {"Accepted", "RebootRequired"}  # step 4
    bench.drop_unsolicited()
    assert (await bench.call("Reset", {"type": "OnIdle"}))["status"] == "Accepted"  # step 6
    if security_profile == 3:
        bench.csms.passwords = None
    secured = bench.pki.server_context(client_root=bench.pki.root if security_profile == 3 else None)
    await bench.csms.restart(secured)  # step 7
    await states.has_booted(bench)  # steps 8 to 10
    if security_profile == 3:
        states.check_client_certificate(bench, certificate)
    check_credentials(bench, PASSWORD if security_profile == 2 else None)
    assert await bench.get_variable("SecurityCtrlr", "SecurityProfile") == str(security_profile)  # step 12
    assert await bench.get_variable("OCPPCommCtrlr", "ActiveNetworkProfile") == str(OTHER_SLOT)
    slots = (await bench.get_variable("OCPPCommCtrlr", "NetworkConfigurationPriority")).split(",")
    assert str(OTHER_SLOT) in slots
    assert str(active) not in slots  # step 14
    if security_profile != 2:
        return
    await bench.csms.restart(None)  # step 15
    handshakes_before = len(bench.csms.handshakes)
    await bench.advance(LONG_OPERATION_S)
    assert len(bench.csms.handshakes) == handshakes_before, "the station came back without TLS"  # step 16
    await bench.csms.restart(secured)  # step 17
    await bench.until(bench.csms.connected.is_set, within_s=300.0, why="no reconnect with TLS")  # step 18
    check_credentials(bench, PASSWORD)


@case("Core", "C", "AQ-1 and C-61")
@setup(security_profile=1)
@pytest.mark.parametrize("higher", [2, 3], ids=["profile-2", "profile-3"])
async def test_tc_a_20_cs(bench: Bench, higher: int) -> None:
    """Upgrade Charging Station Security Profile - No valid CSMSRootCertificate installed"""
    answer = await bench.call("GetInstalledCertificateIds", {"certificateType": ["CSMSRootCertificate"]})
    assert answer["status"] == "NotFound", answer  # the prerequisite
    # It is the root alone that is missing.
    issued = bench.pki.station(bench.serial_number)
    certificate = {"type": "ChargingStationCertificate", "pem": issued.key_pem + issued.pem}
    await bench.station.put("/api/sim/certificates", certificate)
    active = int(await bench.get_variable("OCPPCommCtrlr", "ActiveNetworkProfile"))
    await bench.configure("OCPPCommCtrlr", "NetworkConfigurationPriority", str(active))
    client_root = bench.pki.root if higher == 3 else None
    other_csms = Csms(bench.journal, tls=bench.pki.server_context(client_root=client_root))
    bench.other_endpoints.append(other_csms)
    await other_csms.start()
    assert await set_network_profile(bench, OTHER_SLOT, other_csms.url, higher) in {"Accepted", "Rejected"}  # step 2
    await upgrade_is_rejected(bench, OTHER_SLOT, active)  # step 4


@case("Core", "M")
@WITH_TLS
async def test_tc_a_22_cs(bench: Bench) -> None:
    """Upgrade Charging Station Security Profile - Downgrade security profile - Rejected"""
    other_csms = Csms(bench.journal)
    bench.other_endpoints.append(other_csms)
    await other_csms.start()
    for slot in (OTHER_SLOT, int(await bench.get_variable("OCPPCommCtrlr", "ActiveNetworkProfile"))):
        assert await set_network_profile(bench, slot, other_csms.url, 1) == "Rejected", slot
    await bench.advance(10.0)
    assert other_csms.handshakes == []
    security_profile = await bench.get_variable("SecurityCtrlr", "SecurityProfile")
    assert security_profile == str(bench.setup.security_profile)
