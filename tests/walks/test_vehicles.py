"""Vehicles that communicate, end to end: sessions, contracts, schedules, faults, and links that are lost."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509 import load_pem_x509_certificates
from msgspec.structs import replace

from simulator.communication_model import CommunicationFault, CommunicationModel
from simulator.evcc import SimulatedEvcc
from simulator.pki.v2g_pki import TestPki
from simulator.secc import SimulatedSecc
from station.charging.vehicle_state import Communication
from station.configuration.network_tables import PageConfig
from station.core.model import ChargingState, IdToken
from station.core.vehicle_link import (
    AuthorizationOrder,
    AuthorizationRequested,
    CertificateAction,
    CertificateResponse,
    ChargeProgress,
    Contract,
    CurrentLimit,
    PowerDelivery,
    RejectionReason,
    ScheduleOffer,
    SessionStarted,
    StopCharging,
)
from station.display.display_message import MAIN_DISPLAY
from station.display.display_screens import DisplayScreens
from station.interfaces.access.visitor_view import status_for
from station.security.access.accounts import Role
from station.security.certificates.certificate_checks import hash_of
from tests.csms import NO_ANSWER, Csms
from tests.loop_turns import measured_turns
from tests.walk import CARD, Walk, walking
from tests.walks.house import GRID, House
from tests.walks.visit import visiting

SECC: dict[str, Any] = {"evse": [{"secc": {"type": "simulated"}}]}
CHARGING = ChargingState.CHARGING
CONTRACT = "FRBRNC00000001X"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    return TestPki.create(tmp_path_factory.mktemp("pki"))


def answer_with(csms: Csms, action: str, answer: dict[str, Any]) -> None:
    csms.answers[action] = lambda _: answer


def secc_of(walk: Walk) -> SimulatedSecc:
    assert walk.board.secc is not None
    return walk.board.secc


def evcc_of(walk: Walk) -> SimulatedEvcc:
    evcc = secc_of(walk).evcc
    assert evcc is not None
    return evcc


def communication(walk: Walk) -> Communication:
    return walk.evse.state.vehicle.communication


async def install_roots(walk: Walk, pki: TestPki, *names: str) -> None:
    """The CSMS installs the roots of V2G and mobility operator."""
    kinds = {"v2g-root": "V2GRootCertificate", "mo-root": "MORootCertificate"}
    for name in names or kinds:
        certificate = pki.authorities[name].pem
        answer = await walk.csms.call(
            "InstallCertificate", {"certificateType": kinds[name], "certificate": certificate}
        )
        assert answer == {"status": "Accepted"}


async def set_iso15118(walk: Walk, variable: str, value: str) -> None:
    item = {
        "component": {"name": "ISO15118Ctrlr", "evse": {"id": 1}},
        "variable": {"name": variable},
        "attributeValue": value,
    }
    answer = await walk.csms.call("SetVariables", {"setVariableData": [item]})
    assert answer["setVariableResult"][0]["attributeStatus"] == "Accepted", answer


async def plug_with_contract(walk: Walk, pki: TestPki, name: str = "valid", **model: Any) -> None:
    await walk.plug(communication=CommunicationModel(contract=pki.contract(name), **model))


async def charging(walk: Walk) -> None:
    await walk.until(lambda: walk.evse.state.charging_state is CHARGING and sum(walk.board.currents_a) > 1.0)


async def test_a_vehicle_with_a_contract_charges_without_a_card(tmp_path: Path, pki: TestPki) -> None:
    async with walking(tmp_path, **SECC) as walk:
        await walk.accepted()
        await install_roots(walk, pki)
        await plug_with_contract(walk, pki)
        await charging(walk)
        assert communication(walk) is Communication.SESSION
        (authorize,) = walk.csms.received("Authorize")
        assert authorize["idToken"] == {"idToken": CONTRACT, "type": "eMAID"}
        assert len(authorize["iso15118CertificateHashData"]) == 3
        assert walk.csms.received("NotifyEVChargingNeeds")
        await walk.until(lambda: sum(walk.board.currents_a) > 90)


async def test_a_vehicle_without_communication_charges_after_the_time_for_matching(tmp_path: Path) -> None:
    async with walking(tmp_path, **SECC) as walk:
        await walk.accepted()
        await walk.plug()
        await walk.present()
        assert communication(walk) is Communication.EXPECTED
        assert walk.board.outputs.pilot_digital
        await walk.advance(21)
        assert communication(walk) is Communication.RESTARTING
        assert walk.board.outputs.pilot_fault
        await walk.advance(4)
        assert communication(walk) is Communication.BASIC
        await charging(walk)
        assert [event["eventType"] for event in walk.events()].count("Started") == 1


async def test_a_card_authorizes_a_vehicle_that_communicates(tmp_path: Path) -> None:
    async with walking(tmp_path, **SECC) as walk:
        await walk.accepted()
        await walk.plug(communication=CommunicationModel())
        await walk.advance(5)
        assert walk.evse.state.charging_state is ChargingState.EV_CONNECTED
        await walk.present()
        await charging(walk)
        assert communication(walk) is Communication.SESSION


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("expired", RejectionReason.EXPIRED),
        ("not-yet-valid", RejectionReason.NOT_YET_VALID),
        ("wrong-chain", RejectionReason.CHAIN),
    ],
)
async def test_a_contract_that_is_not_valid_is_refused_here(
    tmp_path: Path, pki: TestPki, name: str, reason: RejectionReason
) -> None:
    async with walking(tmp_path, **SECC) as walk:
        await walk.accepted()
        await install_roots(walk, pki)
        await plug_with_contract(walk, pki, name)
        await walk.until(lambda: rejected_for(walk) == reason)
        assert walk.csms.received("Authorize") == []
        await walk.advance(60)
        assert sum(walk.board.currents_a) == 0.0
        await walk.present()  # a card still helps
        await charging(walk)


def rejected_for(walk: Walk) -> RejectionReason | None:
    """Why the vehicle was rejected last; None: it was not."""
    reasons = [order.reason for order in secc_of(walk).orders if isinstance(order, AuthorizationOrder) and order.reason]
    return reasons[-1] if reasons else None


async def test_a_contract_that_the_csms_refuses_charges_nothing(tmp_path: Path, pki: TestPki) -> None:
    csms = Csms()
    answer_with(csms, "Authorize", {"idTokenInfo": {"status": "Invalid"}, "certificateStatus": "CertificateRevoked"})
    async with walking(tmp_path, csms, **SECC) as walk:
        await walk.accepted()
        await install_roots(walk, pki)
        await plug_with_contract(walk, pki, "revoked", contract_only=True)
        await walk.until(lambda: rejected_for(walk) is RejectionReason.REVOKED)
        await walk.advance(120)
        assert sum(walk.board.currents_a) == 0.0
        assert walk.evse.state.authorization is None


async def test_an_accepted_token_with_a_bad_certificate_is_refused(tmp_path: Path, pki: TestPki) -> None:
    csms = Csms()
    answer_with(csms, "Authorize", {"idTokenInfo": {"status": "Accepted"}, "certificateStatus": "CertChainError"})
    async with walking(tmp_path, csms, **SECC) as walk:
        await walk.accepted()
        await install_roots(walk, pki)
        await plug_with_contract(walk, pki, contract_only=True)
        await walk.until(lambda: rejected_for(walk) is RejectionReason.CHAIN)
        assert walk.evse.state.authorization is None


async def test_plug_and_charge_that_is_off_is_not_offered(tmp_path: Path, pki: TestPki) -> None:
    async with walking(tmp_path, **SECC) as walk:
        await walk.accepted()
        await install_roots(walk, pki)
        await set_iso15118(walk, "PnCEnabled", "false")
        await plug_with_contract(walk, pki)
        await walk.advance(10)
        assert walk.csms.received("Authorize") == []
        await walk.present()
        await charging(walk)


async def test_a_rejected_signing_request_switches_plug_and_charge_off(tmp_path: Path) -> None:
    """A02.FR.21."""
    csms = Csms()
    answer_with(csms, "SignCertificate", {"status": "Rejected"})
    async with walking(tmp_path, csms, **SECC) as walk:
        await walk.accepted()
        request = {"requestedMessage": "SignV2GCertificate", "evse": {"id": 1}}
        assert await walk.csms.call("TriggerMessage", request) == {"status": "Accepted"}
        await walk.until(lambda: walk.csms.received("SignCertificate"))
        await walk.settle()
        item = {"component": {"name": "ISO15118Ctrlr", "evse": {"id": 1}}, "variable": {"name": "PnCEnabled"}}
        answer = await walk.csms.call("GetVariables", {"getVariableData": [item]})
        assert answer["getVariableResult"][0]["attributeValue"] == "false"


async def test_a_lost_link_ends_no_charge_and_comes_back_for_the_next_vehicle(tmp_path: Path) -> None:
    async with walking(tmp_path, **SECC) as walk:
        await walk.accepted()
        await walk.plug(communication=CommunicationModel())
        await walk.present()
        await charging(walk)
        before_wh = walk.board.counted_wh
        secc_of(walk).stop()
        await walk.settle()
        assert communication(walk) is Communication.BASIC
        assert not walk.board.outputs.pilot_digital
        await charging(walk)
        await walk.advance(60)
        assert walk.board.counted_wh > before_wh
        assert [event["eventType"] for event in walk.events()].count("Started") == 1
        assert walk.evse.state.transaction is not None
        secc_of(walk).start()
        await walk.advance(70)
        assert communication(walk) is Communication.BASIC  # until it is unplugged
        await walk.present()
        await walk.until(lambda: walk.evse.state.transaction is None)
        await walk.unplug()
        await walk.plug(communication=CommunicationModel())
        await walk.present()
        await charging(walk)
        assert communication(walk) is Communication.SESSION


async def test_a_session_that_breaks_off_during_a_charge_leaves_it_going(tmp_path: Path) -> None:
    async with walking(tmp_path, **SECC) as walk:
        await walk.accepted()
        faults = frozenset({CommunicationFault.FAILS_DURING_CHARGE})
        await walk.plug(communication=CommunicationModel(faults=faults))
        await walk.present()
        await charging(walk)
        await walk.until(lambda: communication(walk) is Communication.BASIC)
        await charging(walk)
        assert [event["eventType"] for event in walk.events()].count("Started") == 1


async def test_a_silent_vehicle_gets_no_energy_and_may_be_charged_by_a_card_after_a_new_plug(tmp_path: Path) -> None:
    async with walking(tmp_path, **SECC) as walk:
        await walk.accepted()
        await walk.plug(communication=CommunicationModel(faults=frozenset({CommunicationFault.SILENT})))
        await walk.present()
        await walk.advance(30)
        assert sum(walk.board.currents_a) == 0.0
        await walk.present()
        await walk.until(lambda: walk.evse.state.transaction is None)
        await walk.unplug()
        await walk.plug()
        await walk.present()
        await walk.advance(30)
        await charging(walk)


async def test_a_vehicle_that_wants_energy_before_it_is_authorized_gets_none(tmp_path: Path) -> None:
    async with walking(tmp_path, **SECC) as walk:
        await walk.accepted()
        await walk.plug(communication=CommunicationModel(faults=frozenset({CommunicationFault.WRONG_ORDER})))
        await walk.advance(30)
        assert not walk.board.outputs.contactor
        assert sum(walk.board.currents_a) == 0.0


async def test_a_vehicle_pauses_and_resumes_within_one_transaction(tmp_path: Path) -> None:
    async with walking(tmp_path, **SECC) as walk:
        await walk.accepted()
        model = CommunicationModel(pause_after_s=20.0, resume_after_s=30.0, energy_wh=22_000.0)
        await walk.plug(communication=model)
        await walk.present()
        await charging(walk)
        await walk.until(lambda: communication(walk) is Communication.PAUSED)
        needs = walk.evse.vehicle_details.current.needs
        assert needs is not None
        assert needs.energy_wh == 22_000.0, "a vehicle that sleeps still wants it"
        assert not walk.board.outputs.contactor
        assert walk.evse.state.charging_state is ChargingState.SUSPENDED_EV
        await charging(walk)
        assert communication(walk) is Communication.SESSION
        assert [event["eventType"] for event in walk.events()].count("Started") == 1
        assert walk.csms.received("Authorize") == walk.csms.received("Authorize")[:1]


async def test_a_vehicle_that_sleeps_is_woken_when_there_is_energy_again(tmp_path: Path) -> None:
    async with walking(tmp_path, **SECC) as walk:
        await walk.accepted()
        await walk.plug(communication=CommunicationModel())
        await walk.present()
        await charging(walk)
        evcc_of(walk).pause()
        await walk.until(lambda: communication(walk) is Communication.PAUSED)
        profile = {
            "id": 1, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile", "chargingProfileKind": "Relative",
            "chargingSchedule": [
                {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 0.0}]}
            ],
        }  # fmt: skip
        assert await walk.csms.call("SetChargingProfile", {"evseId": 1, "chargingProfile": profile}) == {
            "status": "Accepted"
        }
        await walk.advance(10)
        assert not walk.board.outputs.pilot_digital
        assert await walk.csms.call("ClearChargingProfile", {"chargingProfileId": 1}) == {"status": "Accepted"}
        await charging(walk)
        assert communication(walk) is Communication.SESSION


async def test_the_limit_reaches_the_vehicle_within_one_message(tmp_path: Path) -> None:
    async with walking(tmp_path, grid=GRID, **SECC) as walk:
        house = House(walk)
        await walk.accepted()
        await house.live(3)
        await walk.plug(communication=CommunicationModel())
        await walk.present()
        await house.live(40)
        assert walk.evse.offered_a == 32.0
        house.loads_a = (26.0, 4.0, 4.0)
        await house.live(3)
        limits = [order.current_a for order in secc_of(walk).orders if isinstance(order, CurrentLimit)]
        assert limits[-1] == pytest.approx(13.0)
        await house.live(1)
        assert max(walk.board.currents_a) == pytest.approx(13.0)


async def test_a_vehicle_that_ignores_its_limit_is_stopped(tmp_path: Path) -> None:
    async with walking(tmp_path, **SECC) as walk:
        await walk.accepted()
        await walk.plug(communication=CommunicationModel(faults=frozenset({CommunicationFault.IGNORES_LIMIT})))
        await walk.present()
        await charging(walk)
        profile = {
            "id": 1, "stackLevel": 0, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Relative",
            "transactionId": walk.evse.transaction_id,
            "chargingSchedule": [
                {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 8.0}]}
            ],
        }  # fmt: skip
        await walk.csms.call("SetChargingProfile", {"evseId": 1, "chargingProfile": profile})
        await walk.until(lambda: walk.evse.state.transaction is None, within_s=120)
        assert sum(walk.board.currents_a) == 0.0


async def test_a_profile_before_the_needs_is_refused(tmp_path: Path) -> None:
    """K15.FR.17."""
    async with walking(tmp_path, **SECC) as walk:
        await walk.accepted()
        await walk.plug(communication=CommunicationModel(faults=frozenset({CommunicationFault.LATE})))
        await walk.present()
        await walk.until(lambda: walk.evse.transaction_id is not None)
        await walk.advance(3)
        profile = {
            "id": 1, "stackLevel": 0, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Relative",
            "transactionId": walk.evse.transaction_id,
            "chargingSchedule": [
                {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 8.0}]}
            ],
        }  # fmt: skip
        answer = await walk.csms.call("SetChargingProfile", {"evseId": 1, "chargingProfile": profile})
        assert answer["status"] == "Rejected"
        assert answer["statusInfo"]["reasonCode"] == "InvalidMessageSeq"


async def test_a_vehicle_chooses_one_of_three_schedules(tmp_path: Path) -> None:
    """K15.FR.07, K15.FR.19, K15.FR.22."""
    csms = Csms()
    answer_with(csms, "NotifyEVChargingNeeds", {"status": "Accepted"})
    async with walking(tmp_path, csms, **SECC) as walk:
        await walk.accepted()
        await walk.plug(communication=CommunicationModel(schedule=2))
        await walk.present()
        await walk.until(lambda: walk.csms.received("NotifyEVChargingNeeds"))
        schedules = [
            {"id": 10 + n, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}]}
            for n, limit in enumerate((8.0, 12.0, 16.0))
        ]
        profile = {
            "id": 1, "stackLevel": 0, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Relative",
            "transactionId": walk.evse.transaction_id, "chargingSchedule": schedules,
        }  # fmt: skip
        answer = await walk.csms.call("SetChargingProfile", {"evseId": 1, "chargingProfile": profile})
        assert answer == {"status": "Accepted"}
        await charging(walk)
        await walk.advance(5)
        (offer,) = [order for order in secc_of(walk).orders if isinstance(order, ScheduleOffer)]
        assert [each.periods[0].power_w for each in offer.tuples] == [8 * 690.0, 12 * 690.0, 16 * 690.0]
        assert max(walk.board.currents_a) == pytest.approx(12.0)
        (notified,) = walk.csms.received("NotifyEVChargingSchedule")
        assert notified["chargingSchedule"]["id"] == 11
        request = {"requestId": 1, "chargingProfile": {"chargingProfileId": [1]}}
        assert (await walk.csms.call("GetChargingProfiles", request))["status"] == "Accepted"
        await walk.until(lambda: walk.csms.received("ReportChargingProfiles"))
        (report,) = walk.csms.received("ReportChargingProfiles")
        assert [each["id"] for each in report["chargingProfile"][0]["chargingSchedule"]] == [10, 11, 12]


async def test_several_schedules_need_a_vehicle_that_can_choose(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await walk.plug()
        await walk.present()
        await charging(walk)
        schedule = {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 8.0}]}
        profile = {
            "id": 1, "stackLevel": 0, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Relative",
            "transactionId": walk.evse.transaction_id, "chargingSchedule": [schedule, schedule],
        }  # fmt: skip
        answer = await walk.csms.call("SetChargingProfile", {"evseId": 1, "chargingProfile": profile})
        assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "InvalidSchedule")


async def test_a_schedule_has_no_more_periods_than_the_vehicle_reads_and_never_more_power(tmp_path: Path) -> None:
    csms = Csms()
    answer_with(csms, "NotifyEVChargingNeeds", {"status": "Accepted"})
    async with walking(tmp_path, csms, **SECC) as walk:
        await walk.accepted()
        await walk.plug(communication=CommunicationModel(max_periods=2, departs_in_s=7_200))
        await walk.present()
        await walk.until(lambda: walk.csms.received("NotifyEVChargingNeeds"))
        periods = [{"startPeriod": 600 * n, "limit": limit} for n, limit in enumerate((10.0, 16.0, 8.0, 32.0))]
        profile = {
            "id": 1, "stackLevel": 0, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Relative",
            "transactionId": walk.evse.transaction_id,
            "chargingSchedule": [{"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": periods}],
        }  # fmt: skip
        await walk.csms.call("SetChargingProfile", {"evseId": 1, "chargingProfile": profile})
        await charging(walk)
        (offer,) = [order for order in secc_of(walk).orders if isinstance(order, ScheduleOffer)]
        assert [period.power_w for period in offer.tuples[0].periods] == [10 * 690.0, 8 * 690.0]
        (needs,) = walk.csms.received("NotifyEVChargingNeeds")
        assert needs["maxScheduleTuples"] == 2
        assert "departureTime" in needs["chargingNeeds"]


async def test_autocharge_authorizes_a_vehicle_by_its_address(tmp_path: Path) -> None:
    async with walking(tmp_path, autocharge={"enabled": True}, **SECC) as walk:
        await walk.accepted()
        await walk.plug(communication=CommunicationModel(evccid="02:01:02:03:04:af"))
        await charging(walk)
        (authorize,) = walk.csms.received("Authorize")
        assert authorize["idToken"] == {"idToken": "0201020304AF", "type": "MacAddress"}
        assert walk.evse.authorized_token == IdToken("0201020304AF", "MacAddress")


async def test_without_autocharge_the_address_authorizes_nothing(tmp_path: Path) -> None:
    async with walking(tmp_path, **SECC) as walk:
        await walk.accepted()
        await walk.plug(communication=CommunicationModel())
        await walk.advance(60)
        assert walk.csms.received("Authorize") == []
        assert sum(walk.board.currents_a) == 0.0


async def test_a_certificate_request_that_is_not_base64_is_not_passed_on(tmp_path: Path, pki: TestPki) -> None:
    async with walking(tmp_path, **SECC) as walk:
        await walk.accepted()
        model = CommunicationModel(
            contract=pki.contract("valid"),
            contract_only=True,
            certificate_action=CertificateAction.INSTALL,
            faults=frozenset({CommunicationFault.GARBAGE}),
        )
        await walk.plug(communication=model)
        await walk.until(lambda: CertificateResponse(accepted=False) in secc_of(walk).orders)
        assert walk.csms.received("Get15118EVCertificate") == []


async def test_a_certificate_that_comes_too_late_is_a_failure_to_the_vehicle(tmp_path: Path, pki: TestPki) -> None:
    """M01: within 5 s."""
    csms = Csms()
    csms.answers["Get15118EVCertificate"] = lambda _: NO_ANSWER
    async with walking(tmp_path, csms, **SECC) as walk:
        await walk.accepted()
        model = CommunicationModel(contract=pki.contract("valid"), certificate_action=CertificateAction.UPDATE)
        await walk.plug(communication=model)
        await walk.until(lambda: CertificateResponse(accepted=False) in secc_of(walk).orders, within_s=10.0)


async def test_an_secc_that_repeats_an_old_authorization_charges_nothing(tmp_path: Path, pki: TestPki) -> None:
    csms = Csms()
    async with walking(tmp_path, csms, **SECC) as walk:
        await walk.accepted()
        await install_roots(walk, pki)
        await plug_with_contract(walk, pki)
        await charging(walk)
        evcc_of(walk).stop()
        await walk.until(lambda: walk.evse.state.transaction is None)
        answer_with(csms, "Authorize", {"idTokenInfo": {"status": "Blocked"}, "certificateStatus": "ContractCancelled"})
        secc = secc_of(walk)
        for event in (
            AuthorizationRequested(pki.contract("valid")),
            PowerDelivery(ChargeProgress.START),
            SessionStarted("0201020304AF"),
            AuthorizationRequested(pki.contract("valid")),
            PowerDelivery(ChargeProgress.START),
        ):
            assert secc.report(event)
        await walk.advance(60)
        assert walk.evse.state.authorization is None
        assert not walk.board.outputs.contactor


async def test_an_secc_that_floods_is_left_and_the_charge_goes_on(tmp_path: Path) -> None:
    async with walking(tmp_path, **SECC) as walk:
        await walk.accepted()
        await walk.plug(communication=CommunicationModel())
        await walk.present()
        await charging(walk)
        for _ in range(500):
            secc_of(walk).report(PowerDelivery(ChargeProgress.START))
        await walk.advance(1)
        await walk.until(lambda: communication(walk) is Communication.BASIC)
        await charging(walk)


async def test_a_session_without_a_vehicle_is_stopped(tmp_path: Path) -> None:
    async with walking(tmp_path, **SECC) as walk:
        await walk.accepted()
        secc_of(walk).report(SessionStarted("0201020304AF"))
        await walk.settle()
        assert StopCharging() in secc_of(walk).orders
        assert communication(walk) is Communication.NONE


@pytest.mark.parametrize(
    "chain",
    ["", "garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "x" * 1_000_000],
    ids=["empty", "garbage", "broken", "1 MB"],
)
async def test_a_chain_that_is_none_is_refused(tmp_path: Path, chain: str) -> None:
    async with walking(tmp_path, **SECC) as walk:
        await walk.accepted()
        await walk.plug(communication=CommunicationModel(contract=Contract(CONTRACT, chain), contract_only=True))
        await walk.until(lambda: rejected_for(walk) is RejectionReason.CHAIN)
        await walk.advance(30)
        assert sum(walk.board.currents_a) == 0.0


async def test_a_contract_for_another_emaid_is_refused(tmp_path: Path, pki: TestPki) -> None:
    async with walking(tmp_path, **SECC) as walk:
        await walk.accepted()
        await install_roots(walk, pki)
        contract = replace(pki.contract("valid"), emaid="FRBRNC99999999X")
        await walk.plug(communication=CommunicationModel(contract=contract, contract_only=True))
        await walk.until(lambda: rejected_for(walk) is RejectionReason.CHAIN)
        assert walk.csms.received("Authorize") == []


async def test_a_power_cut_during_plug_and_charge_ends_one_transaction(tmp_path: Path, pki: TestPki) -> None:
    async with walking(tmp_path, **SECC) as walk:
        await walk.accepted()
        await install_roots(walk, pki)
        await plug_with_contract(walk, pki)
        await charging(walk)
        await walk.advance(30)
        await walk.application.cut_power()
        await walk.application.restore_power()
        await walk.accepted()
        await walk.until(lambda: [event["eventType"] for event in walk.events()].count("Ended") == 1)
        await asyncio.sleep(0)
        # the vehicle begins anew with its contract
        await walk.until(lambda: walk.evse.state.charging_state is CHARGING, within_s=120)
        started = {
            event["transactionInfo"]["transactionId"] for event in walk.events() if event["eventType"] == "Started"
        }
        assert len(started) == 2


async def test_a_card_is_not_needed_to_be_known_of_a_vehicle(tmp_path: Path) -> None:
    """ConnectedEV: what the vehicle says of itself."""
    async with walking(tmp_path, **SECC) as walk:
        await walk.accepted()
        await walk.plug(communication=CommunicationModel())
        await walk.advance(3)
        names = ("VehicleID", "ProtocolAgreed", "Available")
        place = {"name": "ConnectedEV", "evse": {"id": 1}}
        items = [{"component": place, "variable": {"name": name}} for name in names]
        answer = await walk.csms.call("GetVariables", {"getVariableData": items})
        values = [result.get("attributeValue") for result in answer["getVariableResult"]]
        assert values == ["0201020304AF", "urn:iso:15118:2:2013:MsgDef,2,0", "true"]
        assert CARD.type == "ISO14443"


async def test_what_the_vehicle_wants_is_on_page_api_mqtt_and_display_and_in_meter_values(tmp_path: Path) -> None:
    async with walking(tmp_path, reader=[{"type": "simulated"}], **SECC) as walk, visiting(walk) as api:
        await walk.accepted()
        await walk.set_variable("SampledDataCtrlr", "TxUpdatedMeasurands", "Energy.Active.Import.Register,SoC")
        await walk.set_variable("SampledDataCtrlr", "TxUpdatedInterval", "10")
        assert (await api.evse())["vehicle"] is None
        model = CommunicationModel(energy_wh=22_000.0, departs_in_s=7_200, reports_soc=True)
        await walk.plug(communication=model, soc=0.5)
        await walk.present()
        await charging(walk)
        await walk.advance(25)
        shown = (await api.evse())["vehicle"]
        assert (shown["energy_wh"], shown["payment"], shown["max_current_a"]) == (22_000.0, "eim", 32.0)
        status = await api.get("/api/status")
        assert "vehicle" in status_for(Role.DRIVER, status, PageConfig()).get("evses", [])[0]
        assert "vehicle" not in status_for(Role.VISITOR, status, PageConfig()).get("evses", [])[0]
        departs_at = datetime.fromisoformat(shown["departs_at"])
        assert 6_900 < (departs_at - walk.application.clock.now()).total_seconds() < 7_200
        assert 0.5 <= shown["soc"] < 0.6
        screen = walk.parts.parts.get(DisplayScreens).current(MAIN_DISPLAY)
        assert "Wants 22.00 kWh until " in " ".join(line.text for line in screen.lines)
        sampled = [
            sample
            for event in walk.csms.received("TransactionEvent")
            for value in event.get("meterValue", [])
            for sample in value["sampledValue"]
            if sample.get("measurand") == "SoC"
        ]
        assert sampled
        assert all(50.0 <= sample["value"] < 60.0 for sample in sampled)
        assert {sample["unitOfMeasure"]["unit"] for sample in sampled} == {"Percent"}
        await walk.present()
        await walk.until(lambda: walk.evse.state.transaction is None)
        await walk.unplug()
        assert (await api.evse())["vehicle"] is None


async def test_an_evse_without_an_secc_offers_no_state_of_charge(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        item = {
            "component": {"name": "SampledDataCtrlr"},
            "variable": {"name": "TxUpdatedMeasurands"},
            "attributeValue": "SoC",
        }
        answer = await walk.csms.call("SetVariables", {"setVariableData": [item]})
        assert answer["setVariableResult"][0]["attributeStatus"] == "Rejected"


async def test_a_full_battery_ends_the_session_and_the_charge(tmp_path: Path, pki: TestPki) -> None:
    async with walking(tmp_path, **SECC) as walk:
        await walk.accepted()
        await install_roots(walk, pki)
        model = CommunicationModel(contract=pki.contract("valid"), departs_in_s=120)
        await walk.plug(battery_wh=2_000, soc=0.61, communication=model)
        await charging(walk)
        await walk.until(lambda: walk.evse.state.transaction is None, within_s=1_800.0)
        assert not walk.board.locked
        ended = next(event for event in walk.csms.received("TransactionEvent") if event["eventType"] == "Ended")
        assert ended["transactionInfo"]["stoppedReason"] == "StoppedByEV"


@pytest.mark.parametrize("contract", [True, False])
async def test_a_charge_that_was_stopped_does_not_begin_again_by_itself(
    tmp_path: Path, pki: TestPki, contract: bool
) -> None:
    async with walking(tmp_path, autocharge={"enabled": True}, **SECC) as walk:
        await walk.accepted()
        await install_roots(walk, pki)
        await walk.plug(communication=CommunicationModel(contract=pki.contract("valid") if contract else None))
        await charging(walk)
        stop = {"transactionId": walk.evse.transaction_id}
        assert (await walk.csms.call("RequestStopTransaction", stop))["status"] == "Accepted"
        await walk.until(lambda: any(isinstance(order, StopCharging) for order in secc_of(walk).orders))
        await walk.until(lambda: walk.evse.state.transaction is None)
        evcc_of(walk).wake()
        secc_of(walk).stop()
        secc_of(walk).start()
        await walk.advance(120)
        assert walk.evse.state.transaction is None
        assert sum(walk.board.currents_a) == 0
        await walk.present()
        await charging(walk)


async def test_a_charge_that_ends_while_the_secc_is_away_stops_no_later_session(tmp_path: Path) -> None:
    async with walking(tmp_path, **SECC) as walk:
        await walk.accepted()
        await walk.plug(communication=CommunicationModel())
        await walk.present()
        await charging(walk)
        secc_of(walk).stop()
        await walk.until(lambda: not walk.evse.state.vehicle.linked)
        await walk.present()
        await walk.until(lambda: walk.evse.state.transaction is None)
        await walk.unplug()
        secc_of(walk).start()
        await walk.until(lambda: walk.evse.state.vehicle.linked)
        secc_of(walk).orders.clear()
        await walk.plug(communication=CommunicationModel())
        await walk.until(lambda: communication(walk) is Communication.SESSION)
        await walk.present()
        await charging(walk)
        assert communication(walk) is Communication.SESSION
        assert not any(isinstance(order, StopCharging) for order in secc_of(walk).orders)


async def test_a_vehicle_that_has_ended_its_charge_may_begin_another_by_its_contract(
    tmp_path: Path, pki: TestPki
) -> None:
    """Such as for a timer of its own, in the night."""
    async with walking(tmp_path, **SECC) as walk:
        await walk.accepted()
        await install_roots(walk, pki)
        await plug_with_contract(walk, pki)
        await charging(walk)
        evcc_of(walk).stop()
        await walk.until(lambda: communication(walk) is Communication.ENDED)
        await walk.advance(600)
        assert walk.evse.state.authorization is None
        evcc_of(walk).begin_session()
        await charging(walk)
        await walk.until(lambda: [event["eventType"] for event in walk.events()].count("Started") == 2)


async def test_an_emaid_is_the_one_of_its_certificate_however_the_vehicle_writes_it(
    tmp_path: Path, pki: TestPki
) -> None:
    async with walking(tmp_path, **SECC) as walk:
        await walk.accepted()
        await install_roots(walk, pki)
        await set_iso15118(walk, "ContractValidationOffline", "true")
        await walk.set_variable("AuthCtrlr", "OfflineTxForUnknownIdEnabled", "true")
        blocked = {"idToken": {"idToken": CONTRACT, "type": "eMAID"}, "idTokenInfo": {"status": "Blocked"}}
        local_list = {"versionNumber": 1, "updateType": "Full", "localAuthorizationList": [blocked]}
        assert (await walk.csms.call("SendLocalList", local_list))["status"] == "Accepted"
        walk.stack.cut_network()
        await walk.advance(10)
        contract = replace(pki.contract("valid"), emaid="FR-BRN-C00000001-X")
        await walk.plug(communication=CommunicationModel(contract=contract, contract_only=True))
        await walk.advance(60)
        assert walk.evse.state.authorization is None
        assert any(isinstance(order, AuthorizationOrder) and order.reason is not None for order in secc_of(walk).orders)


async def test_the_data_of_a_refused_contract_is_found_by_its_certificate(tmp_path: Path, pki: TestPki) -> None:
    csms = Csms()
    answer_with(csms, "Authorize", {"idTokenInfo": {"status": "Blocked"}, "certificateStatus": "ContractCancelled"})
    async with walking(tmp_path, csms, **SECC) as walk:
        await walk.accepted()
        await install_roots(walk, pki)
        await walk.set_variable("AuthCacheCtrlr", "Enabled", "true")
        await plug_with_contract(walk, pki, contract_only=True)
        await walk.until(lambda: walk.csms.received("Authorize"))
        await walk.advance(5)
        leaf, issuer = load_pem_x509_certificates(pki.contract("valid").chain.encode())[:2]
        named = hash_of(leaf, issuer)
        certificate = {
            "hashAlgorithm": "SHA256",
            "issuerNameHash": named.issuer_name_hash,
            "issuerKeyHash": named.issuer_key_hash,
            "serialNumber": named.serial_number,
        }
        clear = {"requestId": 1, "report": True, "clear": True, "customerCertificate": certificate}
        await walk.csms.call("CustomerInformation", clear)
        await walk.until(lambda: walk.csms.received("NotifyCustomerInformation"))
        assert "Blocked" in walk.csms.received("NotifyCustomerInformation")[0]["data"]
        token = {"idToken": CONTRACT, "type": "eMAID"}
        await walk.csms.call("CustomerInformation", {"requestId": 2, "report": True, "clear": False, "idToken": token})
        await walk.until(lambda: len(walk.csms.received("NotifyCustomerInformation")) == 2)
        assert walk.csms.received("NotifyCustomerInformation")[1]["data"] == ""


async def test_the_longest_profile_holds_the_event_loop_for_less_than_20_ms(tmp_path: Path) -> None:
    async with walking(tmp_path, **SECC) as walk:
        await walk.accepted()
        await walk.plug(communication=CommunicationModel())
        await walk.present()
        await charging(walk)
        period = [{"startPeriod": 80 * index, "limit": 6.0 + index % 20} for index in range(1000)]
        schedules = [{"id": number, "chargingRateUnit": "A", "chargingSchedulePeriod": period} for number in (1, 2, 3)]
        profile = {
            "id": 1,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxProfile",
            "chargingProfileKind": "Relative",
            "transactionId": walk.evse.transaction_id,
            "chargingSchedule": schedules,
        }
        answer = await walk.csms.call("SetChargingProfile", {"evseId": 1, "chargingProfile": profile})
        assert answer["status"] == "Accepted"
        offers = len([order for order in secc_of(walk).orders if isinstance(order, ScheduleOffer)])
        with measured_turns() as turns:
            await walk.until(
                lambda: len([order for order in secc_of(walk).orders if isinstance(order, ScheduleOffer)]) > offers
            )
        assert max(turns) < 0.020
