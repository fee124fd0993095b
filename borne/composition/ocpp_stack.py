"""Creates the OCPP stack of a station: its blocks, subscribed to each other's events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foundation.supervision import FollowUpTasks
from ocpp_handlers.blocks.a_certificate_signing import CertificateRequester, CertificateSigning
from ocpp_handlers.blocks.a_security_events import LinkSecurityReports, SecurityEventDelivery
from ocpp_handlers.blocks.b_network_profile import NetworkProfileBlock
from ocpp_handlers.blocks.b_provisioning import Provisioning
from ocpp_handlers.blocks.b_reports import DeviceModelReports
from ocpp_handlers.blocks.c_authorization import AuthorizationBlock
from ocpp_handlers.blocks.d_local_list import LocalListBlock
from ocpp_handlers.blocks.e_transactions import TransactionBlock
from ocpp_handlers.blocks.f_remote_control import RemoteControl
from ocpp_handlers.blocks.f_trigger_message import BootTriggers, TriggerMessage
from ocpp_handlers.blocks.g_availability import AvailabilityBlock
from ocpp_handlers.blocks.h_reservation import ReservationBlock
from ocpp_handlers.blocks.i_tariff import TariffBlock
from ocpp_handlers.blocks.j_meter_values import MeterValueBlock
from ocpp_handlers.blocks.k_external_limits import ExternalLimitReports
from ocpp_handlers.blocks.k_smart_charging import SmartCharging
from ocpp_handlers.blocks.l_firmware import FirmwareBlock
from ocpp_handlers.blocks.m_certificates import CertificateBlock
from ocpp_handlers.blocks.n_customer_information import CustomerInformationBlock
from ocpp_handlers.blocks.n_event_delivery import MonitoringEventDelivery
from ocpp_handlers.blocks.n_event_streams import EventStreamBlock
from ocpp_handlers.blocks.n_log_upload import LogUploadBlock
from ocpp_handlers.blocks.n_monitoring import MonitoringBlock
from ocpp_handlers.blocks.o_display_messages import DisplayMessageBlock
from ocpp_handlers.blocks.p_data_transfer import DataTransfer
from ocpp_handlers.connection.boot import BootMessageFilter, Identification, Registration
from ocpp_handlers.connection.connection import Connection, CsmsAccess
from ocpp_handlers.connection.csms_time import ClockSynchronization
from ocpp_handlers.connection.delivery import TransactionEventDelivery
from ocpp_handlers.connection.link import Link
from ocpp_handlers.connection.sessions import SessionFactory
from ocpp_handlers.stack import OcppStack
from station.core.model import BootReason
from station.security.certificates.renewals import StationCertificateRenewal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from borne.composition.assembled_parts import AssembledParts
    from foundation.events import Unsubscribe
    from ocpp_handlers.blocks.k_vehicles import VehicleBlock
    from ocpp_handlers.blocks.m_certificate_status import CertificateStatusRequests
    from ocpp_handlers.variables.device_model import DeviceModel
    from ocpp_handlers.wire.session import FunctionalBlock, ObservedFrame
    from station.charging.sampler import Sampler
    from station.maintenance.monitoring.variable_monitoring import VariableMonitoring


class StackParts:
    """Creates the parts of one OCPP stack, and the stack from them; a new instance for each start of the stack.

    `access`: how the CSMS is reached; `model`: the device model that the CSMS reads and writes; `monitoring`: its
    monitors.
    """

    def __init__(
        self, assembled: AssembledParts, access: CsmsAccess, model: DeviceModel, monitoring: VariableMonitoring
    ) -> None:
        self._core, self._charging, self._load_parts = assembled.core, assembled.charging, assembled.load
        self._billing, self._maintenance = assembled.billing, assembled.maintenance
        self._display, self._vehicle = assembled.display, assembled.vehicle
        core, charging, load_parts = assembled.core, assembled.charging, assembled.load
        maintenance = assembled.maintenance
        self._model, self._monitoring = model, monitoring
        settings, clock = core.settings, core.clock
        gate = self._gate = BootMessageFilter()
        follow_ups = self._follow_ups = FollowUpTasks()
        link = self._link = Link(gate, settings.csms_link, clock)
        self._boot = self._make_boot()
        self._connection = Connection(
            access, settings.csms_link, settings.security, clock, core.security_events, core.auxiliary
        )
        self.connected_changed = self._connection.connected_changed
        """published when the websocket to the CSMS opens or ends"""
        self.authorization = AuthorizationBlock(link, charging.tokens, settings.authorization)
        """the block that asks the CSMS for authorizations"""
        self._availability = AvailabilityBlock(
            link, charging.evses, charging.availability, settings.transactions, clock
        )
        self._reservations = ReservationBlock(
            link,
            charging.evses.values(),
            charging.reservations,
            self._availability,
            clock,
        )
        self._tariff = TariffBlock(assembled.billing.tariff_and_cost)
        self._transactions = TransactionBlock(link, charging.station, self._tariff, load_parts.load.priorities)
        self._meter_values = MeterValueBlock(link, charging.station, follow_ups, settings.sampling)
        self._charging_limits = ExternalLimitReports(link, load_parts.external_limits, settings.smart_charging, clock)
        self._firmware = FirmwareBlock(link, maintenance.firmware, clock)
        self.vehicles = self._make_vehicle_block()
        """the block that passes on what vehicles tell and ask; None: the station has no SECC"""
        self._certificate_signing = self._make_certificate_signing()
        self._certificate_statuses = self._make_certificate_statuses()
        self._log_uploads = LogUploadBlock(link, maintenance.uploads, clock)
        self._event_streams = EventStreamBlock(link, model, monitoring, clock, core.auxiliary)
        self._data_transfer = DataTransfer(link)
        self._sessions = SessionFactory(
            self._blocks(), gate, core.network, follow_ups, clock, taps=core.runtime.transport_taps
        )
        self.invalid_own_message = self._sessions.events.invalid_own_message
        """published for each message of the station that its schema refuses"""
        self._delivery = TransactionEventDelivery(core.outbox, self._transactions.send, settings.csms_link, clock)

    def create_stack(self) -> OcppStack:
        """Create the stack and subscribe its parts to each other; connects nothing before its `run`. Call it once."""
        core = self._core
        security_events = SecurityEventDelivery(core.security_events, self._link, core.settings.csms_link, core.clock)
        monitoring_events = MonitoringEventDelivery(
            self._monitoring.queue, self._model, self._link, core.settings.csms_link, core.clock
        )
        stack = OcppStack(
            self._link,
            self._connection,
            self._sessions,
            self._boot,
            self._follow_ups,
            data_transfer=self._data_transfer,
            tasks={
                "signing": self._certificate_signing.run,
                "status-changes": self._availability.run,
                "log-upload-status": self._log_uploads.run,
                "frame-numbers": self._maintenance.frame_store.reserve_numbers,
            },
            link_tasks={
                "status": self._availability.report,
                "delivery": self._delivery.run,
                "security-events": security_events.run,
                "firmware-status": self._firmware.report,
                "charging-limits": self._charging_limits.report,
                "reservations": self._reservations.report,
                "monitoring-events": monitoring_events.run,
                "event-streams": self._event_streams.keep_open,
                "event-stream-values": self._event_streams.send_values,
                **(
                    {"certificate-status": statuses.run} if (statuses := self._certificate_statuses) is not None else {}
                ),
            },
            after_link=self._delivery.mark_offline,
            clock=core.clock,
        )
        self._subscribe_to_link()
        self._subscribe_to_messages()
        return stack

    def subscribe_samples(self, evse_id: int, sampler: Sampler) -> Unsubscribe:
        """Send the CSMS each meter sample of an EVSE without a transaction, until the returned function is called."""
        return self._core.auxiliary.subscribe(
            sampler.idle_sample, lambda value: self._meter_values.report(evse_id, value)
        )

    def subscribe_secc_certificates(self) -> Unsubscribe:
        """Request the status of each chain of an SECC that is installed, until the returned function is called."""
        secc, statuses = self._vehicle.secc, self._certificate_statuses
        if secc is None or statuses is None:
            return lambda: None
        return self._core.auxiliary.subscribe(secc.certificates.changed, statuses.request_for)

    def _make_boot(self) -> Registration:
        core, firmware, station = self._core, self._maintenance.firmware, self._core.configuration.station
        version = firmware.version or station.firmware_version
        identification = Identification(
            station.model, station.vendor, station.serial_number, version, station.iccid, station.imsi
        )
        reason = BootReason.FIRMWARE_UPDATE if firmware.booted_new_firmware else core.runtime.boot_reason
        return Registration(
            self._gate, identification, core.settings.csms_link, core.clock, core.auxiliary, reason=reason
        )

    def _make_certificate_signing(self) -> CertificateSigning:
        core, station, secc = self._core, self._core.configuration.station, self._vehicle.secc
        settings, clock = core.settings.security, core.clock
        renewal = StationCertificateRenewal(core.certificates, settings, station.serial_number or station.identity)
        return CertificateSigning(
            CertificateRequester(self._link, renewal, settings, clock),
            core.certificates,
            self._connection.use_new_certificate,
            {
                evse_id: (CertificateRequester(self._link, secc_renewal, settings, clock), secc_renewal)
                for evse_id, secc_renewal in self._vehicle.renewals.items()
            },
            secc.certificates if secc is not None else None,
        )

    def _make_vehicle_block(self) -> VehicleBlock | None:
        if self._vehicle.secc is None:
            return None
        from ocpp_handlers.blocks.k_vehicles import VehicleBlock  # late: few have an SECC

        return VehicleBlock(self._link)

    def _make_certificate_statuses(self) -> CertificateStatusRequests | None:
        """What requests the OCSP status of the certificates of SECCs; None: the station has none."""
        secc = self._vehicle.secc
        if secc is None:
            return None
        from ocpp_handlers.blocks.m_certificate_status import CertificateStatusRequests  # late: few have an SECC

        return CertificateStatusRequests(self._link, secc.credentials, secc.statuses, self._core.clock)

    def _blocks(self) -> Sequence[FunctionalBlock]:
        """The blocks that answer requests of the CSMS."""
        core, charging, load, link = self._core, self._charging, self._load_parts.load, self._link
        settings, aside, secc = core.settings, core.safe_start.rows, self._vehicle.secc
        return (
            Provisioning(link, self._model, charging.restart, settings.variable_requests),
            DeviceModelReports(link, self._model, settings.variable_requests, core.clock),
            self._availability,
            self._reservations,
            self.authorization,
            LocalListBlock(charging.local_list, settings.variable_requests),
            self._transactions,
            self._tariff,
            RemoteControl(self._gate, charging.station, load.profiles, settings.smart_charging, load.decisions.request),
            self._triggers(),
            self._firmware,
            SmartCharging(
                link, charging.station, load, self._vehicle.vehicles, settings.smart_charging, aside, core.clock
            ),
            NetworkProfileBlock(core.network, link),
            CertificateBlock(core.certificates, core.network, secc.certificates if secc is not None else None),
            self._certificate_signing,
            self._log_uploads,
            CustomerInformationBlock(link, self._maintenance.customers, core.clock),
            self._event_streams,
            MonitoringBlock(link, self._model, self._monitoring, settings.variable_requests, aside, core.clock),
            DisplayMessageBlock(link, self._display.messages, aside),
            self._data_transfer,
        )

    def _triggers(self) -> TriggerMessage:
        """The handler of TriggerMessage, with the block for each message."""
        boot = BootTriggers(self._link, self._boot)
        return TriggerMessage(
            self._charging.evses,
            of_station={
                "BootNotification": boot.trigger_boot_notification,
                "Heartbeat": boot.trigger_heartbeat,
                "SignChargingStationCertificate": self._certificate_signing.station.trigger,
                "FirmwareStatusNotification": self._firmware.trigger,
                "LogStatusNotification": self._log_uploads.trigger,
            },
            of_evses={
                "StatusNotification": self._availability.trigger,
                "MeterValues": self._meter_values.trigger,
                "TransactionEvent": self._transactions.trigger,
                **({"SignV2GCertificate": self._certificate_signing.trigger_v2g} if self._vehicle.secc else {}),
            },
        )

    def _subscribe_to_link(self) -> None:
        """Subscribe the blocks to the begin and end of a link."""
        link, tariff_and_cost, detection = self._link, self._billing.tariff_and_cost, self._monitoring.detection
        auxiliary = self._core.auxiliary
        auxiliary.subscribe(link.switched, lambda _: self._charging_limits.forget_reported())
        auxiliary.subscribe(link.switched, lambda _: detection.forget_reported())
        auxiliary.subscribe(link.up, self._availability.prepare_reports)
        auxiliary.subscribe(link.up, lambda _: self._certificate_signing.check_expiry())
        auxiliary.subscribe(link.up, lambda _: self._vehicle.vehicles.refresh())
        auxiliary.subscribe(link.lost, lambda _: self._vehicle.vehicles.refresh())
        auxiliary.subscribe(link.up, lambda _: detection.report_current())
        auxiliary.subscribe(link.lost, lambda _: tariff_and_cost.link_lost())
        auxiliary.subscribe(link.lost, lambda _: detection.mark_offline())
        auxiliary.subscribe(link.up, lambda _: self._maintenance.light.refresh())
        auxiliary.subscribe(link.lost, lambda _: self._maintenance.light.refresh())

    def _subscribe_to_messages(self) -> None:
        """Subscribe the clock, the frame log and the security reports to received messages."""
        core, evses, auxiliary = self._core, self._charging.assemblies, self._core.auxiliary
        synchronization = ClockSynchronization(self._billing.time, core.clock)
        reports = LinkSecurityReports(core.security_events, self._follow_ups, core.settings.clock, core.clock)

        def reschedule_samples(_: timedelta) -> None:
            for evse in evses.values():
                evse.sampler.reschedule()  # clock-aligned times have moved

        auxiliary.subscribe(self._boot.time_received, synchronization.synchronize)
        auxiliary.subscribe(synchronization.corrected, reschedule_samples)
        auxiliary.subscribe(synchronization.corrected, lambda _: self._monitoring.detection.reschedule())
        auxiliary.subscribe(synchronization.corrected, reports.report_clock_correction)
        auxiliary.subscribe(self._sessions.events.invalid_message, reports.report_invalid_message)
        auxiliary.subscribe(self._sessions.events.frame_observed, self._log_frame)

    def _log_frame(self, observed: ObservedFrame) -> None:
        """Store a frame in the frame log, and publish it to the event feed if somebody listens."""
        frame, feed = self._maintenance.frames.append(observed), self._core.runtime.feed
        if feed.has_listener("frame"):
            feed.publish(
                "frame",
                number=frame.number,
                at=frame.at.isoformat(),
                direction=frame.direction,
                text=frame.text,
                note=frame.note,
            )
