"""The V2G certificates of SECCs: from the request to the credentials of the SECC, also for several EVSEs."""

from __future__ import annotations

import itertools
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from station.core.vehicle_link import SeccCredentials
from tests.conformance.v2g import V2g, pem_of_chain
from tests.csms import NO_ANSWER, Csms
from tests.walk import Walk, walking
from tests.walks.test_vehicle_negotiation import orders
from tests.walks.test_vehicles import SECC, answer_with, secc_of


def csms_of(v2g: V2g) -> Csms:
    """A CSMS that accepts requests for certificates, and knows the status of each."""
    csms = Csms()
    answer_with(csms, "SignCertificate", {"status": "Accepted"})
    csms.answers["GetCertificateStatus"] = lambda request: {
        "status": "Accepted",
        "ocspResult": v2g.ocsp_result(request["ocspRequestData"]),
    }
    return csms


async def install_root(walk: Walk, v2g: V2g) -> None:
    root = {"certificateType": "V2GRootCertificate", "certificate": v2g.root.pem}
    assert (await walk.csms.call("InstallCertificate", root))["status"] == "Accepted"


async def requested(walk: Walk, count: int, **evse: Any) -> str:
    """The signing request that the CSMS triggers, of `count` until now."""
    trigger = {"requestedMessage": "SignV2GCertificate", **evse}
    assert (await walk.csms.call("TriggerMessage", trigger))["status"] == "Accepted"
    await walk.until(lambda: len(walk.csms.received("SignCertificate")) == count)
    return walk.csms.received("SignCertificate")[-1]["csr"]


async def send_signed(walk: Walk, v2g: V2g, csr: str) -> str:
    signed = {"certificateChain": pem_of_chain(v2g.sign_csr(csr)), "certificateType": "V2GCertificate"}
    return (await walk.csms.call("CertificateSigned", signed))["status"]


def credentials(walk: Walk) -> SeccCredentials:
    return orders(secc_of(walk), SeccCredentials)[-1]


async def test_the_certificate_of_one_evse_answers_only_its_own_request(tmp_path: Path) -> None:
    v2g = V2g()
    two = [{"secc": {"type": "simulated"}}, {"secc": {"type": "simulated"}}]
    async with walking(tmp_path, csms_of(v2g), evse=two) as walk:
        await walk.accepted()
        await walk.set_variable("SecurityCtrlr", "CertSigningWaitMinimum", "30")
        await walk.set_variable("SecurityCtrlr", "CertSigningRepeatTimes", "3")
        await install_root(walk, v2g)
        await requested(walk, 2)
        first, second = (request["csr"] for request in walk.csms.received("SignCertificate"))
        assert await send_signed(walk, v2g, first) == "Accepted"
        await walk.until(lambda: [each["csr"] for each in walk.csms.received("SignCertificate")].count(second) > 1)
        assert [each["csr"] for each in walk.csms.received("SignCertificate")].count(first) == 1


async def test_a_repeated_certificate_is_rejected_and_no_attack(tmp_path: Path) -> None:
    v2g = V2g()
    async with walking(tmp_path, csms_of(v2g), **SECC) as walk:
        await walk.accepted()
        await install_root(walk, v2g)
        signed = pem_of_chain(v2g.sign_csr(await requested(walk, 1)))
        message = {"certificateChain": signed, "certificateType": "V2GCertificate"}
        assert (await walk.csms.call("CertificateSigned", message))["status"] == "Accepted"
        assert (await walk.csms.call("CertificateSigned", message))["status"] == "Rejected"
        other = pem_of_chain(V2g().sign_csr(await requested(walk, 2)))
        unknown = {"certificateChain": other, "certificateType": "V2GCertificate"}
        events = [event["type"] for event in walk.csms.received("SecurityEventNotification")]
        assert "InvalidChargingStationCertificate" not in events
        assert (await walk.csms.call("CertificateSigned", unknown))["status"] == "Rejected"
        await walk.until(
            lambda: (
                "InvalidChargingStationCertificate"
                in [event["type"] for event in walk.csms.received("SecurityEventNotification")]
            )
        )


async def test_the_status_of_the_whole_chain_is_requested_after_each_installation(tmp_path: Path) -> None:
    v2g = V2g()
    async with walking(tmp_path, csms_of(v2g), **SECC) as walk:
        await walk.accepted()
        await install_root(walk, v2g)
        for count in (1, 2):
            assert await send_signed(walk, v2g, await requested(walk, count)) == "Accepted"
            await walk.until(lambda count=count: len(walk.csms.received("GetCertificateStatus")) == 3 * count)
            await walk.until(lambda: len(credentials(walk).statuses) == 3)
        assert len({each.fingerprint for each in orders(secc_of(walk), SeccCredentials) if each.file}) == 2


async def test_certificates_of_two_authorities_may_have_one_serial_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serials = itertools.chain((1, 2, 2), itertools.count(100))
    monkeypatch.setattr(x509, "random_serial_number", lambda: next(serials))
    v2g = V2g()
    assert v2g.root.certificate.serial_number == 1
    assert v2g.sub_ca_1.certificate.serial_number == v2g.sub_ca_2.certificate.serial_number == 2
    async with walking(tmp_path, csms_of(v2g), **SECC) as walk:
        await walk.accepted()
        await install_root(walk, v2g)
        assert await send_signed(walk, v2g, await requested(walk, 1)) == "Accepted"
        await walk.until(lambda: len(walk.csms.received("GetCertificateStatus")) == 3)
        named = [request["ocspRequestData"] for request in walk.csms.received("GetCertificateStatus")]
        assert len({(each["issuerKeyHash"], each["serialNumber"]) for each in named}) == 3


async def test_the_secc_has_its_certificate_and_statuses_while_the_csms_is_away(tmp_path: Path) -> None:
    v2g = V2g()
    csms = csms_of(v2g)
    async with walking(tmp_path, csms, **SECC) as walk:
        await walk.accepted()
        await install_root(walk, v2g)
        assert await send_signed(walk, v2g, await requested(walk, 1)) == "Accepted"
        await walk.until(lambda: len(credentials(walk).statuses) == 3)
        csms.http_status = 503
        await walk.application.cut_power()
        await walk.application.restore_power()
        await walk.advance(60)
        assert credentials(walk).file.startswith(str(tmp_path))
        assert len(credentials(walk).statuses) == 3


@pytest.mark.parametrize("answer", ["none", "garbage", "unknown algorithm"])
async def test_no_usable_status_leaves_the_certificate_in_use(tmp_path: Path, answer: str) -> None:
    """An OCSP answer that never comes, that is none, or whose signature nobody can check."""
    v2g = V2g()
    csms = csms_of(v2g)

    def respond(request: dict[str, Any]) -> Any:
        if answer == "none":
            return NO_ANSWER
        good = bytearray(b64decode(v2g.ocsp_result(request["ocspRequestData"])))
        position = good.find(bytes.fromhex("2a8648ce3d0403")) if answer == "unknown algorithm" else 0
        good[position + 1] ^= 1
        return {"status": "Accepted", "ocspResult": b64encode(good).decode()}

    csms.answers["GetCertificateStatus"] = respond
    async with walking(tmp_path, csms, **SECC) as walk:
        await walk.accepted()
        await install_root(walk, v2g)
        assert await send_signed(walk, v2g, await requested(walk, 1)) == "Accepted"
        await walk.until(lambda: len(walk.csms.received("GetCertificateStatus")) == 3, within_s=200)
        assert credentials(walk).file
        assert credentials(walk).statuses == ()
