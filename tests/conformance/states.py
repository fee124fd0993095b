"""The reusable states and memory states of Part 6 (§2.18, §2.19), as functions of the same names; each asserts its own
tool validations.

A state brings the bench from wherever it is to where its name says, as the *Before* of Part 6 describes: a state that
builds on another one executes that one first when the bench is not there yet. Errata 2025-09 are included.
"""

from __future__ import annotations

from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.conformance.bench import PERIODIC, VALID_TOKEN, Bench, Session
from tests.conformance.csms import Csms
from tests.conformance.frames import Payload
from tests.conformance.pki import Issued

_TRANSACTION_DURATION_S = 5.0
"""<Configured Transaction Duration>"""

# Booting


async def booting(bench: Bench) -> None:
    """Reusable state Booting: the station restarts; its connection is not there yet."""
    answer = await bench.call("Reset", {"type": "Immediate"})
    assert answer["status"] == "Accepted", answer


async def booted(
    bench: Bench, *, reset: str | None = "Immediate", statuses: str | dict[int, str] = "Available"
) -> Payload:
    """Reusable state Booted, by a Reset of this type or (None) a power cycle; returns the BootNotification."""
    bench.drop_unsolicited()
    before = bench.csms.connection
    if reset is None:
        await bench.station.power("cycle")
    else:
        answer = await bench.call("Reset", {"type": reset})
        assert answer["status"] == "Accepted", answer
    boot = await has_booted(bench, after=before, statuses=statuses)
    assert boot["reason"] == ("PowerUp" if reset is None else "RemoteReset"), boot
    return boot


async def has_booted(
    bench: Bench, *, after: int | None = None, statuses: str | dict[int, str] = "Available", csms: Any = None
) -> Payload:
    """Steps 3 to 8 of Booted: the messages of a station that has booted; `statuses`: of all, or by EVSE."""
    endpoint = csms or bench.csms
    boot = await bench.expect("BootNotification", within_s=180.0, csms=endpoint)
    boots_first(bench)
    if after is not None:
        assert endpoint.connection != after, "the station did not reconnect"
    notified_evses: set[int] = set()
    while len(notified_evses) < bench.setup.evses:
        status = await bench.expect("StatusNotification", csms=endpoint)
        expected = statuses if isinstance(statuses, str) else statuses[status["evseId"]]
        assert status["connectorStatus"] == expected, status
        assert status["evseId"] != 0, status
        assert status["connectorId"] != 0, status
        notified_evses.add(status["evseId"])
    await startup_is_notified(bench, csms=endpoint)
    for number in list(bench.sessions):
        bench.new_session(number)
    return boot


async def startup_is_notified(bench: Bench, *, csms: Csms | None = None) -> None:
    """The security event of a start (part 2, appendix 1), also where the case does not mention it."""
    event = await bench.expect("SecurityEventNotification", csms=csms)
    assert event["type"] in {"StartupOfTheDevice", "ResetOrReboot"}, event


def boots_first(bench: Bench) -> None:
    """The first CALL on the connection on which the station booted is BootNotification (B01.FR.08)."""
    boot = bench.journal.sent("BootNotification")[-1]
    calls = [f for f in bench.journal.frames if f.from_station and f.kind == 2 and f.connection == boot.connection]
    assert calls[0].action == "BootNotification", calls[0]


async def unavailable(bench: Bench, *, evse_id: int | None = None, connector_id: int | None = None) -> None:
    """Reusable state Unavailable: the station, an EVSE or a connector is ordered out of service."""
    request: Payload = {"operationalStatus": "Inoperative"}
    if evse_id is not None:
        request["evse"] = {"id": evse_id} | ({"connectorId": connector_id} if connector_id is not None else {})
    answer = await bench.call("ChangeAvailability", request)
    assert answer["status"] == "Accepted", answer
    concerned = [evse_id] if evse_id is not None else list(range(1, bench.setup.evses + 1))
    for number in concerned:
        await bench.expect_status("Unavailable", evse_id=number, connector_id=connector_id or 1)


async def reserved(
    bench: Bench,
    *,
    evse_id: int | None = None,
    id_token: Payload | None = None,
    reservation_id: int = 1,
    for_s: float = 3_600.0,
) -> int:
    """Reusable state Reserved: an EVSE is reserved for an id token; returns the <Generated reservationId>."""
    evse = evse_id or bench.evse_id
    request: Payload = {
        "id": reservation_id,
        "expiryDateTime": bench.iso(for_s),
        "idToken": id_token if id_token is not None else VALID_TOKEN,
        "evseId": evse,
    }
    since = len(bench.journal.frames)
    answer = await bench.call("ReserveNow", request)
    assert answer["status"] == "Accepted", answer
    await bench.expect_status("Reserved", evse_id=evse)
    actions = [f.action for f in bench.journal.frames[since:] if f.from_station and f.action != "Heartbeat"]
    assert actions.index("ReserveNow") < actions.index("StatusNotification"), "the status came before the response"
    return reservation_id


# A charging session


async def authorization_on(bench: Bench) -> None:
    """The configuration state that most cases of blocks C, E and F begin with: authorization is on, the CSMS asked."""
    await bench.configure("AuthCtrlr", "Enabled", "true")
    await bench.configure("AuthCtrlr", "DisableRemoteAuthorization", "false")


async def parking_bay_occupied(bench: Bench, evse_id: int | None = None) -> None:
    """Reusable state ParkingBayOccupied. Optional: executed where ParkingBayOccupancy is a start or stop point."""
    session = bench.session(evse_id)
    if session.bay_occupied or "ParkingBayOccupancy" not in bench.start_points | bench.stop_points:
        return
    await bench.station.parking_bay(evse_id or bench.evse_id, occupied=True)
    session.bay_occupied = True
    if "ParkingBayOccupancy" in bench.start_points:
        event = await bench.expect_event(evse_id=evse_id)
        assert event["triggerReason"] == "EVDetected", event


async def ev_connected_pre_session(bench: Bench, evse_id: int | None = None, **ev: Any) -> None:
    """Reusable state EVConnectedPreSession: the EV and EVSE are connected; authorized or not."""
    session, evse = bench.session(evse_id), evse_id or bench.evse_id
    await parking_bay_occupied(bench, evse_id)
    if session.connected:
        return
    was_started = session.started
    await bench.connect_ev(evse_id=evse, **ev)
    await bench.expect_status("Occupied", evse_id=evse)
    starts = "EVConnected" in bench.start_points or ("PowerPathClosed" in bench.start_points and session.authorized)
    if not (starts or was_started):
        if not session.authorized:
            await _no_event_yet(bench, evse)
        return
    event = await bench.expect_event(evse_id=evse)
    assert event["eventType"] == ("Updated" if was_started else "Started"), event
    assert event["triggerReason"] in {"CablePluggedIn", "ChargingStateChanged", "RemoteStart"}, event
    allowed = {"EVConnected", "SuspendedEVSE", "Charging"} if session.authorized else {"EVConnected"}
    assert event["transactionInfo"]["chargingState"] in allowed, event
    assert event["evse"] == {"id": evse, "connectorId": bench.connector_id}, event


async def authorized(
    bench: Bench,
    *,
    local: bool | None = None,
    evse_id: int | None = None,
    id_token: Payload | None = None,
    cached: bool = False,
) -> None:
    """Reusable state Authorized, local (A) or remote (B). `cached`: no AuthorizeRequest is to be expected."""
    session = bench.session(evse_id)
    if not session.connected:
        await parking_bay_occupied(bench, evse_id)
    session.id_token = dict(id_token if id_token is not None else VALID_TOKEN)
    since = len(bench.journal.frames)
    if bench.local if local is None else local:
        await _authorized_locally(bench, evse_id or bench.evse_id, cached=cached)
    else:
        await _authorized_remotely(bench, evse_id or bench.evse_id, cached=cached)
    if cached:
        _no_authorize(bench, since)
    session.authorized = True


async def _authorized_locally(bench: Bench, evse_id: int, *, cached: bool) -> None:
    session = bench.session(evse_id)
    was_started, since = session.started, len(bench.journal.frames)
    await bench.present(evse_id=evse_id)
    if bench.authorize_expected and not cached:
        await _expect_authorize(bench, session.id_token, since)
    if not _authorization_is_reported(bench, session, was_started):
        await _unreported(bench, evse_id)
        return
    event = await bench.expect_event(evse_id=evse_id)
    assert event["eventType"] == ("Updated" if was_started else "Started"), event
    assert event["triggerReason"] == "Authorized", event
    assert event["idToken"]["idToken"] == session.id_token["idToken"], event
    assert event["idToken"]["type"] == session.id_token["type"], event


async def _authorized_remotely(bench: Bench, evse_id: int, *, cached: bool) -> None:
    session = bench.session(evse_id)
    was_started, since = session.started, len(bench.journal.frames)
    session.remote = True
    session.remote_start_id += 1
    request: Payload = {"idToken": session.id_token, "remoteStartId": session.remote_start_id, "evseId": evse_id}
    await bench.note_action("remote-start", evse_id, session.id_token)
    answer = await bench.call("RequestStartTransaction", request)
    assert answer["status"] == "Accepted", answer
    if was_started:
        assert answer.get("transactionId") == session.transaction_id, answer
    authorize_expected = (await bench.get_variable("AuthCtrlr", "AuthorizeRemoteStart")) == "true" and not cached
    if authorize_expected:
        await _expect_authorize(bench, session.id_token, since)
    if not _authorization_is_reported(bench, session, was_started):
        await _unreported(bench, evse_id)
        return
    event = await bench.expect_event(evse_id=evse_id)
    if not authorize_expected:
        _no_authorize(bench, since)  # F01.FR.02
    assert event["eventType"] == ("Updated" if was_started else "Started"), event
    assert event["triggerReason"] == "RemoteStart", event
    assert event["transactionInfo"].get("remoteStartId") == session.remote_start_id, event
    assert event["idToken"]["idToken"] == session.id_token["idToken"], event
    assert event["idToken"]["type"] == session.id_token["type"], event


async def _expect_authorize(bench: Bench, id_token: Payload, since: int) -> None:
    """Expect an AuthorizeRequest for this id token, sent before any event of an authorization since `since`."""
    request = await bench.expect("Authorize")
    assert request["idToken"]["idToken"] == id_token["idToken"], request
    assert request["idToken"]["type"] == id_token["type"], request
    for frame in bench.journal.frames[since:]:
        if frame.from_station and frame.kind == 2 and frame.action == "Authorize":
            break
        is_event = frame.action == "TransactionEvent" and frame.from_station and frame.kind == 2
        early = {"Authorized", "RemoteStart", "StopAuthorized"}
        assert not is_event or frame.payload["triggerReason"] not in early, frame


def _no_authorize(bench: Bench, since: int) -> None:
    """No AuthorizeRequest in the journal since index `since`."""
    requests = [f for f in bench.journal.frames[since:] if f.from_station and f.kind == 2 and f.action == "Authorize"]
    assert requests == []


async def _unreported(bench: Bench, evse_id: int) -> None:
    """Without a cable, an authorization that no event reports; with one, events of the energy may follow soon."""
    if not bench.session(evse_id).connected:
        await _no_event_yet(bench, evse_id)


async def _no_event_yet(bench: Bench, evse_id: int) -> None:
    """No unread TransactionEvent of this EVSE, besides periodic ones."""
    other_transactions = {session.transaction_id for number, session in bench.sessions.items() if number != evse_id}

    def unexpected(event: Payload) -> bool:
        return (
            event["triggerReason"] not in PERIODIC
            and event["transactionInfo"]["transactionId"] not in other_transactions
        )

    await bench.silence("TransactionEvent", for_s=0.0, where=unexpected)


def _authorization_is_reported(bench: Bench, session: Session, was_started: bool) -> bool:
    starts = "Authorized" in bench.start_points or ("PowerPathClosed" in bench.start_points and session.connected)
    # The bay has started a transaction that is over; for the next one it is occupied already.
    starts_next = session.ended and session.bay_occupied and "ParkingBayOccupancy" in bench.start_points
    return starts or starts_next or was_started


async def energy_transfer_started(bench: Bench, *, evse_id: int | None = None, **ev: Any) -> None:
    """Reusable state EnergyTransferStarted: authorized, connected, and energy flows."""
    session, evse = bench.session(evse_id), evse_id or bench.evse_id
    if not session.authorized:
        await authorized(bench, evse_id=evse_id)
    if not session.connected:
        was_started = session.started
        await bench.connect_ev(evse_id=evse, **ev)
        await bench.expect_status("Occupied", evse_id=evse)
        if {"EVConnected", "PowerPathClosed"} & bench.start_points or was_started:
            event = await bench.expect_event(evse_id=evse)
            remote = session.remote and not was_started
            assert event["triggerReason"] == ("RemoteStart" if remote else "CablePluggedIn"), event
            assert event["transactionInfo"]["chargingState"] == "EVConnected", event
    event = await bench.expect_event(evse_id=evse)
    if event["eventType"] == "Started" and "DataSigned" in bench.start_points:
        # Step 5: the transaction starts with the first reading that is signed.
        allowed = {"SignedDataReceived", "RemoteStart"} if session.remote else {"SignedDataReceived"}
        assert event["triggerReason"] in allowed, event
        event = await bench.expect_event(evse_id=evse)
    if event["eventType"] == "Started" and event["transactionInfo"].get("chargingState") != "Charging":
        # Step 7: with PowerPathClosed as the start point the path closes before energy flows.
        assert "PowerPathClosed" in bench.start_points, event
        assert event["transactionInfo"]["chargingState"] == "SuspendedEVSE", event
        assert event["triggerReason"] == ("RemoteStart" if session.remote else "ChargingStateChanged"), event
        event = await bench.expect_event(evse_id=evse)
    first_after_remote_start = session.remote and event["eventType"] == "Started"
    assert event["triggerReason"] == ("RemoteStart" if first_after_remote_start else "ChargingStateChanged"), event
    assert event["transactionInfo"]["chargingState"] == "Charging", event
    session.charging = True


async def energy_transfer_suspended(bench: Bench, *, evse_id: int | None = None) -> None:
    """Reusable state EnergyTransferSuspended: the EV suspends the energy transfer."""
    session, evse = bench.session(evse_id), evse_id or bench.evse_id
    if not session.charging:
        await energy_transfer_started(bench, evse_id=evse_id)
    await bench.advance(_TRANSACTION_DURATION_S)
    await bench.station.vehicle(evse, state="suspend")
    session.charging = False
    if session.ended:
        return
    event = await bench.expect_event(evse_id=evse)
    assert event["eventType"] in {"Ended", "Updated"}, event
    assert event["transactionInfo"]["chargingState"] in {"EVConnected", "SuspendedEV"}, event
    if event["transactionInfo"]["chargingState"] == "SuspendedEV":
        assert event["triggerReason"] == "ChargingStateChanged", event
    if event["eventType"] == "Ended":
        assert event["transactionInfo"]["stoppedReason"] == "StoppedByEV", event


async def stop_authorized(
    bench: Bench,
    *,
    local: bool | None = None,
    evse_id: int | None = None,
    id_token: Payload | None = None,
    authorize_expected: bool = False,
) -> None:
    """Reusable state StopAuthorized, local (A: the same token) or remote (B); as clarified by the errata.

    `authorize_expected`: the token is another one, and the CSMS is asked whether it is of the same group.
    """
    session, evse = bench.session(evse_id), evse_id or bench.evse_id
    if not session.charging:
        await energy_transfer_started(bench, evse_id=evse_id)
    await bench.advance(_TRANSACTION_DURATION_S)
    locally, since = bench.local if local is None else local, len(bench.journal.frames)
    if locally:
        await bench.present(id_token, evse_id=evse)
        if authorize_expected:
            await _expect_authorize(bench, id_token or session.id_token, since)
    else:
        answer = await bench.call("RequestStopTransaction", {"transactionId": session.transaction_id})
        assert answer["status"] == "Accepted", answer
    expected, reasons = ("StopAuthorized", {"Local", None}) if locally else ("RemoteStop", {"Remote"})
    first = await bench.expect_event(evse_id=evse)
    assert first["triggerReason"] == expected, first
    if not authorize_expected:
        _no_authorize(bench, since)  # C01.FR.03
    if locally and "idToken" in first:
        token = id_token if id_token is not None else session.id_token
        assert first["idToken"]["idToken"] == token["idToken"], first
        assert first["idToken"]["type"] == token["type"], first
    last = first
    if first["eventType"] != "Ended" and first["transactionInfo"].get("chargingState") == "Charging":
        last = await bench.expect_event(evse_id=evse)
        assert last["triggerReason"] == "ChargingStateChanged", last
        assert last["transactionInfo"]["chargingState"] == "EVConnected", last
    if {"Authorized", "PowerPathClosed", "EnergyTransfer"} & bench.stop_points:
        assert last["eventType"] == "Ended", last
        assert last["transactionInfo"].get("stoppedReason") in reasons, last
    else:
        assert first["eventType"] == "Updated", first
        assert last["eventType"] == "Updated", last
    session.charging, session.authorized, session.stop_authorized = False, False, True


async def deauthorized(bench: Bench, *, evse_id: int | None = None) -> None:
    """Reusable state Deauthorized (errata): the CSMS does not accept the token of the session, which is authorized.

    The case lets the CSMS know that before it executes Authorized.
    """
    session, evse = bench.session(evse_id), evse_id or bench.evse_id
    if not session.events or "idToken" not in session.events[-1]:
        await bench.connect_ev(evse_id=evse)
        await bench.expect_status("Occupied", evse_id=evse)
        event = await bench.expect_event(evse_id=evse)
    else:
        event = session.events[-1]
    assert event["idToken"]["idToken"] == session.id_token["idToken"], event
    assert event["idToken"]["type"] == session.id_token["type"], event
    if await bench.get_variable("TxCtrlr", "StopTxOnInvalidId") == "true":
        event = await bench.expect_event(evse_id=evse)
        assert event["triggerReason"] == "Deauthorized", event
        assert event["transactionInfo"]["chargingState"] in {"EVConnected", "SuspendedEVSE"}, event
        if {"Authorized", "PowerPathClosed", "EnergyTransfer"} & bench.stop_points:
            assert event["eventType"] == "Ended", event
            assert event["transactionInfo"]["stoppedReason"] == "DeAuthorized", event
        else:
            assert event["eventType"] == "Updated", event
    if not bench.setup.attached_cable:
        place = {"evseId": evse, "connectorId": bench.connector_id}
        answer = await bench.call("UnlockConnector", place)
        assert answer["status"] == "Unlocked", answer
        if session.started:
            event = await bench.expect_event(evse_id=evse)
            assert event["triggerReason"] == "UnlockCommand", event  # E02.FR.17
    session.authorized, session.charging, session.stop_authorized, session.post_session = False, False, True, True


async def ev_connected_post_session(bench: Bench, *, evse_id: int | None = None) -> None:
    """Reusable state EVConnectedPostSession: energy has stopped and does not come back without authorization."""
    session, evse = bench.session(evse_id), evse_id or bench.evse_id
    if not session.stop_authorized:
        await stop_authorized(bench, evse_id=evse_id)
    if session.started and session.events[-1]["transactionInfo"].get("chargingState") != "EVConnected":
        event = await bench.expect_event(evse_id=evse)
        assert event["triggerReason"] == "ChargingStateChanged", event
        assert event["transactionInfo"]["chargingState"] == "EVConnected", event
    session.post_session = True


async def ev_disconnected(bench: Bench, *, evse_id: int | None = None, status: str | None = "Available") -> None:
    """Reusable state EVDisconnected, after the session was authorized to stop.

    `status` is another one where an order to go out of service waits for the end (G01.FR.05), or None where that
    has come into force before.
    """
    session, evse = bench.session(evse_id), evse_id or bench.evse_id
    if not session.post_session:
        await ev_connected_post_session(bench, evse_id=evse_id)
    await bench.disconnect_ev(evse_id=evse)
    if status is not None:
        await bench.expect_status(status, evse_id=evse)
    if session.started:
        event = await bench.expect_event(evse_id=evse)
        assert event["triggerReason"] == "EVCommunicationLost", event
        assert event["transactionInfo"]["chargingState"] == "Idle", event
        assert event["eventType"] == "Ended" or "EVConnected" not in bench.stop_points, event


async def parking_bay_unoccupied(bench: Bench, *, evse_id: int | None = None) -> None:
    """Reusable state ParkingBayUnoccupied: the EV has left, after a session."""
    session, evse = bench.session(evse_id), evse_id or bench.evse_id
    if session.connected or session.authorized:
        await ev_disconnected(bench, evse_id=evse_id)
    if session.bay_occupied:
        await bench.station.parking_bay(evse, occupied=False)
        if session.started:
            event = await bench.expect_event(evse_id=evse)
            assert event["triggerReason"] == "EVDeparted", event
            assert event["eventType"] == "Ended", event
            reason = "Remote" if not bench.local else "Local"
            assert event["transactionInfo"].get("stoppedReason") == reason, event
    bench.new_session(evse_id)


async def start_offline_transaction(bench: Bench, *, evse_id: int | None = None) -> None:
    """Reusable state StartOfflineTransaction: a session begins while the link is down; then the link is back."""
    evse = evse_id or bench.evse_id
    await bench.go_offline()
    if "ParkingBayOccupancy" in bench.start_points | bench.stop_points:
        await bench.station.parking_bay(evse, occupied=True)
        bench.session(evse_id).bay_occupied = True
    await bench.present(evse_id=evse)
    await bench.connect_ev(evse_id=evse)
    await bench.advance(10.0)
    await bench.accept_reconnect()


# Certificates


async def get_installed_certificates(
    bench: Bench, certificate_type: str, expected: Payload | None = None
) -> list[Payload]:
    """Reusable state GetInstalledCertificates; `expected`: certificateHashData that must be among them."""
    answer = await bench.call("GetInstalledCertificateIds", {"certificateType": [certificate_type]})
    assert answer["status"] == "Accepted", answer
    chains: list[Payload] = answer["certificateHashDataChain"]
    assert all(chain["certificateType"] == certificate_type for chain in chains), chains
    if expected is not None:
        assert any(chain["certificateHashData"] == expected for chain in chains), (expected, chains)
    return chains


async def certificate_installed(bench: Bench, certificate_type: str, certificate: Issued | str) -> None:
    """Memory state CertificateInstalled."""
    pem = certificate if isinstance(certificate, str) else certificate.pem
    answer = await bench.call("InstallCertificate", {"certificateType": certificate_type, "certificate": pem})
    assert answer["status"] == "Accepted", answer


async def renew_charging_station_certificate(
    bench: Bench, *, issuer: Issued | None = None, reconnects: bool = True
) -> str:
    """Memory state RenewChargingStationCertificate (A02/A03); returns the new certificate, PEM.

    `reconnects`: the station reconnects with the new certificate (security profile 3).
    """
    before = bench.csms.connection
    answer = await bench.call("TriggerMessage", {"requestedMessage": "SignChargingStationCertificate"})
    assert answer["status"] == "Accepted", answer
    request = await bench.expect("SignCertificate")
    assert request.get("certificateType", "ChargingStationCertificate") == "ChargingStationCertificate", request
    check_csr(request["csr"])
    certificate = bench.pki.sign_csr(request["csr"], issuer=issuer)
    signed: Payload = {"certificateChain": certificate, "certificateType": "ChargingStationCertificate"}
    answer = await bench.call("CertificateSigned", signed)
    assert answer["status"] == "Accepted", answer
    waited_s = 0.0
    while bench.csms.connection == before and waited_s < 30.0:
        await bench.advance(1.0)
        waited_s += 1.0
    if bench.csms.connection == before:
        bench.csms.drop()
    await bench.until(lambda: bench.csms.connection != before, within_s=120.0, why="no reconnect")
    if reconnects:
        check_client_certificate(bench, certificate)
    return certificate


def check_client_certificate(bench: Bench, certificate: str) -> None:
    """The station has connected with this certificate (PEM)."""
    der = bench.csms.client_certificates[-1]
    assert der is not None, "the station did not show a certificate"
    assert x509.load_der_x509_certificate(der) == x509.load_pem_x509_certificate(certificate.encode()), (
        "the station did not connect with the new certificate"
    )


def check_csr(pem: str) -> x509.CertificateSigningRequest:
    """A CSR as Part 6 wants it: PEM of RFC 2986, RSA of 2048 bits or a curve of 224 at least, signed by its key."""
    assert pem.startswith("-----BEGIN CERTIFICATE REQUEST-----"), pem
    csr = x509.load_pem_x509_csr(pem.encode())
    assert csr.is_signature_valid
    key = csr.public_key()
    assert (isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048) or (
        isinstance(key, ec.EllipticCurvePublicKey) and key.key_size >= 224
    )
    return csr


# Firmware


async def reboot_before_firmware_activation(bench: Bench, request_id: int) -> Payload:
    """Reusable state RebootBeforeFirmwareActivation of an update; returns the BootNotification."""
    notification = await bench.expect("FirmwareStatusNotification", within_s=60.0)
    assert notification == {"status": "InstallRebooting", "requestId": request_id}, notification
    boot = await bench.expect("BootNotification", within_s=180.0)
    boots_first(bench)
    assert boot["reason"] == "FirmwareUpdate", boot
    notifications = bench.journal.sent("FirmwareStatusNotification")
    rebooting = next(frame for frame in reversed(notifications) if frame.payload["status"] == "InstallRebooting")
    assert rebooting.connection < bench.journal.sent("BootNotification")[-1].connection, "sent after the reboot"
    await bench.expect_all_statuses("Available")
    await startup_is_notified(bench)
    return boot


# Memory


async def transaction_events_in_queue_ended(bench: Bench) -> None:
    """Memory state TransactionEventsInQueueEnded: a whole transaction took place offline; then the link is back."""
    await bench.configure("AuthCtrlr", "OfflineTxForUnknownIdEnabled", "true")
    await id_token_cached(bench)
    await bench.go_offline()
    if "ParkingBayOccupancy" in bench.start_points | bench.stop_points:
        await bench.station.parking_bay(bench.evse_id, occupied=True)
    await bench.connect_ev()
    await bench.present()
    await bench.advance(20.0)
    await bench.present()
    await bench.advance(20.0)
    await bench.disconnect_ev()
    if "ParkingBayOccupancy" in bench.start_points | bench.stop_points:
        await bench.station.parking_bay(bench.evse_id, occupied=False)
    await bench.settle()
    bench.new_session()
    await bench.accept_reconnect()


async def id_token_cached(bench: Bench, id_token: Payload | None = None, *, evse_id: int | None = None) -> None:
    """Memory state IdTokenCached: a whole local session, so that the answers fill the cache; or only the refusal."""
    await parking_bay_occupied(bench, evse_id)
    token = id_token if id_token is not None else VALID_TOKEN
    if bench.csms.info_of(token)["status"] != "Accepted":
        bench.session(evse_id).id_token = dict(token)
        since = len(bench.journal.frames)
        await bench.present(token, evse_id=evse_id)
        await _expect_authorize(bench, dict(token), since)
        await bench.settle()
        bench.new_session(evse_id)
        return
    await authorized(bench, local=True, evse_id=evse_id, id_token=token)
    await ev_connected_pre_session(bench, evse_id)
    await energy_transfer_started(bench, evse_id=evse_id)
    await stop_authorized(bench, local=True, evse_id=evse_id)
    await ev_disconnected(bench, evse_id=evse_id)
    await parking_bay_unoccupied(bench, evse_id=evse_id)


async def id_token_local_auth_list(
    bench: Bench, id_token: Payload | None = None, status: str = "Accepted", *, version: int = 1
) -> None:
    """Memory state IdTokenLocalAuthList (errata 6.2.121): this is the only token of the list."""
    await bench.configure("LocalAuthListCtrlr", "Enabled", "true")
    entry: Payload = {"idToken": id_token or VALID_TOKEN, "idTokenInfo": {"status": status}}
    request: Payload = {"updateType": "Full", "versionNumber": version, "localAuthorizationList": [entry]}
    answer = await bench.call("SendLocalList", request)
    assert answer["status"] == "Accepted", answer


async def set_charging_profile(bench: Bench, profile: Payload, *, evse_id: int | None = None) -> None:
    """Memory state SetChargingProfile; on the EVSE of the bench, or another, or (0) on the station."""
    evse = bench.evse_id if evse_id is None else evse_id
    answer = await bench.call("SetChargingProfile", {"evseId": evse, "chargingProfile": profile})
    assert answer["status"] == "Accepted", answer
