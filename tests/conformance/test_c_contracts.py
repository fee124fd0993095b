"""Block C, authorization by contract certificates (ISO 15118 Support): online, offline, validated by either side."""

from __future__ import annotations

import pytest

from tests.conformance import states, states_15118
from tests.conformance.bench import Bench
from tests.conformance.cases import case
from tests.conformance.frames import Payload
from tests.conformance.states_15118 import communicating
from tests.conformance.v2g import CONTRACT_TOKEN, EMAID, V2g

_REFUSED_S = 30.0
"""time in which a refused vehicle would have begun to charge"""


async def _does_not_charge(bench: Bench) -> None:
    """Post scenario validation: the EV is not authorized and shall not charge."""
    await bench.advance(_REFUSED_S)
    events = [frame.payload for frame in bench.journal.sent("TransactionEvent")]
    transaction_id = bench.session().transaction_id
    own = [event for event in events if event["transactionInfo"]["transactionId"] == transaction_id]
    assert all(event["triggerReason"] != "Authorized" for event in own), own
    assert all(event["transactionInfo"].get("chargingState") != "Charging" for event in own), own
    assert max((await bench.station.get(f"/api/sim/evses/{bench.evse_id}/circuit"))["currents_a"]) == 0.0


def _answer(bench: Bench, status: str, certificate_status: str) -> None:
    bench.on("Authorize", {"idTokenInfo": {"status": status}, "certificateStatus": certificate_status})


async def _connected(bench: Bench, v2g: V2g) -> Payload:
    """State is EVConnectedPreSession, with a vehicle that presents its contract; returns the contract."""
    contract = v2g.contract()
    await states_15118.ev_connected_pre_session(bench, contract=contract, contract_only=True)
    return contract


@pytest.mark.smoke
@case("ISO 15118 Support", "M")
@communicating
async def test_tc_c_50_cs(bench: Bench) -> None:
    """Authorization using Contract Certificates 15118 - Online - Local contract certificate validation - Accepted

    Its text is damaged: the steps are those of TC_C_52_CS, step 1 is validated as that of TC_C_51_CS.
    """
    v2g = V2g()
    await states.authorization_on(bench)
    await states_15118.iso15118_configured(
        bench,
        CentralContractValidationAllowed=False,
        ContractCertificateInstallationEnabled=True,
        V2GCertificateInstallationEnabled=True,
        PnCEnabled=True,
    )
    await states_15118.certificates_prepared(bench, v2g)
    _answer(bench, "Accepted", "Accepted")
    await _connected(bench, v2g)
    request = await states_15118.authorized15118(bench, contract=True)
    assert request["idToken"]["type"] == "eMAID", request
    assert request["iso15118CertificateHashData"], request
    await bench.expect("NotifyEVChargingNeeds", within_s=60.0)
    await states.energy_transfer_started(bench)
    bench.take("NotifyEVChargingSchedule")


@case("ISO 15118 Support", "M")
@communicating
async def test_tc_c_51_cs(bench: Bench) -> None:
    """Authorization using Contract Certificates 15118 - Online - Local contract certificate validation - Rejected"""
    v2g = V2g()
    await states.authorization_on(bench)
    await states_15118.iso15118_configured(bench, CentralContractValidationAllowed=False, PnCEnabled=True)
    await states_15118.certificates_prepared(bench, v2g)
    _answer(bench, "Invalid", "ContractCancelled")
    await _connected(bench, v2g)
    request = await states_15118.authorized15118(bench, contract=True, status="Invalid")
    assert request["idToken"]["type"] == "eMAID", request
    assert request["iso15118CertificateHashData"], request
    await _does_not_charge(bench)


@case("ISO 15118 Support", "C", "ISO-5")
@communicating
async def test_tc_c_52_cs(bench: Bench) -> None:
    """Authorization using Contract Certificates 15118 - Online - Central contract certificate validation - Accepted"""
    v2g = V2g()
    await states.authorization_on(bench)
    await states_15118.iso15118_configured(
        bench,
        CentralContractValidationAllowed=True,
        ContractCertificateInstallationEnabled=True,
        V2GCertificateInstallationEnabled=True,
        PnCEnabled=True,
    )
    await states_15118.certificates_prepared(bench, v2g, mo=False)
    _answer(bench, "Accepted", "Accepted")
    contract = await _connected(bench, v2g)
    request = await states_15118.authorized15118(bench, contract=True)
    assert request["idToken"]["type"] == "eMAID", request
    assert request["certificate"] == contract["chain"], request
    await bench.expect("NotifyEVChargingNeeds", within_s=60.0)
    await states.energy_transfer_started(bench)
    bench.take("NotifyEVChargingSchedule")


@case("ISO 15118 Support", "C", "ISO-5")
@communicating
async def test_tc_c_53_cs(bench: Bench) -> None:
    """Authorization using Contract Certificates 15118 - Online - Central contract validation fails"""
    v2g = V2g()
    await states.authorization_on(bench)
    await states_15118.iso15118_configured(bench, CentralContractValidationAllowed=True, PnCEnabled=True)
    await states_15118.certificates_prepared(bench, v2g, mo=False)
    _answer(bench, "Invalid", "CertificateRevoked")
    contract = await _connected(bench, v2g)
    request = await states_15118.authorized15118(bench, contract=True, status="Invalid")
    assert request["idToken"]["type"] == "eMAID", request
    assert request["certificate"] == contract["chain"], request
    await _does_not_charge(bench)


async def _id_token_cached15118(bench: Bench, v2g: V2g) -> Payload:
    """Memory state IdTokenCached15118 (errata 6.2.120): a whole session with the contract; returns the contract."""
    contract = await _connected(bench, v2g)
    await states_15118.authorized15118(bench, contract=True)
    await bench.expect("NotifyEVChargingNeeds", within_s=60.0)
    await states.energy_transfer_started(bench)
    bench.take("NotifyEVChargingSchedule")
    await states.stop_authorized(bench, local=False)
    await states.ev_disconnected(bench)
    await states.parking_bay_unoccupied(bench)
    bench.new_session()
    return contract


async def _offline(bench: Bench, v2g: V2g, *, validates: bool) -> None:
    """The configuration and memory states of TC_C_54_CS and TC_C_55_CS, then their steps 1 to 6."""
    await states.authorization_on(bench)
    await bench.configure("AuthCacheCtrlr", "Enabled", "true")
    await bench.configure("AuthCtrlr", "OfflineTxForUnknownIdEnabled", str(validates).lower())
    await bench.configure("OCPPCommCtrlr", "RetryBackOffWaitMinimum", "20")
    await bench.configure("OCPPCommCtrlr", "RetryBackOffRandomRange", "0")
    await bench.configure("OCPPCommCtrlr", "OfflineThreshold", "80")
    await states_15118.iso15118_configured(bench, ContractValidationOffline=validates, PnCEnabled=True)
    await states_15118.certificates_prepared(bench, v2g)
    contract = await _id_token_cached15118(bench, v2g)
    await states.id_token_local_auth_list(bench, CONTRACT_TOKEN)
    await bench.go_offline()
    if "ParkingBayOccupancy" in bench.start_points | bench.stop_points:
        await bench.station.parking_bay(bench.evse_id, occupied=True)
    await bench.connect_ev(iso15118={"contract": contract, "contract_only": True})
    await bench.advance(15.0)
    await bench.accept_reconnect()
    await bench.expect_status("Occupied")
    event = await bench.expect_event()
    assert event["triggerReason"] == "CablePluggedIn", event
    assert event["transactionInfo"]["chargingState"] == "EVConnected", event
    assert event["offline"] is True, event


@case("ISO 15118 Support", "M")
@communicating
async def test_tc_c_54_cs(bench: Bench) -> None:
    """Authorization using Contract Certificates 15118 - Offline - ContractValidationOffline is true"""
    await _offline(bench, V2g(), validates=True)
    event = await bench.expect_event()
    assert event["triggerReason"] == "Authorized", event
    assert event["offline"] is True, event
    assert event["idToken"]["idToken"] == EMAID, event
    bench.session().authorized = True
    await states.energy_transfer_started(bench)
    bench.take("NotifyEVChargingSchedule")


@case("ISO 15118 Support", "M")
@communicating
async def test_tc_c_55_cs(bench: Bench) -> None:
    """Authorization using Contract Certificates 15118 - Offline - ContractValidationOffline is false"""
    await _offline(bench, V2g(), validates=False)
    await _does_not_charge(bench)
    charging = {"Authorized", "ChargingStateChanged"}
    own = [event for event in bench.session().events if event["triggerReason"] in charging]
    assert own == []
