"""The station's side of OCPP as a whole: builds the blocks, and serves each websocket that comes up."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from foundation.frozen import frozen
from foundation.supervision import Errands
from metering.time_quality import TimeSource
from ocpp_handlers.blocks.a_certificate_signing import Signing
from ocpp_handlers.blocks.a_security_events import SecurityEventDelivery
from ocpp_handlers.blocks.b_network_profile import NetworkProfileBlock
from ocpp_handlers.blocks.b_provisioning import Provisioning
from ocpp_handlers.blocks.b_reports import Reports
from ocpp_handlers.blocks.c_authorization import Authorization
from ocpp_handlers.blocks.e_transactions import Transactions
from ocpp_handlers.blocks.f_remote_control import RemoteControl
from ocpp_handlers.blocks.f_trigger_message import TriggerMessage
from ocpp_handlers.blocks.g_availability import Availability
from ocpp_handlers.blocks.i_tariff import Tariff
from ocpp_handlers.blocks.j_meter_values import MeterValues
from ocpp_handlers.blocks.k_external_limits import ChargingLimits
from ocpp_handlers.blocks.k_smart_charging import SmartCharging
from ocpp_handlers.blocks.l_firmware import Firmware
from ocpp_handlers.blocks.m_certificates import Certificates
from ocpp_handlers.blocks.n_customer_information import CustomerInformation
from ocpp_handlers.blocks.n_log_upload import Diagnostics
from ocpp_handlers.blocks.n_problems import Problems
from ocpp_handlers.blocks.p_data_transfer import DataTransfer
from ocpp_handlers.connection.boot import Boot, BootGate, Identification
from ocpp_handlers.connection.connection import Access, Connection
from ocpp_handlers.connection.delivery import Delivery
from ocpp_handlers.connection.link import Link
from ocpp_handlers.wire.schema import Schemas
from ocpp_handlers.wire.session import FrameListener, Handlers, LinkLostError, Session
from station.core.model import BootReason
from station.security.security_events import SecurityEventType
from station.storage.database import StorageError

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

    from borne.life import Life
    from ocpp_handlers.variables.device_model import DeviceModel

_log = logging.getLogger(__name__)

_SMALLEST_CORRECTION_S = 1.0
_INVALID_MESSAGES_S = 60.0
"""a CSMS that talks nonsense is worth one line of the security log in so long"""


@frozen
class StackSetup:
    """What the stack is told when it is built."""

    access: Access
    identification: Identification
    boot_reason: BootReason = BootReason.POWER_UP


class OcppStack:
    """Everything between the station and the CSMS."""

    def __init__(
        self,
        setup: StackSetup,
        life: Life,
        model: DeviceModel,
        *,
        listen: FrameListener | None = None,
    ) -> None:
        station = life.station
        self._station = station
        self._listen = listen
        self._clock = station.clock
        self._schemas = Schemas()
        self._errands = Errands()
        self._handlers = Handlers()
        self._offline_since_s: float | None = None
        self._invalid_reported_s: float | None = None
        self._security_events = life.security_events
        self._network = setup.access.network
        self._time = life.time
        self.gate = BootGate()
        self.link = Link(self.gate)
        who = setup.identification
        self._boot = Boot(self.gate, who, station.settings, self._clock, reason=setup.boot_reason)
        self._boot.on_time = self._synchronise
        self.model = model
        self.data_transfer = DataTransfer(self.link)
        self._authorization = Authorization(self.link, station.tokens, station.settings)
        self._availability = Availability(self.link, station.evses, station.availability, station.settings, self._clock)
        self._problems = Problems(self.link, station.evses.values(), self._clock)
        self._tariff_and_cost = life.tariff_and_cost
        tariff = Tariff(life.tariff_and_cost)
        self._transactions = Transactions(self.link, station, tariff, life.load.priorities)
        self._meter_values = MeterValues(self.link, self._errands)
        self._delivery = Delivery(station.outbox, station.settings, self._clock)
        self._security_delivery = SecurityEventDelivery(life.security_events, self.link, station.settings, self._clock)
        self._charging_limits = ChargingLimits(self.link, life.external_limits, station.settings, station.clock)
        self._firmware = Firmware(self.link, life.firmware, self._clock)
        self._signing = Signing(
            self.link,
            life.certificates,
            station.settings,
            self._clock,
            who.serial_number or setup.access.identity,
            self._use_new_certificate,
        )
        life.certificates.root_in_use = lambda: self.security_profile >= 2
        self._answer(life, tariff)
        self.connection = Connection(setup.access, self._serve, station.settings, self._clock, life.security_events)
        station.connect(self._authorization)
        self._take_samples()

    def _answer(self, life: Life, tariff: Tariff) -> None:
        """Every block takes the requests of the CSMS that are its own."""
        station = self._station
        trigger = TriggerMessage(
            self.link,
            self.gate,
            self._boot,
            self._availability,
            self._meter_values,
            station.evses,
            station.settings,
        )
        self._signing.register_trigger(trigger)
        trigger.on("FirmwareStatusNotification", self._firmware.trigger)
        diagnostics = Diagnostics(self.link, life.uploads, self._clock)
        trigger.on("LogStatusNotification", diagnostics.trigger)
        for block in (
            Provisioning(self.model, station.restart, station.settings),
            Reports(self.link, self.model, station.settings, self._clock),
            self._availability,
            self._authorization,
            self._transactions,
            tariff,
            RemoteControl(self.gate, station, life.load.profiles, life.load.poke),
            trigger,
            self._firmware,
            SmartCharging(self.link, station, life.load),
            NetworkProfileBlock(self._network),
            Certificates(life.certificates),
            self._signing,
            diagnostics,
            CustomerInformation(self.link, life.customers, self._clock),
            self.data_transfer,
        ):
            block.register(self._handlers)

    async def run(self) -> None:
        """Keep the link until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._errands.run(), name="errands")
            group.create_task(self._signing.run(), name="signing")
            for evse in self._station.evses.values():
                group.create_task(self._availability.watch(evse), name=f"status-{evse.id}")
            group.create_task(self.connection.run(), name="connection")

    # For the local API (station.ports.CsmsLink)

    @property
    def connected(self) -> bool:
        """Whether the websocket is up."""
        return self.connection.connected

    @property
    def connected_since(self) -> datetime | None:
        """Since when it is up."""
        return self.connection.connected_since

    @property
    def last_error(self) -> str | None:
        """Why the last attempt failed; None when it did not."""
        return self.connection.last_error

    @property
    def boot_status(self) -> str:
        """What the CSMS thinks of the station."""
        return self.gate.state.value

    @property
    def url(self) -> str:
        """Where the CSMS is."""
        profile = self._network.profile
        return profile.url if profile is not None else ""

    @property
    def security_profile(self) -> int:
        """The OCPP security profile of the link."""
        profile = self._network.profile
        return profile.security_profile if profile is not None else 0

    def renew(self) -> None:
        """Dial anew once no answer is owed (A01)."""

        async def reconnect() -> None:
            if self.link.session is not None:
                await self.link.session.answered()
            await self.connection.reconnect()

        self._errands.start("reconnect", reconnect)

    def cut(self) -> None:
        """The network is gone until `mend`."""
        self.connection.cut()

    def mend(self) -> None:
        """The network is back."""
        self.connection.mend()

    async def _serve(self, websocket: ClientConnection) -> None:
        session = Session(
            websocket,
            self._handlers,
            self.gate,
            self._schemas,
            self._errands,
            self._clock,
            timeout_s=self._network.message_timeout_s,
            listen=self._listen,
            on_invalid=self._note_invalid,
        )
        self.link.session = session
        if self.connection.switched:  # B10.FR.10
            self._boot.begin_anew()
            self._charging_limits.begin_anew()
            self._problems.begin_anew()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(session.run(), name="session")
                group.create_task(self._speak(session), name="speaker")
        except* LinkLostError:
            pass  # the reader's own error says more, and is in the group too
        finally:
            self.link.session = None
            self._tariff_and_cost.link_lost()
            self._offline_since_s = self._clock.monotonic()
            await self._mark_offline()

    async def _speak(self, session: Session) -> None:
        """What the station says of its own accord on a link."""
        fresh = not self.gate.accepted
        await self._boot.be_accepted(session)
        everything = fresh or self._offline_too_long()
        self._signing.look()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._boot.beat(session), name="heartbeat")
                group.create_task(self._availability.report(everything=everything), name="status")
                group.create_task(self._delivery.run(self._transactions.send), name="delivery")
                group.create_task(self._security_delivery.run(), name="security-events")
                group.create_task(self._firmware.report(), name="firmware-status")
                group.create_task(self._charging_limits.report(), name="charging-limits")
                group.create_task(self._problems.report(), name="problems")
        except* LinkLostError:
            pass

    async def _use_new_certificate(self) -> None:
        """A02.FR.08: connect anew, where the station shows a certificate at all."""
        if self.security_profile == 3:
            await self.connection.reconnect()

    def _offline_too_long(self) -> bool:
        """B04.FR.01: after a long absence all statuses are told anew, however the time was set meanwhile."""
        if self._offline_since_s is None:
            return True
        offline_s = self._clock.monotonic() - self._offline_since_s
        return offline_s > self._station.settings.offline_threshold_s

    async def _mark_offline(self) -> None:
        try:
            await self._station.outbox.mark_offline()
        except StorageError as error:
            _log.error("queued events could not be marked as offline: %s", error)

    def _synchronise(self, moment: datetime) -> None:
        """B01.FR.06: the clock follows the CSMS where Heartbeat is a time source, and the best that answers."""
        correction = moment - self._clock.now()
        if not self._time.follows_csms:
            self._time.note_ignored_csms(correction)
        elif abs(correction.total_seconds()) >= _SMALLEST_CORRECTION_S:
            _log.info("clock corrected by %+.1f s", correction.total_seconds())
            self._clock.adjust(correction)
            self._time.heard(TimeSource.CSMS, correction)
            for evse in self._station.evses.values():
                evse.sampler.poke()  # aligned moments are others now
            if abs(correction.total_seconds()) > self._station.settings.time_adjustment_reporting_threshold_s:
                self._report(SecurityEventType.SETTING_SYSTEM_TIME, f"{correction.total_seconds():+.1f} s")
        else:
            self._time.heard(TimeSource.CSMS, timedelta(0))

    def _note_invalid(self, why: str) -> None:
        """A frame was not a valid OCPP message: part 2, appendix 1, InvalidMessages."""
        now_s = self._clock.monotonic()
        if self._invalid_reported_s is None or now_s - self._invalid_reported_s >= _INVALID_MESSAGES_S:
            self._invalid_reported_s = now_s
            self._report(SecurityEventType.INVALID_MESSAGES, why)

    def _report(self, kind: SecurityEventType, info: str) -> None:
        self._errands.start("security event", lambda: self._security_events.report(kind, info))

    def _take_samples(self) -> None:
        for evse in self._station.evses.values():
            evse.sampler.on_idle_sample = lambda value, evse_id=evse.id: self._meter_values.report(evse_id, value)
