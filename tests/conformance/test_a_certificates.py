"""Block A, the station's certificate: shown, renewed, refused (Advanced Security)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from tests.conformance import states, states_15118
from tests.conformance.bench import Bench
from tests.conformance.cases import case, setup
from tests.conformance.csms import Csms
from tests.conformance.frames import Payload
from tests.conformance.pki import Pki
from tests.conformance.station_under_test import SERIAL_NUMBER, Setup
from tests.conformance.test_a_security import SUITES, TLS_1_2, set_network_profile, upgrade_is_rejected
from tests.conformance.v2g import V2g

_WAIT_S = 60.0
"""<Configured CertSigningWaitMinimum>"""


@pytest.mark.smoke
@case("Advanced Security", "M")
@setup(security_profile=3)
async def test_tc_a_07_cs(bench: Bench) -> None:
    """TLS - Client-side certificate - valid certificate"""
    root = bench.pki.root
    for suite in SUITES:  # with the server only willing to speak this one
        before = bench.csms.connection
        bench.drop_unsolicited()
        await states.booting(bench)
        await bench.csms.restart(bench.pki.server_context(client_root=root, versions=TLS_1_2, ciphers=suite))
        await states.has_booted(bench, after=before)
        _check_client_certificate(bench)
    before = bench.csms.connection
    bench.drop_unsolicited()
    await states.booting(bench)
    await bench.csms.restart(bench.pki.server_context(client_root=root))
    await states.has_booted(bench, after=before)
    _check_client_certificate(bench)


def _check_client_certificate(bench: Bench) -> None:
    """Tool validation of step 4: the TLS version, and the certificate that the station has shown."""
    assert bench.csms.tls_versions[-1] in {"TLSv1.2", "TLSv1.3"}
    der = bench.csms.client_certificates[-1]
    assert der is not None
    certificate = x509.load_der_x509_certificate(der)
    key = certificate.public_key()
    assert (isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048) or (
        isinstance(key, ec.EllipticCurvePublicKey) and key.key_size >= 224
    )
    assert certificate.serial_number > 0
    (common_name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert common_name.value == bench.serial_number


@case("Advanced Security", "M")
@setup(security_profile=3, variables={"SecurityCtrlr.OrganizationName": "borne"})
async def test_tc_a_11_cs(bench: Bench) -> None:
    """Update Charging Station Certificate by request of CSMS - Success - Charging Station Certificate"""
    await states.renew_charging_station_certificate(bench)


async def _trigger_csr(bench: Bench) -> str:
    """TriggerMessage and the SignCertificateRequest that follows: steps 1 to 4; the CSR."""
    answer = await bench.call("TriggerMessage", {"requestedMessage": "SignChargingStationCertificate"})
    assert answer["status"] == "Accepted", answer
    request = await bench.expect("SignCertificate")
    states.check_csr(request["csr"])
    return request["csr"]


async def _signed(bench: Bench, certificate: str) -> Payload:
    """CertificateSignedRequest; the response."""
    return await bench.call(
        "CertificateSigned", {"certificateChain": certificate, "certificateType": "ChargingStationCertificate"}
    )


def _of_a_stranger(pki: Pki, csr: str) -> str:
    return pki.sign_csr(csr, issuer=pki.make_root("Stranger"))


def _expired(pki: Pki, csr: str) -> str:
    return pki.sign_csr(csr, days=-0.5)


def _of_another_key(pki: Pki, csr: str) -> str:
    del csr
    return pki.station(SERIAL_NUMBER).pem


def _nonsense(pki: Pki, csr: str) -> str:
    del pki, csr
    return "-----BEGIN CERTIFICATE-----\nbm8gY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n"


@case("Advanced Security", "M")
@setup(security_profile=3)
@pytest.mark.parametrize("invalid", [_of_a_stranger, _expired, _of_another_key, _nonsense])
async def test_tc_a_14_cs(bench: Bench, invalid: Callable[[Pki, str], str]) -> None:
    """Update Charging Station Certificate by request of CSMS - Invalid certificate"""
    csr = await _trigger_csr(bench)
    answer = await _signed(bench, invalid(bench.pki, csr))
    assert answer["status"] == "Rejected", answer
    event = await bench.expect("SecurityEventNotification")
    assert event["type"] == "InvalidChargingStationCertificate", event
    # The refused certificate is discarded: the station keeps using the one that it has.
    der = bench.csms.client_certificates[-1]
    await bench.advance(10.0)
    assert bench.csms.connected.is_set()
    bench.csms.drop()
    await bench.until(bench.csms.connected.is_set, within_s=120.0, why="no reconnect")
    assert bench.csms.client_certificates[-1] == der


@case("Advanced Security", "M")
@setup(security_profile=3, variables={"SecurityCtrlr.CertSigningWaitMinimum": f"{_WAIT_S:g}"})
async def test_tc_a_15_cs(bench: Bench) -> None:
    """Update Charging Station Certificate by request of CSMS - SignCertificateRequest Rejected"""
    bench.on("SignCertificate", {"status": "Rejected"})
    await _trigger_csr(bench)
    # Only a request that the CSMS has accepted is sent again while no certificate comes (A02.FR.17).
    await bench.silence("SignCertificate", for_s=3 * _WAIT_S)


@case("Advanced Security", "C", "AQ-3")  # AQ-1 before the errata
@pytest.mark.parametrize(
    "station_setup", [Setup(security_profile=1), Setup(security_profile=2)], ids=["profile-1", "profile-2"]
)
async def test_tc_a_21_cs(bench: Bench) -> None:
    """Upgrade Charging Station Security Profile - No valid ChargingStationCertificate installed"""
    issued = bench.pki.station(bench.serial_number)
    certificate = {"type": "ChargingStationCertificate", "pem": issued.key_pem + issued.pem}
    await bench.station.put("/api/sim/certificates", certificate)
    await bench.station.delete("/api/sim/certificates", {"type": "ChargingStationCertificate"})  # AQ-3
    if bench.setup.security_profile == 1:
        await states.certificate_installed(bench, "CSMSRootCertificate", bench.pki.root)
    other_csms = Csms(bench.journal, tls=bench.pki.server_context(client_root=bench.pki.root))
    bench.other_endpoints.append(other_csms)
    await other_csms.start()
    active = int(await bench.get_variable("OCPPCommCtrlr", "ActiveNetworkProfile"))
    slot = 2 if active == 1 else 1
    assert await set_network_profile(bench, slot, other_csms.url, 3) == "Accepted"  # step 2
    await upgrade_is_rejected(bench, slot, active)  # step 4


@case("Advanced Security", "C", "AS-3")
@setup(
    security_profile=3,
    variables={
        "SecurityCtrlr.CertSigningWaitMinimum": f"{_WAIT_S:g}",
        "SecurityCtrlr.CertSigningRepeatTimes": "1",
    },
)
async def test_tc_a_23_cs(bench: Bench) -> None:
    """Update Charging Station Certificate by request of CSMS - CertificateSignedRequest Timeout"""
    requests = [await _trigger_csr(bench)]
    for wait_s in (_WAIT_S, 2 * _WAIT_S):
        await bench.silence("SignCertificate", for_s=wait_s - 2.0)
        request = await bench.expect("SignCertificate", within_s=4.0)
        states.check_csr(request["csr"])
        requests.append(request["csr"])
    await bench.silence("SignCertificate", for_s=8 * _WAIT_S)  # A02.FR.19
    answers: list[str] = []
    for csr in requests:
        before = bench.csms.connection
        certificate = bench.pki.sign_csr(csr)
        answer = await _signed(bench, certificate)
        assert answer["status"] in {"Accepted", "Rejected"}, answer
        answers.append(answer["status"])
        if answer["status"] == "Accepted":  # A02.FR.08: it connects with the new certificate
            await bench.until(lambda before=before: bench.csms.connection != before, why="no reconnect")
            states.check_client_certificate(bench, certificate)
    assert "Accepted" in answers, answers


@case("ISO 15118 Support", "M")
@states_15118.communicating
async def test_tc_a_12_cs(bench: Bench) -> None:
    """Update Charging Station Certificate by request of CSMS - Success - V2G Certificate"""
    v2g = V2g()
    await states_15118.iso15118_configured(bench, V2GCertificateInstallationEnabled=True)
    await states_15118.roots_installed(bench, v2g)
    await states_15118.renew_v2g_certificate(bench, v2g)
