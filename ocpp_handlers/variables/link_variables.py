"""The variables of the link to the CSMS: network profiles, security profile, identity and password (A, B09, B10)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from foundation.events import Event
from ocpp_handlers.variables.network_configuration import network_configuration
from ocpp_handlers.variables.setting_binding import SettingBinding
from ocpp_handlers.variables.variable import (
    Component,
    DataType,
    Mutability,
    Variable,
    create_variable,
    read_only_variable,
)
from station.core.identifiers import MAX_CSMS_IDENTITY, MAX_CSMS_PASSWORD
from station.core.setting_groups import SettingGroups
from station.core.setting_kinds import Integer
from station.security.network_profiles import SLOTS, NetworkProfiles
from station.security.security_events import SecurityEventType
from station.security.security_settings import SecuritySettings

if TYPE_CHECKING:
    from foundation.supervision import AuxiliaryCalls
    from station.security.credentials import Credentials
    from station.security.security_events import SecurityEvents

_OCPP_COMM_CTRLR = Component("OCPPCommCtrlr")
_SECURITY_CTRLR = Component("SecurityCtrlr")
_SLOTS = tuple(str(slot) for slot in SLOTS)


def link_variables(
    network: NetworkProfiles, login: LoginVariables, settings: SecuritySettings, auxiliary: AuxiliaryCalls
) -> Iterator[Variable]:
    """Yield the variables of network profiles, SecurityProfile, Identity, BasicAuthPassword, and the downgrade setting.

    AllowSecurityProfileDowngrade is a setting that only the installation file can make writable for the CSMS; the other
    settings of the link are in `setting_variables`.
    """
    yield from _network_variables(network)
    yield from network_configuration(network)
    yield from login.variables()
    # The installer decides: read-only for the CSMS, unless the installation file makes it writable (A00.FR.005).
    downgrade = SecuritySettings.allow_security_profile_downgrade
    yield SettingBinding(SettingGroups((settings,)), auxiliary).variable(
        _SECURITY_CTRLR, "AllowSecurityProfileDowngrade", downgrade, mutability=Mutability.READ_ONLY
    )


class LoginVariables:
    """Creates the variables Identity and BasicAuthPassword (A01), and publishes each change by the CSMS.

    What is written is checked, stored and reported as a security event, the password without its text. It replaces the
    own identity or password of the active network profile (B09.FR.26, B09.FR.27).
    """

    def __init__(self, credentials: Credentials, network: NetworkProfiles, security_events: SecurityEvents) -> None:
        self._credentials = credentials
        self._network = network
        self._security_events = security_events
        self.identity_written: Event[None] = Event()
        """the CSMS has set another identity; it is stored, and used from the next connection on"""
        self.password_written: Event[None] = Event()
        """the CSMS has set another password; it is stored, and used from the next connection on"""

    def variables(self) -> Iterator[Variable]:
        """Yield both variables for the device model; reading the password returns an empty text."""
        yield create_variable(
            _SECURITY_CTRLR,
            "Identity",
            DataType.STRING,
            Mutability.READ_WRITE,
            self._identity,
            write=self._write_identity,
            maximum=MAX_CSMS_IDENTITY,
            changes=self._network.changed,
        )
        yield create_variable(
            _SECURITY_CTRLR,
            "BasicAuthPassword",
            DataType.STRING,
            Mutability.WRITE_ONLY,
            lambda: "",
            write=self._write_password,
            override=self._credentials.override,
            maximum=MAX_CSMS_PASSWORD,
        )

    def _identity(self) -> str:
        """The identity of the active connection (B09.FR.28)."""
        profile = self._network.profile
        return (profile.identity if profile is not None else None) or self._credentials.identity

    async def _write_identity(self, identity: str) -> None:
        await self._credentials.change_identity(identity)
        await self._network.use_common_identity()
        await self._report("Identity")
        self.identity_written.publish(None)

    async def _write_password(self, password: str) -> None:
        await self._credentials.change(password)
        await self._network.use_common_password()
        await self._report("BasicAuthPassword")
        self.password_written.publish(None)

    async def _report(self, name: str) -> None:
        """Report the change, never the password (A01.FR.11, A01.FR.12)."""
        await self._security_events.report(
            SecurityEventType.RECONFIGURATION_OF_SECURITY_PARAMETERS, f"{name} was changed"
        )


def _network_variables(network: NetworkProfiles) -> Iterator[Variable]:
    yield create_variable(
        _OCPP_COMM_CTRLR,
        "NetworkConfigurationPriority",
        DataType.SEQUENCE_LIST,
        Mutability.READ_WRITE,
        lambda: ",".join(str(slot) for slot in network.priority),
        write=network.set_priority,
        override=network.override_priority,
        values=_SLOTS,
        maximum=len(",".join(_SLOTS)),
        changes=network.changed,
    )
    yield read_only_variable(
        _OCPP_COMM_CTRLR,
        "ActiveNetworkProfile",
        DataType.INTEGER,
        lambda: str(network.active or ""),
        changes=network.changed,
    )
    yield read_only_variable(
        _OCPP_COMM_CTRLR,
        "MessageTimeout",
        DataType.INTEGER,
        lambda: str(round(network.message_timeout_s)),
        "Default",
        unit="s",
        fixed=True,  # the network connection profile sets it
        changes=network.changed,
    )
    number = Integer(0, maximum=3)
    yield create_variable(
        _SECURITY_CTRLR,
        "SecurityProfile",
        DataType.INTEGER,
        Mutability.READ_ONLY,
        lambda: str(network.security_profile),
        override=lambda text: network.override_security_profile(number.parse(text)),
        minimum=0,
        maximum=3,
        changes=network.changed,
    )
