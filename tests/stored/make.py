"""Makes the fixture of this release: `python -m tests.stored.make` lets the real program fill a storage, then keeps it.

To be run once for each release, before its version is published; the folders of former releases stay as they are.
Each part of the story below is there for something that must be in the storage; `test_stored.py` says what lacks.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import AsyncGenerator
from datetime import datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import httpx
from cryptography.x509 import load_pem_x509_certificates

from borne.station_settings import StationSettings
from energy.tariff import ChargePlan, TariffMode
from metering.time_quality import TimeSource
from simulator.clock import VirtualClock
from simulator.pki.v2g_pki import TestPki
from simulator.vehicle import VehicleModel
from station.billing.price import PeriodPrice, PriceList
from station.billing.register_journal.time_quality import TimeQualityMonitor
from station.billing.retention import Retention
from station.billing.transaction_log import TransactionLog
from station.charging.reservations.reservation import Reservation
from station.charging.reservations.reservation_store import ReservationStore
from station.core.clock_settings import ClockSettings
from station.core.model import EvseRef, IdToken, StoppedReason, TriggerReason
from station.core.setting_kinds import (
    Choice,
    Integer,
    Members,
    Moment,
    Setting,
    Switch,
    TimeOfDay,
    TimeOffset,
    TimeZone,
)
from station.core.setting_kinds import Decimal as DecimalSetting
from station.core.setting_values import SettingGroup
from station.core.version import package_version
from station.load.shared_limits import LimitRequest, LimitSetter
from station.maintenance.firmware.state import FirmwareStatus
from station.security.access.accounts import Role
from station.security.certificates.certificate_checks import hash_of
from station.security.certificates.certificate_status import CertificateStatusCache
from station.security.certificates.contract_records import ContractRecords
from station.storage.database import Database
from station.storage.fact_store import FactStore
from station.storage.record_settings import RecordSettings
from tests.certificate_statuses import query_of, response_of
from tests.conformance.firmware import image, signer
from tests.conformance.pki import Pki
from tests.csms import NO_ANSWER, Csms, Payload, running_csms
from tests.databases import open_database
from tests.file_server import FileServer, serving
from tests.patience import PATIENCE_S
from tests.stored.storage import DATABASE, HERE, PASSWORDS, Stored, station_configuration
from tests.walk import CARD, OTHER_CARD, Walk, powered
from tests.walks.commissioned import commission, try_step
from tests.walks.house import House
from tests.walks.steps import listed, present_at, request_start, token
from tests.walks.test_security import set_network_profile
from tests.walks.visit import Api

FORGOTTEN: Final = IdToken("04C0FFEE000080", "ISO14443")
"""whoever wants to be forgotten while the CSMS has not taken all of the transaction yet"""
OWN_CARD: Final = IdToken("04AAAAAAAAAA80", "ISO14443")
CONTRACT = "FRBRNC00000001X"
"""the eMAID of a vehicle's contract"""
FORMER_CARD: Final = IdToken("04BBBBBBBBBB80", "ISO14443")
DAY_S: Final = 86_400.0

UNCHANGED_SETTINGS: Final = {
    "sampled_data_enabled": "true",  # else the ends that are still to be recorded have no register
    "smart_charging_enabled": "true",  # else no profile is in force
    "auth_cache_enabled": "true",
    "time_source": "Heartbeat,RealTimeClock",
    "currency": "CHF",
    "organization_name": "Owners of a garage",
    "master_pass_group_id": "MASTER",
    "tx_start_points": "PowerPathClosed",
    "tx_stop_points": "EVConnected",
}
"""settings whose value matters for what comes after the next start; all others get a value that is not their default"""


@contextlib.asynccontextmanager
async def visiting(walk: Walk) -> AsyncGenerator[Api]:
    """Run a client of the page over TLS that does not check the certificate."""
    address = f"https://127.0.0.1:{walk.web.port}"
    async with httpx.AsyncClient(base_url=address, timeout=PATIENCE_S, trust_env=False, verify=False) as client:
        yield Api(walk, client)


def non_default_text(setting: Setting[Any], settings: SettingGroup) -> str:
    """Return a text that means another value than the default."""
    if (text := UNCHANGED_SETTINGS.get(setting.name)) is not None:
        return text
    match setting:
        case Switch():
            return setting.format(not setting.default)
        case Integer():
            return setting.format(setting.default + (1 if setting.default < setting.maximum else -1))
        case DecimalSetting():
            return setting.format(setting.default + 1.5)
        case Choice():
            return next(word for word in settings.choices_of(setting) if word != setting.default)
        case Members():
            offered = settings.choices_of(setting)
            return setting.format(offered[:1] if offered[:1] != setting.default else offered[:2])
        case TimeZone():
            return "Europe/Paris"
        case TimeOffset():
            return "+01:00"
        case TimeOfDay():
            return "07:30"
        case Moment():
            return "2031-03-30T01:00:00.000Z"
        case _:
            return f"a text for {setting.name}"[:36]


def all_settings() -> list[Setting[Any]]:
    """Return every setting of the station."""
    return [*StationSettings().groups.all()]


class StorageScript:
    """The steps that fill the storage of a station, until its last power cut."""

    def __init__(self, walk: Walk, api: Api, pki: Pki, files: FileServer) -> None:
        self.walk, self.api, self.pki, self.files = walk, api, pki, files
        self.house = House(walk, tariff_period="HC..", fuse_a=99.0)
        self.secret = ""

    async def run(self) -> None:
        """Run all steps in their order."""
        await self._commission()
        await self._install_credentials()
        await self._set_up_owner()
        await self._set_up_operator()
        await self._monitors()
        await self._billed_charge()
        await self._charge_with_wrong_clock()
        await self._leave_unanswered()
        await self._reservations()
        await self._charge_offline()
        await self._set_all_settings()

    async def _commission(self) -> None:
        """Store a site, a report, an activation and site settings."""
        walk, api = self.walk, self.api
        await walk.accepted()
        before = walk.application.parts
        answer = await api.client.patch("/api/commissioning/settings", json={"grid": {"safe_current_a": 7.0}})
        assert answer.status_code == 202, answer.text
        await walk.until(lambda: walk.application.running and walk.application.parts is not before)
        await walk.until(lambda: len(walk.csms.received("BootNotification")) == 2, within_s=600)
        await walk.settle()
        await self.house.live(5)
        await api.post("/api/commissioning/steps/meter/skip", {"reason": "no meter"}, status=200)
        await walk.advance(5)
        for dims in (False, True):
            await api.post("/api/sim/grid", {"contact": dims})
            await walk.advance(5)
            result = await try_step(api, step="grid-contact", dims=dims)
        assert result["settled"], result
        await api.post("/api/sim/grid", {"contact": False})
        await self.house.live(5)
        assert (await try_step(api, step="limits", confirmed=True))["settled"]
        await walk.plug(phases=3)
        await api.post("/api/commissioning/test-session", {"evse": 1})
        await walk.charging()
        await self.house.live(30)
        await api.delete("/api/commissioning/test-session")
        await walk.until(lambda: not walk.board.locked)
        await walk.unplug()
        await self.house.live(5)
        await commission(api)
        await api.post("/api/activation")

    async def _install_credentials(self) -> None:
        """Store root certificates, a station certificate, a password and another network profile."""
        walk, csms = self.walk, self.walk.csms
        for kind, name in (("CSMSRootCertificate", "CSMS Root"), ("ManufacturerRootCertificate", "Maker Root")):
            root = self.pki.root if kind == "CSMSRootCertificate" else self.pki.make_root(name)
            self.maker = root
            answer = await csms.call("InstallCertificate", {"certificateType": kind, "certificate": root.pem})
            assert answer["status"] == "Accepted", answer
        await walk.set_variable("SecurityCtrlr", "OrganizationName", "Owners of a garage")
        await csms.call("TriggerMessage", {"requestedMessage": "SignChargingStationCertificate"})
        await walk.until(lambda: csms.received("SignCertificate"))
        signed = {"certificateChain": self.pki.sign_csr(csms.received("SignCertificate")[-1]["csr"], days=3000)}
        answer = await csms.call("CertificateSigned", {"certificateType": "ChargingStationCertificate", **signed})
        assert answer["status"] == "Accepted", answer
        answer = await set_network_profile(csms, 2, "wss://second.invalid/ocpp", securityProfile=2)
        assert answer["status"] == "Accepted", answer
        await walk.set_variable("OwnCtrlr", "Place", "the other garage")
        await walk.set_variable("SecurityCtrlr", "BasicAuthPassword", "fedcba9876543210-of-a-test")
        connections = csms.connections
        await walk.until(lambda: csms.connections > connections and csms.connected, within_s=600)
        await walk.settle()

    async def _set_up_owner(self) -> None:
        """Store accounts, an access token, cards, prices, limits and priorities."""
        parts = self.walk.parts
        await parts.access.ensure_loaded()
        await parts.access.accounts.set_password(Role.OWNER, PASSWORDS["owner"])
        await parts.access.accounts.set_password(Role.INSTALLER, PASSWORDS["installer"])
        await parts.access.accounts.issue_code(Role.DRIVER)
        self.secret = await parts.access.create_token("script", Role.OWNER, timedelta(days=600))
        await parts.cards.add(OWN_CARD, "the blue one")
        await parts.cards.remove(await parts.cards.add(FORMER_CARD, "the lost one"))
        periods = (PeriodPrice("HC", Decimal("0.15")), PeriodPrice("HP", Decimal("0.35")))
        await parts.prices.change(PriceList("EUR", Decimal("0.30"), periods, Decimal("1.00"), Decimal("2.00"), 600))
        await parts.load.priorities.change(2, 3)
        await parts.load.plans.change(2, ChargePlan(TariffMode.OFF_PEAK, time(5, 45), 30_000.0))

    async def _set_up_operator(self) -> None:
        """Store a local list, limits, profiles of each purpose, a display message, a grid order and a lasting fault."""
        walk, api = self.walk, self.api
        update = {"updateType": "Full", "versionNumber": 12, "localAuthorizationList": local_list()}
        assert (await walk.csms.call("SendLocalList", update))["status"] == "Accepted"
        await walk.parts.shared_limits.set_limit(
            LimitSetter.OPERATOR, LimitRequest(current_a=30.0, power_w=20_000.0, for_s=DAY_S)
        )
        await walk.parts.shared_limits.set_limit(
            LimitSetter.USER, LimitRequest(current_a=31.0, for_s=None, by="a home automation")
        )
        await walk.until(lambda: walk.csms.received("NotifyChargingLimit"))
        for evse_id, profile in profiles():
            answer = await walk.csms.call("SetChargingProfile", {"evseId": evse_id, "chargingProfile": profile})
            assert answer["status"] == "Accepted", answer
        message = {"id": 1, "priority": "InFront", "state": "Idle", "message": {"format": "UTF8", "content": "Welcome"}}
        times = {"startDateTime": "2026-01-01T00:00:00Z", "endDateTime": "2099-01-01T00:00:00Z"}
        answer = await walk.csms.call(
            "SetDisplayMessage", {"message": message | times | {"display": {"name": "Display"}}}
        )
        assert answer["status"] == "Accepted", answer
        await walk.advance(2)
        await api.post("/api/sim/grid", {"contact": True})
        await walk.advance(5)
        await api.post("/api/sim/grid", {"contact": False})
        await walk.advance(240)
        fault = {"evse": 3, "code": "dc-residual-current"}
        await api.post("/api/sim/faults", fault)
        await api.client.request("DELETE", "/api/sim/faults", json=fault, params={"wait": "settled"})
        await walk.parts.station.availability.apply_order(EvseRef(3, 1), operative=False)
        await walk.parts.station.availability.apply_order(EvseRef(2), operative=False)
        await walk.parts.station.availability.apply_order(EvseRef(2), operative=True)

    async def _billed_charge(self) -> None:
        """Charge over two tariff periods; the CSMS receives all of it, and both send a total."""
        walk = self.walk
        walk.csms.answers["TransactionEvent"] = _with_total
        assert (await request_start(walk, evse_id=1))["status"] == "Accepted"
        await self._plug(1)
        await self.house.live(40)
        trigger = {"requestedMessage": "TransactionEvent", "evse": {"id": 1}}
        assert (await walk.csms.call("TriggerMessage", trigger))["status"] == "Accepted"
        self.house.sample_fields["tariff_period"] = "HP.."
        await self.house.live(400)
        await self._stop(1, CARD)
        await walk.until(lambda: "Ended" in [kind for kind, _ in walk.types_and_triggers()])

    async def _charge_with_wrong_clock(self) -> None:
        """Charge without a CSMS, with a clock that stopped without power: its times are corrected later."""
        walk, clock, csms = self.walk, self.walk.application.clock, self.walk.csms
        epoch = clock.now() - timedelta(seconds=clock.monotonic())
        csms.now = lambda: epoch + timedelta(seconds=clock.monotonic())
        csms.http_status = 503
        csms.drop()
        await walk.application.cut_power()
        clock.adjust(-timedelta(hours=12))
        await walk.application.restore_power()
        await self.house.live(5)
        before = len(walk.events())
        await self._charge(1, CARD, 200)
        await self._stop(1, CARD)
        csms.http_status = None
        await walk.until(lambda: ("Ended", "StopAuthorized") in walk.types_and_triggers()[before:], within_s=1200)
        await walk.settle()

    async def _leave_unanswered(self) -> None:
        """Leave work for a CSMS that does not answer: a customer to clear, a firmware update, a log upload."""
        walk, csms = self.walk, self.walk.csms
        csms.answers["TransactionEvent"] = csms.answers["FirmwareStatusNotification"] = lambda _: NO_ANSWER
        await self._charge(4, CARD, 40)
        deauthorized = (TriggerReason.DEAUTHORIZED, StoppedReason.DE_AUTHORIZED)
        walk.parts.station.evses[4].end_authorization(*deauthorized, keep_locked=True)
        await self.house.live(5)
        await self._charge(1, FORGOTTEN, 100)
        await self._stop(1, FORGOTTEN)
        request = {"requestId": 5, "report": False, "clear": True, "idToken": token(FORGOTTEN)}
        assert (await csms.call("CustomerInformation", request))["status"] == "Accepted"
        await walk.until(lambda: csms.received("NotifyCustomerInformation"))
        signing = signer(self.pki, self.maker)
        content = image(size=2_000)
        self.files.files["/image"] = content
        firmware = {
            "location": f"{self.files.url}/image",
            "retrieveDateTime": "2020-01-01T00:00:00Z",
            "installDateTime": "2099-01-01T00:00:00Z",
            "signingCertificate": signing.pem,
            "signature": signing.sign(content),
        }
        assert (await csms.call("UpdateFirmware", {"requestId": 6, "firmware": firmware}))["status"] == "Accepted"
        await walk.until(
            lambda: (update := walk.parts.firmware.record.update) and update.status is FirmwareStatus.INSTALL_SCHEDULED
        )
        self.files.stalled = 1
        place = {"remoteLocation": f"{self.files.url}/logs/"}
        answer = await csms.call("GetLog", {"logType": "DiagnosticsLog", "requestId": 7, "log": place})
        assert answer["status"] == "Accepted", answer
        await walk.until(
            lambda: ("Uploading", 7) in [(status["status"], status["requestId"]) for status in _logs(walk)]
        )

    async def _reservations(self) -> None:
        """Make a reservation that is used and one that expires, both without a CSMS."""
        now = self.walk.application.clock.now()
        for number, evse_id, card, for_s in ((8, 2, OTHER_CARD, DAY_S), (9, 1, CARD, 100.0)):
            expires_at = (now + timedelta(seconds=for_s)).isoformat()
            reservation = {"id": number, "expiryDateTime": expires_at, "idToken": token(card), "evseId": evse_id}
            assert (await self.walk.csms.call("ReserveNow", reservation))["status"] == "Accepted"

    async def _monitors(self) -> None:
        """Set monitors, clear a preconfigured one, and set monitoring base and level."""
        csms = self.walk.csms
        await csms.call("SetMonitoringBase", {"monitoringBase": "All"})
        await csms.call("SetMonitoringLevel", {"severity": 7})
        place = {"component": {"name": "EVSE", "evse": {"id": 1}}, "severity": 4}
        power = {**place, "variable": {"name": "Power"}, "type": "UpperThreshold", "value": 1_000.0}
        state = {**place, "variable": {"name": "AvailabilityState"}, "type": "Delta", "value": 1, "transaction": True}
        answer = await csms.call("SetVariableMonitoring", {"setMonitoringData": [power, state]})
        assert {result["status"] for result in answer["setMonitoringResult"]} == {"Accepted"}, answer
        answer = await csms.call("ClearVariableMonitoring", {"id": [102]})
        assert answer["clearMonitoringResult"][0]["status"] == "Accepted", answer

    async def _charge_offline(self) -> None:
        """Leave without a CSMS: an open transaction, an end that waits for its meter, an alarm."""
        walk, api, csms = self.walk, self.api, self.walk.csms
        csms.http_status = 503
        csms.drop()
        await walk.settle()
        await self._charge(2, OTHER_CARD, 200)
        await self._charge(1, CARD, 400)
        await api.post("/api/sim/meter", {"evse": 2, "failure": True})
        await walk.advance(2)
        await present_at(walk, OTHER_CARD, 2)
        await walk.advance(10)
        await api.post("/api/sim/tamper", {"open": True})
        await api.post("/api/sim/tamper", {"open": False})
        await walk.advance(5)

    async def _set_all_settings(self) -> None:
        """Set each setting to another value than its default."""
        groups = self.walk.parts.setting_groups
        for setting in all_settings():
            group = groups.group_of(setting)
            await group.change(setting, non_default_text(setting, group))
        await self.walk.settle()

    async def _plug(self, evse_id: int) -> None:
        self.walk.world.boards[evse_id].plug(VehicleModel(), cable_max_a=32.0)
        await self.walk.settle()

    async def _charge(self, evse_id: int, card: IdToken, seconds: int) -> None:
        await present_at(self.walk, card, evse_id)
        await self._plug(evse_id)
        await self.house.live(seconds)
        assert sum(self.walk.world.boards[evse_id].currents_a) > 0.0, f"EVSE {evse_id} does not charge"

    async def _stop(self, evse_id: int, card: IdToken) -> None:
        board = self.walk.world.boards[evse_id]
        await present_at(self.walk, card, evse_id)
        await self.walk.until(lambda: not board.locked)
        board.unplug()
        await self.house.live(5)


def profiles() -> list[tuple[int, Payload]]:
    """Return a charging profile of each purpose that is stored over a power cut, with all fields."""

    def profile(identity: int, purpose: str, kind: str, limit: float, **more: Any) -> Payload:
        schedule = {
            "id": identity,
            "chargingRateUnit": more.pop("unit", "A"),
            "minChargingRate": 6.0,
            "chargingSchedulePeriod": [
                {"startPeriod": 0, "limit": limit, "numberPhases": 3},
                {"startPeriod": 36_000, "limit": limit + 1.0, "numberPhases": 3},
            ],
        }
        schedule |= more.pop("schedule", {})
        return {
            "id": identity,
            "stackLevel": identity,
            "chargingProfilePurpose": purpose,
            "chargingProfileKind": kind,
            "chargingSchedule": [schedule],
            **more,
        }

    custom = {"vendorId": "org.example", "note": "kept"}
    daily = {"startSchedule": "2026-01-01T00:00:00Z", "duration": 80_000, "customData": custom}
    return [
        (1, profile(1, "TxDefaultProfile", "Relative", 20.0)),
        (2, profile(2, "TxDefaultProfile", "Recurring", 21.0, recurrencyKind="Daily", schedule=daily)),
        (
            0,
            profile(
                *(3, "ChargingStationMaxProfile", "Absolute", 18_000.0),
                unit="W",
                validFrom="2026-01-01T00:00:00Z",
                validTo="2099-01-01T00:00:00Z",
                schedule={"startSchedule": "2026-01-01T00:00:00Z"},
                customData=custom,
            ),
        ),
    ]


def local_list() -> list[Payload]:
    """Return a local authorization list: a token with all fields, and one with the required fields only."""
    info = {
        "status": "Accepted",
        "cacheExpiryDateTime": "2099-01-01T00:00:00Z",
        "chargingPriority": 3,
        "evseId": [1, 2],
        "groupIdToken": {"idToken": "FLEET-7", "type": "Central"},
        "personalMessage": {"format": "UTF8", "content": "Bonjour", "language": "fr"},
    }
    return [{"idToken": token(OTHER_CARD), "idTokenInfo": info}, listed(token(OWN_CARD), "Blocked")]


def _with_total(event: Payload) -> Payload:
    info = {"idTokenInfo": {"status": "Accepted", "groupIdToken": {"idToken": "FLEET-7", "type": "Central"}}}
    total = {"totalCost": 4.2} if event["eventType"] == "Ended" else {}
    return (info if "idToken" in event else {}) | total


def _logs(walk: Walk) -> list[Payload]:
    return [notification for notification in walk.csms.received("LogStatusNotification") if "requestId" in notification]


async def _store_retention_check_and_reservation(storage: Path, at: datetime) -> None:
    """Store the daily retention check, made with a synchronized clock, and a reservation that waits for an EVSE.

    At the end of the story all EVSEs are in use or out of order.
    """
    clock = VirtualClock(start=at)
    async with open_database(storage / DATABASE, clock) as database:
        time = TimeQualityMonitor(clock, ClockSettings(), lambda: 300)
        log, facts = TransactionLog(database), FactStore(database, "retention")
        time.note_time_set(TimeSource.NTP, timedelta(0))
        await Retention(log, facts, time, RecordSettings(), clock).delete_old_transactions()
        group = IdToken("FLEET-7", "Central")
        await _store_contract(database, storage.parent, clock)
        await ReservationStore(database).put(Reservation(10, OWN_CARD, at + timedelta(days=1), group, 3, "sType2"))


async def _store_contract(database: Database, folder: Path, clock: VirtualClock) -> None:
    """Store the record of a contract certificate, and the OCSP status of a certificate of an SECC."""
    pki = TestPki.create(folder / "v2g-pki")
    leaf, issuer = load_pem_x509_certificates(pki.contract("valid").chain.encode())[:2]
    await ContractRecords(FactStore(database, "contract"), clock).add([hash_of(leaf, issuer)], CONTRACT)
    query = query_of(pki)
    statuses = CertificateStatusCache(FactStore(database, "certificate-status"), clock)
    await statuses.store(query, response_of(pki, query, clock.now))


async def make(target: Stored) -> None:
    """Let the program fill a storage, and save it as a fixture."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        storage = folder / "storage"
        async with (
            serving() as files,
            running_csms(Csms()) as csms,
            powered(station_configuration(storage, csms.url), csms) as walk,
            visiting(walk) as api,
        ):
            story = StorageScript(walk, api, Pki(folder), files)
            await story.run()
            await walk.application.cut_power()
            ended_at = walk.application.clock.now()
        await _store_retention_check_and_reservation(storage, ended_at)
        info = {"ended_at": ended_at.isoformat(), "access_token": story.secret}
        target.save(storage, csms.port, info)


def main() -> None:
    """Make the fixture of this release; an existing one of this release is replaced."""
    target = Stored(HERE / package_version())
    asyncio.run(make(target))
    sys.stdout.write(f"{target.folder.name}: made\n")


if __name__ == "__main__":
    main()
