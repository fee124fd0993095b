"""Block B, network connection profiles and reconnecting: B09, B10, part 4 §5.3."""

from __future__ import annotations

import ssl
from contextlib import AsyncExitStack

import pytest

from tests.conformance import states
from tests.conformance.bench import Bench
from tests.conformance.cases import case, setup
from tests.conformance.csms import Csms, MuteEndpoint
from tests.conformance.frames import Payload
from tests.conformance.pki import hash_data
from tests.conformance.station_under_test import PASSWORD, Setup
from tests.conformance.test_a_security import OTHER_SLOT, set_network_profile

ALL_PROFILES = pytest.mark.parametrize(
    "station_setup",
    [Setup(security_profile=1), Setup(security_profile=2), Setup(security_profile=3)],
    ids=["profile-1", "profile-2", "profile-3"],
)
WITH_TLS = pytest.mark.parametrize(
    "station_setup", [Setup(security_profile=2), Setup(security_profile=3)], ids=["profile-2", "profile-3"]
)
WAIT_MINIMUM_S = 10
"""<Configured RetryBackOffWaitMinimum>"""


def tls_of(bench: Bench) -> ssl.SSLContext | None:
    """TLS of an endpoint that is as secure as the first."""
    if bench.setup.security_profile < 2:
        return None
    return bench.pki.server_context(client_root=bench.pki.root if bench.setup.security_profile == 3 else None)


async def second_csms(bench: Bench) -> Csms:
    """The test system's second endpoint, as secure as the first."""
    endpoint = Csms(bench.journal, tls=tls_of(bench))
    if bench.setup.security_profile in (1, 2):
        endpoint.passwords = {bench.identity: PASSWORD}
    bench.other_endpoints.append(endpoint)
    await endpoint.start()
    return endpoint


async def migrate(bench: Bench, target: Csms | MuteEndpoint, *, reset: bool = True) -> None:
    """Steps 1 to 6: the other endpoint's profile comes first, then the present one; then the station resets."""
    active = int(await bench.get_variable("OCPPCommCtrlr", "ActiveNetworkProfile"))
    assert active != OTHER_SLOT
    security_profile = bench.setup.security_profile
    assert await set_network_profile(bench, OTHER_SLOT, target.url, security_profile) == "Accepted"  # step 2
    priority = f"{OTHER_SLOT},{active}"
    status = await bench.set_variable("OCPPCommCtrlr", "NetworkConfigurationPriority", priority)
    assert status in {"Accepted", "RebootRequired"}, status
    bench.drop_unsolicited()
    if reset:
        answer = await bench.call("Reset", {"type": "OnIdle"})
        assert answer["status"] == "Accepted", answer


async def active_slot(bench: Bench, csms: Csms) -> int:
    """The station's active network slot, read over that endpoint."""
    here, bench.csms = bench.csms, csms
    try:
        return int(await bench.get_variable("OCPPCommCtrlr", "ActiveNetworkProfile"))
    finally:
        bench.csms = here


@case("Core", "M")
async def test_tc_b_43_cs(bench: Bench) -> None:
    """Set new NetworkConnectionProfile - Rejected"""
    assert await set_network_profile(bench, 999, bench.csms.url, bench.setup.security_profile) == "Rejected"


@case("Core", "M")
@ALL_PROFILES
async def test_tc_b_45_cs(bench: Bench) -> None:
    """Migrate to new ConnectionProfile - Success - Same CSMS Root"""
    new_csms = await second_csms(bench)
    await migrate(bench, new_csms)
    before = bench.csms.connection
    await states.has_booted(bench, csms=new_csms)
    assert bench.csms.connection == before, "the station went back to the old endpoint"
    assert await active_slot(bench, new_csms) == OTHER_SLOT
    assert not bench.csms.connected.is_set()  # B10.FR.06


@case("Core", "M")
@pytest.mark.parametrize(
    ("station_setup", "tls"),
    [
        (Setup(security_profile=1), False),
        (Setup(security_profile=2), False),
        (Setup(security_profile=2), True),
        (Setup(security_profile=3), False),
        (Setup(security_profile=3), True),
    ],
    ids=["profile-1", "profile-2", "profile-2-mute-after-tls", "profile-3", "profile-3-mute-after-tls"],
)
async def test_tc_b_46_cs(bench: Bench, *, tls: bool) -> None:
    """Migrate to new ConnectionProfile - Fallback mechanism - Same CSMS Root"""
    await bench.configure("OCPPCommCtrlr", "NetworkProfileConnectionAttempts", "2")
    before = bench.csms.connection
    secured = bench.setup.security_profile >= 2
    async with MuteEndpoint(secured=secured, tls=tls_of(bench) if tls else None) as endpoint:
        await migrate(bench, endpoint)
        await states.has_booted(bench, after=before)  # steps 8 and 9
    assert endpoint.attempts == 2  # step 7
    assert await active_slot(bench, bench.csms) != OTHER_SLOT


@case("Core", "C", "AS-2 and C-47")
@pytest.mark.parametrize(
    "station_setup",
    [
        Setup(security_profile=2, variables={"SecurityCtrlr.AdditionalRootCertificateCheck": "true"}),
        Setup(security_profile=3, variables={"SecurityCtrlr.AdditionalRootCertificateCheck": "true"}),
    ],
    ids=["profile-2", "profile-3"],
)
async def test_tc_b_47_cs(bench: Bench) -> None:
    """Migrate to new ConnectionProfile - Fallback after NetworkProfileConnectionAttempts per
    NetworkConfigurationPriority failed - New CSMS Root - New CSMS"""
    await bench.configure("OCPPCommCtrlr", "NetworkProfileConnectionAttempts", "1")
    new_root = bench.pki.make_root("Conformance CSMS Root 2", signed_by=bench.pki.root)
    await states.certificate_installed(bench, "CSMSRootCertificate", new_root.pem)
    new_csms = await second_csms(bench)  # its certificate is signed by the old root
    before = bench.csms.connection
    await migrate(bench, new_csms)
    await states.has_booted(bench, after=before)  # steps 7 to 10
    assert new_csms.handshakes == [], "the station believed the old root at the new CSMS"
    event = await bench.expect("SecurityEventNotification")  # it did try
    assert event["type"] == "InvalidCsmsCertificate", event
    request: Payload = {"certificateType": ["CSMSRootCertificate"]}
    answer = await bench.call("GetInstalledCertificateIds", request)  # step 12
    assert answer["status"] == "Accepted", answer
    old = hash_data(bench.pki.root, bench.pki.root)
    entries = [chain for chain in answer["certificateHashDataChain"] if chain["certificateHashData"] == old]
    assert [entry["certificateType"] for entry in entries] == ["CSMSRootCertificate"], answer


@case("Core", "C", "C-47")
@pytest.mark.parametrize("mute", [False, True], ids=["refused", "mute"])
@ALL_PROFILES
async def test_tc_b_49_cs(bench: Bench, *, mute: bool) -> None:
    """Migrate to new ConnectionProfile - Fallback after NetworkProfileConnectionAttempts per
    NetworkConfigurationPriority failed - Same CSMS Root"""
    await bench.configure("OCPPCommCtrlr", "NetworkProfileConnectionAttempts", "1")
    await bench.configure("OCPPCommCtrlr", "RetryBackOffRepeatTimes", "0")
    await bench.configure("OCPPCommCtrlr", "RetryBackOffRandomRange", "0")
    await bench.configure("OCPPCommCtrlr", "RetryBackOffWaitMinimum", str(WAIT_MINIMUM_S))
    async with AsyncExitStack() as stack:
        if mute:
            new_csms = await stack.enter_async_context(MuteEndpoint(secured=bench.setup.security_profile >= 2))
        else:
            new_csms = await second_csms(bench)
            new_csms.accepting = False
        before, handshakes_before = bench.csms.connection, len(bench.csms.handshakes)
        await migrate(bench, new_csms)
        bench.csms.accepting = False
        await bench.until(
            lambda: new_csms.attempts == 1, within_s=60.0, why="no attempt at the new endpoint"
        )  # 7 and 8
        await bench.until(
            lambda: len(bench.csms.handshakes) > handshakes_before, within_s=60.0, why="no fallback"
        )  # 9 and 10
        assert new_csms.attempts == 1
        assert not bench.csms.connected.is_set()
        bench.csms.accepting = True
        await bench.advance(WAIT_MINIMUM_S - 1.0)
        assert len(bench.csms.handshakes) == handshakes_before + 1, "the station did not wait RetryBackOffWaitMinimum"
        await states.has_booted(bench, after=before)  # steps 11 to 13
        assert new_csms.attempts == 1, "the station did not stay with the previous profile"


@case("Core", "M")
@WITH_TLS
async def test_tc_b_50_cs(bench: Bench) -> None:
    """Migrate to new ConnectionProfile - Success - New CSMS Root - New CSMS"""
    new_root = bench.pki.make_root("Conformance CSMS Root 2", signed_by=bench.pki.root)
    await states.certificate_installed(bench, "CSMSRootCertificate", new_root.pem)
    new_csms = await second_csms(bench)
    client_root = bench.pki.root if bench.setup.security_profile == 3 else None
    await new_csms.restart(bench.pki.server_context(bench.pki.server(issuer=new_root), client_root=client_root))
    await migrate(bench, new_csms)
    await states.has_booted(bench, csms=new_csms)  # steps 7 to 9
    assert not bench.csms.connected.is_set()
    assert await active_slot(bench, new_csms) == OTHER_SLOT


@case("Core", "M")
@setup(security_profile=1)
async def test_tc_b_57_cs(bench: Bench) -> None:
    """Network Reconnection - After connection loss"""
    await bench.configure("OCPPCommCtrlr", "NetworkProfileConnectionAttempts", "3")
    await bench.configure("OCPPCommCtrlr", "RetryBackOffRepeatTimes", "2")
    await bench.configure("OCPPCommCtrlr", "RetryBackOffRandomRange", "0")
    await bench.configure("OCPPCommCtrlr", "RetryBackOffWaitMinimum", str(WAIT_MINIMUM_S))
    await bench.csms.close(and_stay_away=False)  # step 1
    assert await _delay_until_dial_s(bench) >= WAIT_MINIMUM_S - 0.5  # step 2
    await bench.until(bench.csms.connected.is_set)  # step 3
    await bench.csms.close()  # step 4
    first_s = await _delay_until_dial_s(bench)  # steps 5 and 6
    assert WAIT_MINIMUM_S - 0.5 <= first_s <= WAIT_MINIMUM_S + 1.0
    assert not bench.csms.connected.is_set()
    bench.csms.accepting = True
    assert await _delay_until_dial_s(bench) >= 2 * (first_s - 0.5)  # step 7
    await bench.until(bench.csms.connected.is_set)  # step 8


async def _delay_until_dial_s(bench: Bench) -> float:
    """How long it takes until the station tries to connect, to half a second."""
    before, began = len(bench.csms.handshakes), bench.now()
    await bench.until(lambda: len(bench.csms.handshakes) > before, within_s=120.0, why="no attempt to connect")
    return (bench.now() - began).total_seconds()
