"""The variables of the link to the CSMS: network profiles, security profile, identity and password (A, B09, B10)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from foundation.events import Event
from ocpp_handlers.variables.setting_binding import SettingBinding
from ocpp_handlers.variables.variable import (
    Component,
    DataType,
    Mutability,
    Variable,
    create_variable,
    read_only_variable,
)
from station.core.identifiers import MAX_CSMS_PASSWORD
from station.core.setting_groups import SettingGroups
from station.core.setting_kinds import Integer
from station.security.network_profiles import SLOTS, NetworkProfiles
from station.security.security_events import SecurityEventType
from station.security.security_settings import SecuritySettings

if TYPE_CHECKING:
    from foundation.supervision import AuxiliaryCalls
    from ocpp_handlers.connection.connection import CsmsAccess
    from station.security.credentials import Credentials
    from station.security.security_events import SecurityEvents

_OCPP_COMM_CTRLR = Component("OCPPCommCtrlr")
_SECURITY_CTRLR = Component("SecurityCtrlr")
_SLOTS = tuple(str(slot) for slot in SLOTS)
_LONGEST_IDENTITY = 48


def link_variables(
    access: CsmsAccess, password: PasswordVariable, settings: SecuritySettings, auxiliary: AuxiliaryCalls
) -> Iterator[Variable]:
    """Yield the variables of network profiles, SecurityProfile, Identity, BasicAuthPassword, and the downgrade setting.

    AllowSecurityProfileDowngrade is a setting that only the installation file can make writable for the CSMS; the other
    settings of the link are in `setting_variables`.
    """
    yield from _network_variables(access.network)
    yield read_only_variable(
        _SECURITY_CTRLR, "Identity", DataType.STRING, lambda: access.identity, maximum=_LONGEST_IDENTITY, constant=True
    )
    yield password.variable()
    # The installer decides: read-only for the CSMS, unless the installation file makes it writable (A00.FR.005).
    downgrade = SecuritySettings.allow_security_profile_downgrade
    yield SettingBinding(SettingGroups((settings,)), auxiliary).variable(
        _SECURITY_CTRLR, "AllowSecurityProfileDowngrade", downgrade, mutability=Mutability.READ_ONLY
    )


class PasswordVariable:
    """Creates the write-only variable BasicAuthPassword (A01), and publishes each change by the CSMS.

    A written password is checked and stored, and reported as a security event without its text.
    """

    def __init__(self, identity: str, credentials: Credentials, security_events: SecurityEvents) -> None:
        self._identity = identity
        self._credentials = credentials
        self._security_events = security_events
        self.written: Event[None] = Event()
        """the CSMS has set another password; it is stored, and used from the next connection on"""

    def variable(self) -> Variable:
        """Create BasicAuthPassword for the device model; reading it returns an empty text."""
        return create_variable(
            _SECURITY_CTRLR,
            "BasicAuthPassword",
            DataType.STRING,
            Mutability.WRITE_ONLY,
            lambda: "",
            write=self._write,
            override=self._credentials.override,
            maximum=MAX_CSMS_PASSWORD,
        )

    async def _write(self, password: str) -> None:
        if ":" in self._identity:  # A00.FR.204, A00.FR.303
            raise ValueError("cannot be used: the station identity contains a colon")
        await self._credentials.change(password)
        # A01.FR.11, A01.FR.12: report the change, never the password.
        await self._security_events.report(
            SecurityEventType.RECONFIGURATION_OF_SECURITY_PARAMETERS, "BasicAuthPassword was changed"
        )
        self.written.publish(None)


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
