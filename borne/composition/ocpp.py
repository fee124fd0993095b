"""The station's side of OCPP: its device model, and the stack that keeps a link to the CSMS."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from foundation.supervision import Errands
from ocpp_handlers.blocks.a_certificate_signing import CertificateSigning
from ocpp_handlers.blocks.a_security_events import LinkSecurityReports, SecurityEventDelivery
from ocpp_handlers.blocks.b_network_profile import NetworkProfileBlock
from ocpp_handlers.blocks.b_provisioning import Provisioning
from ocpp_handlers.blocks.b_reports import Reports
from ocpp_handlers.blocks.c_authorization import AuthorizationBlock
from ocpp_handlers.blocks.e_transactions import Transactions
from ocpp_handlers.blocks.f_remote_control import RemoteControl
from ocpp_handlers.blocks.f_trigger_message import BootTriggers, TriggerMessage
from ocpp_handlers.blocks.g_availability import AvailabilityBlock
from ocpp_handlers.blocks.i_tariff import TariffBlock
from ocpp_handlers.blocks.j_meter_values import MeterValues
from ocpp_handlers.blocks.k_external_limits import ChargingLimits
from ocpp_handlers.blocks.k_smart_charging import SmartCharging
from ocpp_handlers.blocks.l_firmware import FirmwareBlock
from ocpp_handlers.blocks.m_certificates import CertificateBlock
from ocpp_handlers.blocks.n_customer_information import CustomerInformationBlock
from ocpp_handlers.blocks.n_log_upload import Diagnostics
from ocpp_handlers.blocks.n_problems import Problems
from ocpp_handlers.blocks.p_data_transfer import DataTransfer
from ocpp_handlers.bounds import bound_variables
from ocpp_handlers.connection.boot import Boot, BootGate, Identification
from ocpp_handlers.connection.connection import Access, Connection
from ocpp_handlers.connection.csms_time import ClockSynchronization
from ocpp_handlers.connection.delivery import Delivery
from ocpp_handlers.connection.link import Link
from ocpp_handlers.connection.sessions import SessionFactory
from ocpp_handlers.stack import OcppStack
from ocpp_handlers.station_variables import Facts, device_model
from ocpp_handlers.variables.certificate_variables import certificate_variables
from ocpp_handlers.variables.device_model import AttributeType, Mutability, Place
from ocpp_handlers.variables.installed_variables import InstalledVariables, Row
from ocpp_handlers.variables.link_variables import PasswordVariable, link_variables
from ocpp_handlers.variables.physical_variables import Nameplate
from ocpp_handlers.wire import timestamps
from station.core.model import BootReason
from station.storage.fact_store import FactStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from borne.life import Life
    from borne.program import Program
    from ocpp_handlers.variables.device_model import DeviceModel
    from ocpp_handlers.wire.session import FunctionalBlock, ObservedFrame
    from station.charging.evse import Evse
    from station.configuration.installation_file import Configuration
    from station.storage.database import Database


class OcppComposition:
    """Puts the OCPP side of a station together."""

    def __init__(self, life: Life, program: Program) -> None:
        self._life = life
        self._program = program
        identity = program.configuration.station.identity
        self._access = Access(identity, life.network, life.credentials, life.certificates)
        self._password = PasswordVariable(identity, life.credentials, life.security_events)

    async def describe(self, database: Database) -> DeviceModel:
        """The device model, with the values that the installation file puts in place of defaults.

        Raises:
            StorageError: the variables that the CSMS has written cannot be read.
        """
        life, configuration = self._life, self._program.configuration
        settings = life.station.settings
        facts = Facts(
            now=lambda: timestamps.encode(life.clock.now()),
            station=life.station,
            plate=_nameplate(configuration, life.firmware.version),
            connected=lambda: life.link is not None and life.link.connected,
            profiles=lambda: len(life.load.profiles.store.all()),
        )
        model = device_model(settings, facts)
        for variable in (
            *certificate_variables(settings, life.certificates),
            *link_variables(self._access, self._password, settings),
            *bound_variables(),
        ):
            model.add(variable)
        await InstalledVariables(model, FactStore(database, "variable")).put(_rows(configuration))
        return model

    async def keep_link(self, model: DeviceModel) -> None:
        """Build the OCPP stack and keep the link; the station charges without waiting for this."""
        parts = _StackParts(self._life, self._program, self._access, model)
        stack = parts.stack()
        with contextlib.ExitStack() as subscriptions:
            # What is subscribed to here outlives the stack, which is built anew after a failure.
            subscriptions.callback(self._password.written.subscribe(lambda _: stack.use_new_password()))
            for evse in self._life.station.evses.values():
                _report_samples(evse, parts.meter_values, subscriptions)
            self._life.station.connect(parts.authorization)
            self._life.link = stack
            await stack.run()


class _StackParts:
    """The parts of one OCPP stack."""

    def __init__(self, life: Life, program: Program, access: Access, model: DeviceModel) -> None:
        self._life, self._program, self._model = life, program, model
        station, settings, clock = life.station, life.station.settings, life.clock
        gate = self._gate = BootGate()
        errands = self._errands = Errands()
        link = self._link = Link(gate, settings, clock)
        self._boot = self._make_boot()
        self._connection = Connection(access, settings, clock, life.security_events)
        self.authorization = AuthorizationBlock(link, station.tokens, settings)
        self._availability = AvailabilityBlock(link, station.evses, station.availability, settings, clock)
        self._problems = Problems(link, station.evses.values(), clock)
        self._tariff = TariffBlock(life.tariff_and_cost)
        self._transactions = Transactions(link, station, self._tariff, life.load.priorities)
        self.meter_values = MeterValues(link, errands, settings)
        self._charging_limits = ChargingLimits(link, life.external_limits, settings, clock)
        self._firmware = FirmwareBlock(link, life.firmware, clock)
        self._signing = self._make_signing()
        self._diagnostics = Diagnostics(link, life.uploads, clock)
        self._data_transfer = DataTransfer(link)
        self._sessions = SessionFactory(self._blocks(), gate, life.network, errands, clock)
        self._delivery = Delivery(station.outbox, self._transactions.send, settings, clock)

    def stack(self) -> OcppStack:
        """The stack, whose parts listen to each other."""
        life = self._life
        security_events = SecurityEventDelivery(life.security_events, self._link, life.station.settings, life.clock)
        stack = OcppStack(
            self._link,
            self._connection,
            self._sessions,
            self._boot,
            self._errands,
            data_transfer=self._data_transfer,
            tasks={
                "signing": self._signing.run,
                "status-changes": self._availability.run,
                "log-upload-status": self._diagnostics.run,
            },
            link_tasks={
                "status": self._availability.report,
                "delivery": self._delivery.run,
                "security-events": security_events.run,
                "firmware-status": self._firmware.report,
                "charging-limits": self._charging_limits.report,
                "problems": self._problems.report,
            },
            after_link=self._delivery.mark_offline,
        )
        self._subscribe_to_link()
        self._subscribe_to_messages()
        return stack

    def _make_boot(self) -> Boot:
        life, who = self._life, self._program.configuration.station
        version = life.firmware.version or who.firmware_version
        identification = Identification(who.model, who.vendor, who.serial_number, version, who.iccid, who.imsi)
        reason = BootReason.FIRMWARE_UPDATE if life.firmware.boots_anew else self._program.boot_reason
        return Boot(self._gate, identification, life.station.settings, life.clock, reason=reason)

    def _make_signing(self) -> CertificateSigning:
        life, who = self._life, self._program.configuration.station
        serial_number, switch = who.serial_number or who.identity, self._connection.use_new_certificate
        return CertificateSigning(
            self._link, life.certificates, life.station.settings, life.clock, serial_number, switch
        )

    def _blocks(self) -> Sequence[FunctionalBlock]:
        """What answers the requests of the CSMS."""
        life, station, link = self._life, self._life.station, self._link
        return (
            Provisioning(self._model, station.restart, station.settings),
            Reports(link, self._model, station.settings, life.clock),
            self._availability,
            self.authorization,
            self._transactions,
            self._tariff,
            RemoteControl(self._gate, station, life.load.profiles, life.load.poke),
            self._triggers(),
            self._firmware,
            SmartCharging(link, station, life.load),
            NetworkProfileBlock(life.network),
            CertificateBlock(life.certificates, life.network),
            self._signing,
            self._diagnostics,
            CustomerInformationBlock(link, life.customers, life.clock),
            self._data_transfer,
        )

    def _triggers(self) -> TriggerMessage:
        """The messages that the CSMS can ask for, each with the block that sends it."""
        boot = BootTriggers(self._link, self._boot)
        return TriggerMessage(
            self._life.station.evses,
            of_station={
                "BootNotification": boot.boot_notification,
                "Heartbeat": boot.heartbeat,
                "SignChargingStationCertificate": self._signing.trigger,
                "FirmwareStatusNotification": self._firmware.trigger,
                "LogStatusNotification": self._diagnostics.trigger,
            },
            of_evses={
                "StatusNotification": self._availability.trigger,
                "MeterValues": self.meter_values.trigger,
                "TransactionEvent": self._transactions.trigger,
            },
        )

    def _subscribe_to_link(self) -> None:
        """What the blocks do when a link begins or is lost."""
        link, tariff_and_cost = self._link, self._life.tariff_and_cost
        link.switched.subscribe(lambda _: self._charging_limits.begin_anew())
        link.switched.subscribe(lambda _: self._problems.begin_anew())
        link.up.subscribe(self._availability.link_up)
        link.up.subscribe(lambda _: self._signing.check_expiry())
        link.lost.subscribe(lambda _: tariff_and_cost.link_lost())

    def _subscribe_to_messages(self) -> None:
        """The clock follows the CSMS, frames are shown, and what is suspicious becomes a security event."""
        life, evses = self._life, self._life.station.evses
        synchronization = ClockSynchronization(life.time, life.clock)
        reports = LinkSecurityReports(life.security_events, self._errands, life.station.settings, life.clock)

        def sample_anew(_: timedelta) -> None:
            for evse in evses.values():
                if evse.sampler is not None:
                    evse.sampler.poke()  # aligned moments are others now

        self._boot.time_received.subscribe(synchronization.synchronize)
        synchronization.corrected.subscribe(sample_anew)
        synchronization.corrected.subscribe(reports.clock_corrected)
        self._sessions.invalid_message.subscribe(reports.invalid_message)
        self._sessions.frame_observed.subscribe(self._show)

    def _show(self, observed: ObservedFrame) -> None:
        """Keep a frame for the page, and publish it to whoever watches the frames."""
        frame = self._life.frames.note(observed.direction, observed.text)
        self._program.feed.publish(
            "frame", number=frame.number, at=frame.at.isoformat(), direction=frame.direction, text=frame.text
        )


def _report_samples(evse: Evse, meter_values: MeterValues, subscriptions: contextlib.ExitStack) -> None:
    if evse.sampler is not None:
        unsubscribe = evse.sampler.idle_sample.subscribe(lambda value: meter_values.report(evse.id, value))
        subscriptions.callback(unsubscribe)


def _nameplate(configuration: Configuration, firmware_version: str | None) -> Nameplate:
    who, grid = configuration.station, configuration.grid
    return Nameplate(
        model=who.model,
        vendor=who.vendor,
        serial_number=who.serial_number,
        firmware_version=firmware_version or who.firmware_version,
        iccid=who.iccid,
        imsi=who.imsi,
        has_reader=bool(configuration.reader),
        feed_phases=grid.phases if grid is not None else None,
        feed_fuse_a=grid.max_current_a if grid is not None else None,
    )


def _rows(configuration: Configuration) -> list[Row]:
    """The [[variable]] tables of the installation file."""
    return [
        Row(
            Place(row.component, row.component_instance, row.evse, row.connector),
            row.variable,
            row.instance,
            AttributeType(row.attribute),
            row.value,
            Mutability(row.mutability) if row.mutability is not None else None,
        )
        for row in configuration.variable
    ]
