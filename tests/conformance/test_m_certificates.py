"""Block M, certificates: roots installed, reported and deleted (Core and Advanced Security)."""

from __future__ import annotations

import pytest

from tests.conformance import states
from tests.conformance.bench import Bench
from tests.conformance.cases import case, setup
from tests.conformance.frames import Payload
from tests.conformance.pki import hash_data
from tests.conformance.station_under_test import Setup

CSMS_ROOT = "CSMSRootCertificate"
MANUFACTURER_ROOT = "ManufacturerRootCertificate"
CHECKED = {"SecurityCtrlr.AdditionalRootCertificateCheck": "true"}

over_tls = pytest.mark.parametrize(
    "station_setup", [Setup(security_profile=2), Setup(security_profile=3)], ids=["profile-2", "profile-3"]
)
over_tls_with_checked_roots = pytest.mark.parametrize(
    "station_setup",
    [Setup(security_profile=2, variables=CHECKED), Setup(security_profile=3, variables=CHECKED)],
    ids=["profile-2", "profile-3"],
)


async def installed_ids(bench: Bench, *certificate_types: str) -> Payload:
    """GetInstalledCertificateIdsRequest for these types, or with certificateType omitted."""
    return await bench.call(
        "GetInstalledCertificateIds", {"certificateType": list(certificate_types)} if certificate_types else {}
    )


def is_listed(answer: Payload, certificate_type: str, expected: Payload) -> bool:
    """Whether an entry has this type and this hash data."""
    return any(
        chain["certificateType"] == certificate_type and chain["certificateHashData"] == expected
        for chain in answer.get("certificateHashDataChain", [])
    )


# Install


@case("Core", "M")
@pytest.mark.parametrize(
    "station_setup",
    [Setup(), Setup(security_profile=2), Setup(security_profile=3), Setup(security_profile=2, variables=CHECKED)],
    ids=["profile-1", "profile-2", "profile-3", "additional-root-certificate-check"],
)
async def test_tc_m_01_cs(bench: Bench) -> None:
    """Install CA certificate - CSMSRootCertificate"""
    checked = bool(bench.setup.variables)
    root = bench.pki.make_root("Root 2", signed_by=bench.pki.root if checked else None)
    await states.certificate_installed(bench, CSMS_ROOT, root)
    await states.get_installed_certificates(bench, CSMS_ROOT, hash_data(root, bench.pki.root if checked else root))


@case("Core", "M")
async def test_tc_m_02_cs(bench: Bench) -> None:
    """Install CA certificate - ManufacturerRootCertificate"""
    root = bench.pki.make_root("Manufacturer")
    await states.certificate_installed(bench, MANUFACTURER_ROOT, root)
    await states.get_installed_certificates(bench, MANUFACTURER_ROOT, hash_data(root, root))


@case("Core", "M")
@over_tls
async def test_tc_m_07_cs(bench: Bench) -> None:
    """Install CA certificate - Rejected - Certificate invalid"""
    expired = bench.pki.make_root("Expired", days=-1)
    present = await states.get_installed_certificates(bench, CSMS_ROOT)
    answer = await bench.call("InstallCertificate", {"certificateType": CSMS_ROOT, "certificate": expired.pem})
    assert answer["status"] == "Rejected", answer
    answer = await installed_ids(bench, CSMS_ROOT)
    assert answer["status"] == "Accepted", answer
    assert not is_listed(answer, CSMS_ROOT, hash_data(expired, expired)), answer
    assert answer["certificateHashDataChain"] == present, answer


@case("Core", "C", "AS-2")
@over_tls_with_checked_roots
async def test_tc_m_09_cs(bench: Bench) -> None:
    """Install CA certificate - AdditionalRootCertificateCheck - Rejected"""
    old, stranger = bench.pki.root, bench.pki.make_root("Stranger")
    answer = await bench.call("InstallCertificate", {"certificateType": CSMS_ROOT, "certificate": stranger.pem})
    assert answer["status"] == "Rejected", answer
    answer = await installed_ids(bench, CSMS_ROOT)
    assert answer["status"] == "Accepted", answer
    assert is_listed(answer, CSMS_ROOT, hash_data(old, old)), answer
    assert len(answer["certificateHashDataChain"]) == 1, answer


@case("Core", "C", "AS-2")
@over_tls_with_checked_roots
async def test_tc_m_30_cs(bench: Bench) -> None:
    """Install CA certificate - AdditionalRootCertificateCheck - Reconnect using new CSMS Root - Success"""
    old = bench.pki.root
    new = bench.pki.make_root("Root 2", signed_by=old)
    await states.certificate_installed(bench, CSMS_ROOT, new)
    if bench.setup.security_profile == 3:
        await states.renew_charging_station_certificate(bench)
    before = bench.csms.connection
    bench.drop_unsolicited()
    answer = await bench.call("Reset", {"type": "OnIdle"})
    assert answer["status"] == "Accepted", answer
    clients = old if bench.setup.security_profile == 3 else None
    server = bench.pki.server(issuer=new)
    await bench.csms.restart(bench.pki.server_context(server, client_root=clients))
    await states.has_booted(bench, after=before)
    answer = await installed_ids(bench, CSMS_ROOT)
    assert answer["status"] == "Accepted", answer
    assert not is_listed(answer, CSMS_ROOT, hash_data(old, old)), answer
    assert is_listed(answer, CSMS_ROOT, hash_data(new, old)), answer


@case("Core", "C", "AS-2")
@over_tls_with_checked_roots
async def test_tc_m_31_cs(bench: Bench) -> None:
    """Install CA certificate - AdditionalRootCertificateCheck - Reconnect using new CSMS Root - Fallback mechanism"""
    old = bench.pki.root
    new = bench.pki.make_root("Root 2", signed_by=old)
    await states.certificate_installed(bench, CSMS_ROOT, new)
    before = bench.csms.connection
    bench.drop_unsolicited()
    answer = await bench.call("Reset", {"type": "OnIdle"})  # the test system's certificate stays the old root's
    assert answer["status"] == "Accepted", answer
    await states.has_booted(bench, after=before)
    answer = await installed_ids(bench, CSMS_ROOT)
    assert answer["status"] == "Accepted", answer
    assert is_listed(answer, CSMS_ROOT, hash_data(old, old)), answer
    # The new one, which a next CSMS may use, stays too: the connection was not made with it (M05.FR.13).
    assert is_listed(answer, CSMS_ROOT, hash_data(new, old)), answer


# Retrieve


@case("Core", "M")
@over_tls
async def test_tc_m_12_cs(bench: Bench) -> None:
    """Retrieve certificates from Charging Station - CSMSRootCertificate"""
    root = bench.pki.make_root("Root 2")
    await states.certificate_installed(bench, CSMS_ROOT, root)
    await states.get_installed_certificates(bench, CSMS_ROOT, hash_data(root, root))


@case("Core", "M")
async def test_tc_m_13_cs(bench: Bench) -> None:
    """Retrieve certificates from Charging Station - ManufacturerRootCertificate"""
    root = bench.pki.make_root("Manufacturer")
    await states.certificate_installed(bench, MANUFACTURER_ROOT, root)
    await states.get_installed_certificates(bench, MANUFACTURER_ROOT, hash_data(root, root))


@case("Core", "M")
@over_tls
async def test_tc_m_17_cs(bench: Bench) -> None:
    """Retrieve certificates from Charging Station - CSMSRootCertificate & ManufacturerRootCertificate"""
    root, manufacturer = bench.pki.make_root("Root 2"), bench.pki.make_root("Manufacturer")
    await states.certificate_installed(bench, CSMS_ROOT, root)
    await states.certificate_installed(bench, MANUFACTURER_ROOT, manufacturer)
    answer = await installed_ids(bench, CSMS_ROOT, MANUFACTURER_ROOT)
    assert answer["status"] == "Accepted", answer
    types = {chain["certificateType"] for chain in answer["certificateHashDataChain"]}
    assert types == {CSMS_ROOT, MANUFACTURER_ROOT}, answer
    assert is_listed(answer, CSMS_ROOT, hash_data(root, root)), answer
    assert is_listed(answer, MANUFACTURER_ROOT, hash_data(manufacturer, manufacturer)), answer


@case("Core", "M")
@over_tls
async def test_tc_m_18_cs(bench: Bench) -> None:
    """Retrieve certificates from Charging Station - All certificateTypes"""
    root, manufacturer = bench.pki.make_root("Root 2"), bench.pki.make_root("Manufacturer")
    await states.certificate_installed(bench, CSMS_ROOT, root)
    await states.certificate_installed(bench, MANUFACTURER_ROOT, manufacturer)
    answer = await installed_ids(bench)
    assert answer["status"] == "Accepted", answer
    assert is_listed(answer, CSMS_ROOT, hash_data(root, root)), answer
    assert is_listed(answer, MANUFACTURER_ROOT, hash_data(manufacturer, manufacturer)), answer


@case("Core", "M")
async def test_tc_m_19_cs(bench: Bench) -> None:
    """Retrieve certificates from Charging Station - No matching certificate found"""
    for chain in (await installed_ids(bench, "MORootCertificate")).get("certificateHashDataChain", []):
        answer = await bench.call("DeleteCertificate", {"certificateHashData": chain["certificateHashData"]})
        assert answer["status"] == "Accepted", answer
    answer = await installed_ids(bench, "MORootCertificate")
    assert answer["status"] == "NotFound", answer
    assert "certificateHashDataChain" not in answer, answer


# Delete


@case("Core", "M")
@pytest.mark.parametrize(
    "station_setup",
    [Setup(), Setup(security_profile=2), Setup(security_profile=3)],
    ids=["profile-1", "profile-2", "profile-3"],
)
async def test_tc_m_20_cs(bench: Bench) -> None:
    """Delete a certificate from a Charging Station - Success"""
    present = (await installed_ids(bench, CSMS_ROOT)).get("certificateHashDataChain", [])
    root = bench.pki.make_root("Root 2")
    # Over TLS the root that is there is the one that the link rests on, which a station may keep (M04.FR.03).
    await states.certificate_installed(bench, CSMS_ROOT, root)
    chains = await states.get_installed_certificates(bench, CSMS_ROOT, hash_data(root, root))
    (new,) = [chain["certificateHashData"] for chain in chains if chain not in present]
    answer = await bench.call("DeleteCertificate", {"certificateHashData": new})
    assert answer["status"] == "Accepted", answer
    answer = await installed_ids(bench, CSMS_ROOT)
    assert answer["status"] == ("Accepted" if present else "NotFound"), answer
    assert not is_listed(answer, CSMS_ROOT, new), answer
    assert answer.get("certificateHashDataChain", []) == present, answer


@case("Core", "M")
@over_tls
async def test_tc_m_22_cs(bench: Bench) -> None:
    """Delete a certificate from a Charging Station - No matching certificate found"""
    present = await states.get_installed_certificates(bench, CSMS_ROOT)
    unknown = bench.pki.make_root("Unknown")
    answer = await bench.call("DeleteCertificate", {"certificateHashData": hash_data(unknown, unknown)})
    assert answer["status"] == "NotFound", answer
    assert await states.get_installed_certificates(bench, CSMS_ROOT) == present


@case("Advanced Security", "M")
@setup(security_profile=3)
async def test_tc_m_23_cs(bench: Bench) -> None:
    """Delete a certificate from a Charging Station - Unable to delete the Charging Station Certificate"""
    certificate = await states.renew_charging_station_certificate(bench)
    answer = await installed_ids(bench)
    assert answer["status"] == "Accepted", answer
    answer = await bench.call("DeleteCertificate", {"certificateHashData": hash_data(certificate, bench.pki.root)})
    assert answer["status"] in {"NotFound", "Failed"}, answer
    bench.csms.drop()
    await bench.until(bench.csms.connected.is_set, within_s=120.0, why="no reconnect")
    states.check_client_certificate(bench, certificate)  # it is there still
