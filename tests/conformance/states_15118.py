"""The reusable and memory states of Part 6 for ISO 15118, as functions of the same names (errata 2025-09 included)."""

from __future__ import annotations

from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.conformance import states
from tests.conformance.bench import VALID_TOKEN, Bench
from tests.conformance.cases import setup
from tests.conformance.charging_profiles import multiplier
from tests.conformance.frames import Payload
from tests.conformance.v2g import CONTRACT_TOKEN, EMAID, V2g, hash_data_of, pem_of_chain

SECC_ID = "NL-TTC-S-0001"
"""<configured seccId>"""
SECC: dict[str, Any] = {"secc": {"type": "simulated"}}
"""keys of an EVSE whose vehicles may communicate"""
communicating = setup(evse=SECC)
"""the setup of a station whose vehicles may communicate"""


async def iso15118_configured(bench: Bench, **switches: bool) -> None:
    """The configuration state of ISO15118Ctrlr of the EVSE: identity of the SECC, and switches by variable."""
    for variable, value in (("SeccId", SECC_ID), ("CountryName", "NL"), ("OrganizationName", "borne")):
        await configure(bench, variable, value)
    for variable, switched in switches.items():
        await configure(bench, variable, str(switched).lower())


async def configure(bench: Bench, variable: str, value: str) -> None:
    """SetVariables of a variable of ISO15118Ctrlr, which must be accepted."""
    status = await bench.set_variable("ISO15118Ctrlr", variable, value, evse_id=bench.evse_id)
    assert status == "Accepted", f"{variable} = {value}: {status}"


async def roots_installed(bench: Bench, v2g: V2g, *, mo: bool = True) -> None:
    """Memory state CertificateInstalled for V2GRootCertificate and, unless the case excludes it, MORootCertificate."""
    await states.certificate_installed(bench, "V2GRootCertificate", v2g.root)
    if mo:
        await states.certificate_installed(bench, "MORootCertificate", v2g.mo_root)


async def renew_v2g_certificate(bench: Bench, v2g: V2g, *, statuses_read: bool = True) -> list[x509.Certificate]:
    """Memory state RenewV2GChargingStationCertificate (A02/A03); returns the chain.

    `statuses_read`: the requests for the status of the new certificates that follow are answered and taken as read
    (M06.FR.07); only the cases about them look at them.
    """
    bench.on(
        "GetCertificateStatus",
        lambda request: {"status": "Accepted", "ocspResult": v2g.ocsp_result(request["ocspRequestData"])},
    )
    request: Payload = {"requestedMessage": "SignV2GCertificate", "evse": {"id": bench.evse_id}}
    answer = await bench.call("TriggerMessage", request)
    assert answer["status"] == "Accepted", answer  # step 2
    signing = await bench.expect("SignCertificate")
    assert signing.get("certificateType") == "V2GCertificate", signing
    csr = states.check_csr(signing["csr"])  # step 3
    key = csr.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey), "the certificate can only be an ECDSA certificate"
    assert key.key_size >= 256
    (common_name,) = csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert common_name.value == SECC_ID
    chain = v2g.sign_csr(signing["csr"])
    signed: Payload = {"certificateChain": pem_of_chain(chain), "certificateType": "V2GCertificate"}
    answer = await bench.call("CertificateSigned", signed)
    assert answer["status"] == "Accepted", answer  # step 6
    if statuses_read:
        for _ in chain:
            await bench.expect("GetCertificateStatus")
    return chain


async def certificates_prepared(bench: Bench, v2g: V2g, *, mo: bool = True) -> None:
    """Errata 6.2.35: the roots are installed, and a V2G certificate chain, unless one is present."""
    await roots_installed(bench, v2g, mo=mo)
    answer = await bench.call("GetInstalledCertificateIds", {"certificateType": ["V2GCertificateChain"]})
    if answer["status"] == "NotFound":
        await renew_v2g_certificate(bench, v2g)


async def ev_connected_pre_session(bench: Bench, **iso15118: Any) -> None:
    """Reusable state EVConnectedPreSession, with a vehicle that communicates."""
    await states.ev_connected_pre_session(bench, iso15118=iso15118)


async def authorized15118(bench: Bench, *, contract: bool, status: str = "Accepted", **statuses: str) -> Payload:
    """Reusable state Authorized15118: EIM by an id token, or PnC; returns the AuthorizeRequest.

    With PnC the vehicle that is connected presents its contract by itself. Step 3 (see TC_K_53): the event that reports
    it, if the transaction has started or Authorized is a start point.
    """
    session = bench.session()
    if not contract:
        session.id_token = dict(VALID_TOKEN)
        await bench.present()
    request = await bench.expect("Authorize", within_s=60.0)
    expected = CONTRACT_TOKEN if contract else VALID_TOKEN
    assert request["idToken"] == expected, request
    if contract:
        session.id_token = dict(CONTRACT_TOKEN)
    if status != "Accepted" or statuses.get("certificateStatus", "Accepted") != "Accepted":
        return request
    if session.started or {"Authorized", "PowerPathClosed"} & bench.start_points:
        event = await bench.expect_event()
        assert event["eventType"] == ("Updated" if len(session.events) > 1 else "Started"), event
        assert event["triggerReason"] == "Authorized", event
        assert event["idToken"] == expected, event
    session.authorized = True
    return request


async def needs_notified(bench: Bench) -> Payload:
    """A NotifyEVChargingNeedsRequest for the EVSE, with the parameters of its kind of energy transfer."""
    needs = await bench.expect("NotifyEVChargingNeeds", within_s=60.0)
    assert needs["evseId"] == bench.evse_id, needs
    wanted = needs["chargingNeeds"]
    direct = wanted["requestedEnergyTransfer"] == "DC"
    assert ("dcChargingParameters" if direct else "acChargingParameters") in wanted, needs
    return needs


def tx_profile(bench: Bench, limit_a: float, unit: str, *, identity: int = 101, duration: int | None = None) -> Payload:
    """A TxProfile for the running transaction, with one period; the schedule has the id of the profile."""
    schedule: Payload = {
        "id": identity,
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit_a * multiplier(unit)}],
    }
    if duration is not None:
        schedule["duration"] = duration
    return {
        "id": identity,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Relative",
        "transactionId": bench.session().transaction_id,
        "chargingSchedule": [schedule],
    }


async def profile_accepted(bench: Bench, profile: Payload) -> None:
    """SetChargingProfile, which must be accepted."""
    answer = await bench.call("SetChargingProfile", {"evseId": bench.evse_id, "chargingProfile": profile})
    assert answer["status"] == "Accepted", answer


async def schedule_notified(bench: Bench, profile: Payload | None, *, unit: str | None = None) -> Payload:
    """A NotifyEVChargingScheduleRequest for the EVSE, within the limits of a profile (one period)."""
    notified = await bench.expect("NotifyEVChargingSchedule", within_s=60.0)
    assert notified["evseId"] == bench.evse_id, notified
    schedule = notified["chargingSchedule"]
    if profile is not None:
        allowed = profile["chargingSchedule"][0]
        assert schedule["id"] == allowed["id"], notified  # K15.FR.19
        assert schedule["chargingRateUnit"] == allowed["chargingRateUnit"], notified
        limit = allowed["chargingSchedulePeriod"][0]["limit"]
        length_s = allowed.get("duration", float("inf"))
        within = [each for each in schedule["chargingSchedulePeriod"] if each["startPeriod"] < length_s - 5]
        assert within
        assert all(each["limit"] <= limit for each in within), notified
    if unit is not None:
        assert schedule["chargingRateUnit"] == unit, notified
    return notified


async def renegotiate_charging_limits(bench: Bench, unit: str) -> None:
    """Reusable state RenegotiateChargingLimits: new needs, a profile of 10 A or 10 kW, and energy that flows.

    Before the first energy flows the vehicle negotiates by itself; later it is made to.
    """
    if bench.session().charging:
        await bench.station.vehicle(bench.evse_id, session="renegotiate")
    await needs_notified(bench)
    profile = tx_profile(bench, 10.0, unit, identity=102, duration=300)
    profile["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"] = 10.0 if unit == "A" else 10_000.0
    await profile_accepted(bench, profile)
    await schedule_notified(bench, profile)
    if not bench.session().charging:
        event = await bench.expect_event()
        assert event["triggerReason"] == "ChargingStateChanged", event
        assert event["transactionInfo"]["chargingState"] == "Charging", event
        bench.session().charging = True


async def session_terminated(bench: Bench) -> None:
    """Manual action: the EV ends the session (SessionStopReq(Terminate))."""
    await bench.station.vehicle(bench.evse_id, session="stop")


def contract_hash_data(v2g: V2g, contract: Payload) -> Payload:
    """The hash data of a contract certificate, for CustomerInformation."""
    assert contract["emaid"] == EMAID
    leaf = x509.load_pem_x509_certificate(contract["chain"].encode())
    return hash_data_of(leaf, v2g.mo_sub_ca_2.certificate)
