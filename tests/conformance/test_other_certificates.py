"""Certificates beside the cases: renewal of the station's own accord, ways back, and what is refused (A02, A03, M)."""

from __future__ import annotations

import pytest
from cryptography import x509

from tests.conformance import states
from tests.conformance.bench import Bench
from tests.conformance.cases import setup
from tests.conformance.frames import Payload
from tests.conformance.pki import hash_data
from tests.conformance.station_under_test import Setup

OWN = "ChargingStationCertificate"


def _client_certificate(bench: Bench) -> x509.Certificate:
    """The client certificate of the latest connection."""
    der = bench.csms.client_certificates[-1]
    assert der is not None
    return x509.load_der_x509_certificate(der)


@setup(security_profile=3, variables={"SecurityCtrlr.OrganizationName": "borne"})
async def test_a_month_before_it_expires_the_station_renews_its_certificate_itself(bench: Bench) -> None:
    """A03.FR.02, A03.FR.03, A03.FR.08."""
    issued = bench.pki.station(bench.serial_number, days=29)
    await bench.station.put("/api/sim/certificates", {"type": OWN, "pem": issued.key_pem + issued.pem})
    before = bench.csms.connection
    bench.csms.drop()
    await bench.until(lambda: bench.csms.connection != before, within_s=120.0, why="no reconnect")
    assert _client_certificate(bench) == issued.certificate
    request = await bench.expect("SignCertificate")
    csr = states.check_csr(request["csr"])
    assert csr.subject.rfc4514_string() == f"CN={bench.serial_number},O=borne"
    before = bench.csms.connection
    signed = bench.pki.sign_csr(request["csr"])
    answer = await bench.call("CertificateSigned", {"certificateChain": signed, "certificateType": OWN})
    assert answer["status"] == "Accepted", answer
    await bench.until(lambda: bench.csms.connection != before, why="no reconnect")
    assert _client_certificate(bench) == x509.load_pem_x509_certificate(signed.encode())


@setup(
    security_profile=3,
    variables={
        "OCPPCommCtrlr.NetworkProfileConnectionAttempts": "1",
        "OCPPCommCtrlr.RetryBackOffWaitMinimum": "5",
        "OCPPCommCtrlr.RetryBackOffRandomRange": "0",
    },
)
async def test_a_renewed_certificate_that_the_csms_does_not_take_is_given_up_for_the_old_one(bench: Bench) -> None:
    """A02.FR.10, A02.FR.28, A02.FR.29."""
    old, other_root = _client_certificate(bench), bench.pki.make_root("Of another operator")
    await states.certificate_installed(bench, "CSMSRootCertificate", other_root)
    await bench.call("TriggerMessage", {"requestedMessage": "SignChargingStationCertificate"})
    request = await bench.expect("SignCertificate")
    signed = bench.pki.sign_csr(request["csr"], issuer=other_root)  # which this CSMS does not believe
    before = bench.csms.connection
    answer = await bench.call("CertificateSigned", {"certificateChain": signed, "certificateType": OWN})
    assert answer["status"] == "Accepted", answer
    await bench.until(lambda: bench.csms.connection != before, within_s=120.0, why="no reconnect")
    assert _client_certificate(bench) == old
    event = await bench.expect("SecurityEventNotification")
    assert event["type"] == "DiscardedRenewedClientCertificate", event


@pytest.mark.parametrize("certificate_type", ["V2GRootCertificate", "MORootCertificate"])
async def test_roots_of_iso_15118_are_not_taken(bench: Bench, certificate_type: str) -> None:
    """The station has no use for them: a valid one fails (InstallCertificateStatusEnumType)."""
    request: Payload = {"certificateType": certificate_type, "certificate": bench.pki.root.pem}
    answer = await bench.call("InstallCertificate", request)
    assert answer["status"] == "Failed", answer
    answer = await bench.call("GetInstalledCertificateIds", {"certificateType": [certificate_type]})
    assert answer["status"] == "NotFound", answer


@setup(security_profile=2)
async def test_the_only_root_that_the_link_rests_on_is_kept(bench: Bench) -> None:
    """M04.FR.03: without it nobody would ever reach the station again."""
    root = bench.pki.root
    answer = await bench.call("DeleteCertificate", {"certificateHashData": hash_data(root, root)})
    assert answer["status"] == "Failed", answer
    await states.get_installed_certificates(bench, "CSMSRootCertificate", hash_data(root, root))


async def test_no_more_certificates_than_the_maximum(bench: Bench) -> None:
    """M05.FR.06."""
    rows = await bench.call(
        "GetReport",
        {
            "requestId": 1,
            "componentVariable": [
                {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "CertificateEntries"}},
            ],
        },
    )
    assert rows["status"] == "Accepted", rows
    report = await bench.expect("NotifyReport")
    most = int(report["reportData"][0]["variableCharacteristics"]["maxLimit"])
    for number in range(most):
        await states.certificate_installed(bench, "ManufacturerRootCertificate", bench.pki.make_root(f"Root {number}"))
    assert await bench.get_variable("SecurityCtrlr", "CertificateEntries") == str(most)
    request = {"certificateType": "ManufacturerRootCertificate", "certificate": bench.pki.make_root("One more").pem}
    answer = await bench.call("InstallCertificate", request)
    assert answer["status"] == "Rejected", answer


@pytest.mark.parametrize("station_setup", [Setup(security_profile=1), Setup(security_profile=2)], ids=["1", "2"])
async def test_a_station_that_shows_no_certificate_yet_gets_its_first_one(bench: Bench) -> None:
    """Before an upgrade to security profile 3 (A05): no reconnect is needed for that."""
    if bench.setup.security_profile == 1:
        await states.certificate_installed(bench, "CSMSRootCertificate", bench.pki.root)
    before = bench.csms.connection
    answer = await bench.call("TriggerMessage", {"requestedMessage": "SignChargingStationCertificate"})
    assert answer["status"] == "Accepted", answer
    request = await bench.expect("SignCertificate")
    signed = bench.pki.sign_csr(request["csr"])
    answer = await bench.call("CertificateSigned", {"certificateChain": signed})
    assert answer["status"] == "Accepted", answer
    held = await bench.station.get("/api/certificates")
    assert [certificate["pem"] for certificate in held if certificate["type"] == OWN] == [signed]
    assert "PRIVATE" not in str(held)
    await bench.advance(10.0)
    assert bench.csms.connection == before
