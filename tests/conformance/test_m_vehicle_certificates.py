"""Block M, certificates of ISO 15118 (ISO 15118 Support): roots, V2G chains, their status, contract certificates."""

from __future__ import annotations

from tests.conformance import states, states_15118
from tests.conformance.bench import Bench
from tests.conformance.cases import case
from tests.conformance.frames import Payload
from tests.conformance.pki import hash_data
from tests.conformance.states_15118 import communicating
from tests.conformance.v2g import CONTRACT_TOKEN, V2g, hash_data_of

V2G_ROOT, MO_ROOT, V2G_CHAIN = "V2GRootCertificate", "MORootCertificate", "V2GCertificateChain"
_EXI_RESPONSE = "gJgCbm90IHJlYWxseSBFWEk="


@case("ISO 15118 Support", "M")
@communicating
async def test_tc_m_03_cs(bench: Bench) -> None:
    """Install CA certificate - V2GRootCertificate"""
    v2g = V2g()
    await states.certificate_installed(bench, V2G_ROOT, v2g.root)
    await states.get_installed_certificates(bench, V2G_ROOT, hash_data(v2g.root, v2g.root))


@case("ISO 15118 Support", "M")
@communicating
async def test_tc_m_04_cs(bench: Bench) -> None:
    """Install CA certificate - MORootCertificate"""
    v2g = V2g()
    await states.certificate_installed(bench, MO_ROOT, v2g.mo_root)
    await states.get_installed_certificates(bench, MO_ROOT, hash_data(v2g.mo_root, v2g.mo_root))


@case("ISO 15118 Support", "M")
@communicating
async def test_tc_m_14_cs(bench: Bench) -> None:
    """Retrieve certificates from Charging Station - V2GRootCertificate"""
    v2g = V2g()
    await states.certificate_installed(bench, V2G_ROOT, v2g.root)
    await states.certificate_installed(bench, MO_ROOT, v2g.mo_root)
    found = await states.get_installed_certificates(bench, V2G_ROOT, hash_data(v2g.root, v2g.root))
    assert [entry["certificateType"] for entry in found] == [V2G_ROOT]


@case("ISO 15118 Support", "M")
@communicating
async def test_tc_m_15_cs(bench: Bench) -> None:
    """Retrieve certificates from Charging Station - V2GCertificateChain"""
    v2g = V2g()
    await states_15118.iso15118_configured(bench)
    await states_15118.roots_installed(bench, v2g)
    leaf, sub_ca_2, sub_ca_1 = await states_15118.renew_v2g_certificate(bench, v2g)
    answer = await bench.call("GetInstalledCertificateIds", {"certificateType": [V2G_CHAIN]})
    assert answer["status"] == "Accepted", answer
    (chain,) = answer["certificateHashDataChain"]
    assert chain["certificateType"] == V2G_CHAIN, chain
    assert chain["certificateHashData"] == hash_data_of(leaf, sub_ca_2), chain
    children = [hash_data_of(sub_ca_2, sub_ca_1), hash_data_of(sub_ca_1, v2g.root.certificate)]
    assert sorted(chain["childCertificateHashData"], key=str) == sorted(children, key=str), chain


@case("ISO 15118 Support", "M")
@communicating
async def test_tc_m_16_cs(bench: Bench) -> None:
    """Retrieve certificates from Charging Station - MORootCertificate"""
    v2g = V2g()
    await states.certificate_installed(bench, V2G_ROOT, v2g.root)
    await states.certificate_installed(bench, MO_ROOT, v2g.mo_root)
    found = await states.get_installed_certificates(bench, MO_ROOT, hash_data(v2g.mo_root, v2g.mo_root))
    assert [entry["certificateType"] for entry in found] == [MO_ROOT]


async def _status_requests(bench: Bench, answer: Payload | None) -> None:
    """GetCertificateStatusRequest for leaf, sub-CA 2 and sub-CA 1 (errata 6.2.85), answered so (None: good)."""
    v2g = V2g()
    await states_15118.iso15118_configured(bench)
    await states_15118.roots_installed(bench, v2g)
    chain = await states_15118.renew_v2g_certificate(bench, v2g, statuses_read=False)
    if answer is not None:
        bench.on("GetCertificateStatus", answer)
    expected = {f"{certificate.serial_number:x}" for certificate in chain}
    requests = [(await bench.expect("GetCertificateStatus"))["ocspRequestData"] for _ in chain]
    assert {request["serialNumber"] for request in requests} == expected, requests
    issuers = [*(each for each in chain[1:]), v2g.root.certificate]
    wanted = {
        certificate.serial_number: hash_data_of(certificate, issuer)
        for certificate, issuer in zip(chain, issuers, strict=True)
    }
    for request in requests:
        hashed = {name: value for name, value in request.items() if name != "responderURL"}
        assert hashed == wanted[int(request["serialNumber"], 16)], request
        assert request["responderURL"], request
    await bench.silence("GetCertificateStatus", for_s=60.0)


@case("ISO 15118 Support", "M")
@communicating
async def test_tc_m_24_cs(bench: Bench) -> None:
    """Get Charging Station Certificate status - Success"""
    await _status_requests(bench, None)


@case("ISO 15118 Support", "M")
@communicating
async def test_tc_m_25_cs(bench: Bench) -> None:
    """Get Charging Station Certificate status - Rejected"""
    await _status_requests(bench, {"status": "Failed"})


async def _certificate_requested(bench: Bench, action: str, status: str) -> None:
    """The vehicle requests a contract certificate, and presents its contract if it gets one."""
    v2g = V2g()
    await states.authorization_on(bench)
    await states_15118.iso15118_configured(bench, ContractCertificateInstallationEnabled=True, PnCEnabled=True)
    await states_15118.roots_installed(bench, v2g)
    answer = {"status": status, "exiResponse": _EXI_RESPONSE if status == "Accepted" else ""}
    bench.on("Get15118EVCertificate", answer)
    await states_15118.ev_connected_pre_session(bench, contract=v2g.contract(), contract_only=True, certificate=action)
    request = await bench.expect("Get15118EVCertificate")
    assert request["action"] == action, request
    if status == "Failed":
        await bench.silence("Authorize", for_s=30.0)
        return
    authorize = await states_15118.authorized15118(bench, contract=True)
    assert authorize["idToken"] == CONTRACT_TOKEN, authorize
    await bench.expect("NotifyEVChargingNeeds", within_s=60.0)
    await states.energy_transfer_started(bench)
    bench.take("NotifyEVChargingSchedule")


@case("ISO 15118 Support", "M")
@communicating
async def test_tc_m_26_cs(bench: Bench) -> None:
    """Certificate Installation EV - Success"""
    await _certificate_requested(bench, "Install", "Accepted")


@case("ISO 15118 Support", "M")
@communicating
async def test_tc_m_27_cs(bench: Bench) -> None:
    """Certificate Installation EV - Failed"""
    await _certificate_requested(bench, "Install", "Failed")


@case("ISO 15118 Support", "M")
@communicating
async def test_tc_m_28_cs(bench: Bench) -> None:
    """Certificate Update EV - Success"""
    await _certificate_requested(bench, "Update", "Accepted")


@case("ISO 15118 Support", "M")
@communicating
async def test_tc_m_29_cs(bench: Bench) -> None:
    """Certificate Update EV - Failed"""
    await _certificate_requested(bench, "Update", "Failed")
