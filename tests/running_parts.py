"""The parts of a running station, by plain names for tests."""

from __future__ import annotations

from typing import TypeVar

from borne.station_settings import StationSettings
from foundation.clock import Clock
from station.billing.prices import Prices
from station.billing.tariff_and_cost import TariffAndCost
from station.billing.transaction_log import TransactionLog
from station.charging.authorization.authorization_cache import AuthorizationCache
from station.charging.authorization.owner_cards import OwnerCards
from station.charging.billing_meters import BillingMeters
from station.charging.charging_station import ChargingStation
from station.charging.reservations.reservations import Reservations
from station.charging.signing.reading_signer import ReadingSigner
from station.core.csms import CsmsLink, Variables
from station.core.setting_groups import SettingGroups
from station.core.setting_values import SettingGroup
from station.interfaces.part_keys import CLOCK, CSMS_LINK, DEVICE_MODEL
from station.interfaces.parts import StationParts
from station.interfaces.status_light import StatusLight
from station.load.load_history import LoadHistory
from station.load.load_management import LoadManagement
from station.load.residual_current import ResidualCurrentGuard
from station.load.shared_limits import SharedLimits
from station.load.tamper import TamperAlarm
from station.maintenance.commissioning.activation import StationActivation
from station.maintenance.firmware.firmware import FirmwareUpdates
from station.maintenance.logs.store import LogStore
from station.maintenance.monitoring.variable_monitoring import VariableMonitoring
from station.security.access.sign_in_service import SignInService
from station.security.certificates.certificate_store import CertificateStore
from station.security.credentials import Credentials
from station.security.network_profiles import NetworkProfiles
from station.security.security_events import SecurityEvents
from station.storage.outbox import Outbox
from station.storage.unreadable_rows import UnreadableRows

Group = TypeVar("Group", bound=SettingGroup)


class RunningParts:
    """The parts of one run of a station."""

    def __init__(self, parts: StationParts) -> None:
        self.parts = parts

    def settings(self, group: type[Group]) -> Group:
        """A group of settings, by its class."""
        return self.parts.get(group)

    @property
    def setting_groups(self) -> SettingGroups:
        """All groups of settings."""
        return SettingGroups([self.parts.get(type(group)) for group in StationSettings().groups.groups])

    @property
    def clock(self) -> Clock:
        """The clock of the station."""
        return self.parts.get(CLOCK)

    @property
    def link(self) -> CsmsLink | None:
        """The present link to the CSMS."""
        return self.parts.find(CSMS_LINK)

    @property
    def variables(self) -> Variables:
        """The device model."""
        return self.parts.get(DEVICE_MODEL)

    @property
    def station(self) -> ChargingStation:
        """The charging station."""
        return self.parts.get(ChargingStation)

    @property
    def outbox(self) -> Outbox:
        """The transaction events, stored until delivered."""
        return self.parts.get(Outbox)

    @property
    def load(self) -> LoadManagement:
        """The load management."""
        return self.parts.get(LoadManagement)

    @property
    def access(self) -> SignInService:
        """The sign-in service."""
        return self.parts.get(SignInService)

    @property
    def security_events(self) -> SecurityEvents:
        """The security log."""
        return self.parts.get(SecurityEvents)

    @property
    def credentials(self) -> Credentials:
        """The password of the station at the CSMS."""
        return self.parts.get(Credentials)

    @property
    def certificates(self) -> CertificateStore:
        """The certificates."""
        return self.parts.get(CertificateStore)

    @property
    def network(self) -> NetworkProfiles:
        """The network profiles."""
        return self.parts.get(NetworkProfiles)

    @property
    def tokens(self) -> AuthorizationCache:
        """The authorization cache."""
        return self.parts.get(AuthorizationCache)

    @property
    def reservations(self) -> Reservations:
        """The reservations."""
        return self.parts.get(Reservations)

    @property
    def cards(self) -> OwnerCards:
        """The cards of the owner."""
        return self.parts.get(OwnerCards)

    @property
    def meters(self) -> BillingMeters:
        """The billing meters."""
        return self.parts.get(BillingMeters)

    @property
    def shared_limits(self) -> SharedLimits:
        """The limits set by the owner and by others."""
        return self.parts.get(SharedLimits)

    @property
    def residual(self) -> ResidualCurrentGuard:
        """The guard of the residual current."""
        return self.parts.get(ResidualCurrentGuard)

    @property
    def tamper(self) -> TamperAlarm:
        """The tamper alarm."""
        return self.parts.get(TamperAlarm)

    @property
    def history(self) -> LoadHistory:
        """The load history."""
        return self.parts.get(LoadHistory)

    @property
    def activation(self) -> StationActivation:
        """The activation of the station."""
        return self.parts.get(StationActivation)

    @property
    def firmware(self) -> FirmwareUpdates:
        """The firmware updates."""
        return self.parts.get(FirmwareUpdates)

    @property
    def log(self) -> LogStore:
        """The log."""
        return self.parts.get(LogStore)

    @property
    def light(self) -> StatusLight:
        """The status light."""
        return self.parts.get(StatusLight)

    @property
    def transactions(self) -> TransactionLog:
        """The transaction log."""
        return self.parts.get(TransactionLog)

    @property
    def prices(self) -> Prices:
        """The prices of the owner."""
        return self.parts.get(Prices)

    @property
    def tariff_and_cost(self) -> TariffAndCost:
        """The tariff and the cost of each charge."""
        return self.parts.get(TariffAndCost)

    @property
    def unreadable(self) -> UnreadableRows:
        """The rows of the storage that cannot be read."""
        return self.parts.get(UnreadableRows)

    def signer(self, evse_id: int) -> ReadingSigner:
        """The signer of the readings of an EVSE."""
        signing = self.station.assemblies[evse_id].signing
        assert signing is not None, "this EVSE does not sign"
        return signing.signatures

    @property
    def monitoring(self) -> VariableMonitoring:
        """The monitors of the station."""
        return self.parts.get(VariableMonitoring)
