"""Certificates beside the cases: renewal of the station's own accord, ways back, and what is refused (A02, A03, M)."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509

from tests.conformance import states
from tests.conformance.bench import Bench
from tests.conformance.cases import setup
from tests.conformance.csms import CallError
from tests.conformance.frames import Payload
from tests.conformance.pki import Issued, hash_data
from tests.conformance.station import SERIAL_NUMBER, Setup

DAY_S = 86_400.0
OWN = "ChargingStationCertificate"


async def _give(bench: Bench, certificate: Issued) -> None:
    """Let the station have this certificate, and connect with it."""
    await bench.station.put("/api/sim/certificates", {"type": OWN, "pem": certificate.key_pem + certificate.pem})
    before = bench.csms.connection
    bench.csms.drop()
    await bench.until(lambda: bench.csms.connection != before, within_s=120.0, why="no reconnect")
    await bench.settle()


async def _pass(bench: Bench, seconds: float) -> None:
    """Let much time pass in few steps, in which nobody tells the time."""
    await bench.configure("OCPPCommCtrlr", "HeartbeatInterval", str(int(30 * DAY_S)))
    await bench.configure("OCPPCommCtrlr", "WebSocketPingInterval", "0")
    while seconds > 0.0:
        step_s = min(seconds, 3_600.0)
        await bench.station.advance(step_s)
        seconds -= step_s


def _shown(bench: Bench) -> x509.Certificate:
    """The certificate that the station has shown last."""
    shown = bench.csms.client_certificates[-1]
    assert shown is not None
    return x509.load_der_x509_certificate(shown)


@setup(security_profile=3, variables={"SecurityCtrlr.OrganizationName": "borne"})
async def test_a_month_before_it_expires_the_station_asks_for_a_new_certificate(bench: Bench) -> None:
    """A03.FR.02, A03.FR.03, A03.FR.08."""
    await _give(bench, bench.pki.station(SERIAL_NUMBER, days=31))
    bench.forget()
    await _pass(bench, 20 * 3_600.0)
    assert not bench.journal.sent("SignCertificate")
    await _pass(bench, 8 * 3_600.0)
    request = await bench.expect("SignCertificate")
    csr = states.check_csr(request["csr"])
    assert csr.subject.rfc4514_string() == f"CN={SERIAL_NUMBER},O=borne"
    before = bench.csms.connection
    signed = bench.pki.sign_csr(request["csr"])
    answer = await bench.call("CertificateSigned", {"certificateChain": signed, "certificateType": OWN})
    assert answer["status"] == "Accepted", answer
    await bench.until(lambda: bench.csms.connection != before, why="no reconnect")
    assert _shown(bench) == x509.load_pem_x509_certificate(signed.encode())
    await _pass(bench, 2 * DAY_S)
    assert len(bench.journal.sent("SignCertificate")) == 1, "it asks again, though it has a new one"


@setup(security_profile=3)
@pytest.mark.parametrize("reply", [{"status": "Rejected"}, CallError("InternalError")], ids=["rejected", "error"])
async def test_a_refused_request_of_its_own_is_made_again_a_day_later(bench: Bench, reply: Any) -> None:
    await _give(bench, bench.pki.station(SERIAL_NUMBER, days=20))
    bench.on("SignCertificate", reply)
    await _pass(bench, 2 * 3_600.0)
    assert len(bench.journal.sent("SignCertificate")) == 1
    await _pass(bench, DAY_S)
    assert len(bench.journal.sent("SignCertificate")) == 2


@setup(
    security_profile=3,
    variables={"SecurityCtrlr.CertSigningWaitMinimum": "10", "SecurityCtrlr.CertSigningRepeatTimes": "2"},
)
async def test_after_the_last_increment_only_the_csms_makes_it_ask_again(bench: Bench) -> None:
    """A02.FR.18, A02.FR.19: after 10, 20 and 40 seconds, then no more."""
    await _give(bench, bench.pki.station(SERIAL_NUMBER, days=20))
    await _pass(bench, 3 * DAY_S)
    assert len(bench.journal.sent("SignCertificate")) == 4
    times = [frame.at for frame in bench.journal.sent("SignCertificate")]
    assert times == sorted(times)
    answer = await bench.call("TriggerMessage", {"requestedMessage": "SignChargingStationCertificate"})
    assert answer["status"] == "Accepted", answer
    await bench.settle()
    assert len(bench.journal.sent("SignCertificate")) == 5


@setup(security_profile=3)
async def test_after_an_invalid_certificate_it_does_not_ask_again(bench: Bench) -> None:
    """A02.FR.20."""
    answer = await bench.call("TriggerMessage", {"requestedMessage": "SignChargingStationCertificate"})
    assert answer["status"] == "Accepted", answer
    await bench.expect("SignCertificate")
    wrong = bench.pki.station(SERIAL_NUMBER).pem
    answer = await bench.call("CertificateSigned", {"certificateChain": wrong, "certificateType": OWN})
    assert answer["status"] == "Rejected", answer
    await _pass(bench, 2 * DAY_S)
    assert len(bench.journal.sent("SignCertificate")) == 1


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
    old, other = _shown(bench), bench.pki.make_root("Of another operator")
    await states.certificate_installed(bench, "CSMSRootCertificate", other)
    await bench.call("TriggerMessage", {"requestedMessage": "SignChargingStationCertificate"})
    request = await bench.expect("SignCertificate")
    signed = bench.pki.sign_csr(request["csr"], issuer=other)  # which this CSMS does not believe
    before = bench.csms.connection
    answer = await bench.call("CertificateSigned", {"certificateChain": signed, "certificateType": OWN})
    assert answer["status"] == "Accepted", answer
    await bench.until(lambda: bench.csms.connection != before, within_s=120.0, why="no reconnect")
    assert _shown(bench) == old
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
    assert [one["pem"] for one in held if one["type"] == OWN] == [signed]
    assert "PRIVATE" not in str(held)
    await bench.advance(10.0)
    assert bench.csms.connection == before
