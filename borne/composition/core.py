"""Creates the basic parts of a station: settings, outbox, transaction log, certificates, network profiles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from borne.station_runtime import StationRuntime
from borne.station_settings import StationSettings
from foundation.byte_tap import ByteTap
from foundation.frozen import Frozen
from station.billing.transaction_log import TransactionLog
from station.core.clock_settings import ClockSettings
from station.core.model import BootReason
from station.maintenance.logs.store import LogStore
from station.maintenance.safe_start import SafeStart
from station.security.certificates.certificate_results import ConfiguredFiles
from station.security.certificates.certificate_store import CertificateStore
from station.security.certificates.contract_records import ContractRecords
from station.security.credentials import Credentials, Login
from station.security.network_profile import NetworkProfile
from station.security.network_profiles import NetworkProfiles
from station.security.profile_passwords import ProfilePasswords
from station.security.security_events import SecurityEvents, SecurityEventType
from station.storage.database import Database
from station.storage.fact_store import FactsAtStart, FactStore
from station.storage.outbox import Outbox
from station.storage.set_aside_rows import SetAsideRows
from station.storage.settings_table import SettingsTable
from station.storage.storage_monitor import StorageMonitor
from station.storage.unreadable_rows import UnreadableRows

if TYPE_CHECKING:
    from foundation.clock import Clock
    from foundation.supervision import AuxiliaryCalls
    from station.configuration.installation_file import Configuration
    from station.interfaces.parts import StationParts


class CoreParts(Frozen):
    """The parts that `create_core` creates for one run, and all others use: storage, settings, outbox, certificates."""

    runtime: StationRuntime
    """the runtime whose run this is"""
    storage: Path
    """the storage folder"""
    database: Database
    log: LogStore
    settings: StationSettings
    transactions: TransactionLog
    """the log of transactions, for bills and the page"""
    outbox: Outbox
    """the stored transaction events, and their delivery to the CSMS"""
    security_events: SecurityEvents
    certificates: CertificateStore
    """the station's certificates and trusted roots"""
    contract_records: ContractRecords
    """the contract certificates that vehicles have presented"""
    credentials: Credentials
    """the password for the CSMS"""
    network: NetworkProfiles
    """the network profiles: how CSMS are reached"""
    space: StorageMonitor
    """monitors the free disk space"""
    safe_start: SafeStart
    """sets stored rows aside after failed starts"""
    facts_at_start: FactsAtStart
    """the facts of all kinds, until the run is assembled"""

    @property
    def clock(self) -> Clock:
        """The station's clock: real, or virtual if the hardware is simulated."""
        return self.runtime.clock

    @property
    def configuration(self) -> Configuration:
        """The effective configuration: the installation file overridden by site settings and environment."""
        return self.runtime.configuration

    @property
    def auxiliary(self) -> AuxiliaryCalls:
        """Calls auxiliary parts, as listeners of events and for answers, without raising their errors."""
        return self.runtime.auxiliary

    def facts(self, kind: str) -> FactStore:
        """Open the store of small records of one kind, such as `prices`, in the station's database."""
        return FactStore(self.database, kind, self.facts_at_start)

    def add_to(self, parts: StationParts) -> None:
        """Add settings groups, outbox, certificates, network profiles and logs to `parts`, for routes of the API."""
        for group in self.settings.groups.groups:
            parts.add(type(group), group)
        parts.add(Outbox, self.outbox)
        parts.add(SecurityEvents, self.security_events)
        parts.add(CertificateStore, self.certificates)
        parts.add(Credentials, self.credentials)
        parts.add(NetworkProfiles, self.network)
        parts.add(LogStore, self.log)
        parts.add(SafeStart, self.safe_start)
        parts.add(UnreadableRows, self.database.unreadable)
        parts.add(ByteTap, self.runtime.hardware.buses.tap)


async def create_core(program: StationRuntime, database: Database, log: LogStore) -> CoreParts:
    """Create the basic parts of a run: load them from the storage, and report the boot as a security event.

    Raises:
        StorageError: the records cannot be read.
    """
    configuration, clock = program.configuration, program.clock
    storage = Path(configuration.station.storage)
    security_events = SecurityEvents(database, clock)
    safe_start = SafeStart(program.safe_start_record, SetAsideRows(database), clock)
    await safe_start.prepare()
    database.begin_start()
    await security_events.load()
    await security_events.report(_boot_event(program.boot_reason), program.boot_reason.value)
    if safe_start.active:
        await security_events.report(SecurityEventType.SAFE_START, safe_start.sentence)
    table = SettingsTable(database)
    settings = StationSettings(table)
    if (time_zone := configuration.station.time_zone) is not None:
        settings.clock.preset(ClockSettings.time_zone, time_zone)
    await settings.groups.load(table)
    transactions = TransactionLog(database)
    has_csms = configuration.csms is not None or program.site_settings.lost  # if in doubt, events wait
    outbox = Outbox(database, clock, [transactions], has_csms=has_csms)
    await outbox.check()
    certificates = CertificateStore(
        storage / "certificates", _configured_files(configuration), settings.security, clock, security_events
    )
    await certificates.load()
    credentials = Credentials(storage / "basic-auth.json", _installed_login(configuration), clock)
    passwords = ProfilePasswords(storage / "network-profile-passwords.json", clock)
    network = NetworkProfiles(database, settings.security, credentials, certificates, security_events, passwords)
    csms = configuration.csms
    await network.load(
        _network_profile(configuration), allows_downgrade=csms is not None and csms.allow_security_downgrade
    )
    facts = FactsAtStart(database)
    await facts.read()
    return CoreParts(
        program,
        storage,
        database,
        log,
        settings,
        transactions,
        outbox,
        security_events,
        certificates,
        ContractRecords(FactStore(database, "contract", facts), clock),
        credentials,
        network,
        StorageMonitor(storage, clock),
        safe_start,
        facts,
    )


def _boot_event(reason: BootReason) -> SecurityEventType:
    """The security event of a boot."""
    powered_up = reason is BootReason.POWER_UP
    return SecurityEventType.STARTUP_OF_THE_DEVICE if powered_up else SecurityEventType.RESET_OR_REBOOT


def _installed_login(configuration: Configuration) -> Login:
    csms = configuration.csms
    return Login(configuration.station.identity, csms.password if csms is not None else None)


def _network_profile(configuration: Configuration) -> NetworkProfile | None:
    """The network profile of the installation file; None without a CSMS."""
    csms = configuration.csms
    if csms is None:
        return None
    return NetworkProfile(csms.url, csms.security_profile, csms.message_timeout_s, versions=csms.versions)


def _configured_files(configuration: Configuration) -> ConfiguredFiles:
    """The certificate files named in the installation file."""
    csms = configuration.csms
    return (
        ConfiguredFiles(csms.ca_file, csms.certificate_file, csms.key_file) if csms is not None else ConfiguredFiles()
    )
