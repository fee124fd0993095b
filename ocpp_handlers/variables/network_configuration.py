"""The variables of component NetworkConfiguration: one instance per configuration slot (OCPP 2.1, B09.FR.08 to FR.35).

A slot may be written variable by variable while it is not in NetworkConfigurationPriority. What was written is checked
as a whole when the slot is added to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from foundation.frozen import Frozen
from ocpp_handlers.variables.variable import (
    Component,
    DataType,
    Mutability,
    Variable,
    VariableDescription,
    shared_description,
)
from ocpp_handlers.wire.edition import V21
from station.core.identifiers import MAX_CSMS_IDENTITY, MAX_CSMS_PASSWORD, check_csms_identity, check_url
from station.core.setting_kinds import Integer
from station.security.network_profile import LONGEST_TIMEOUT_S, NetworkProfile
from station.security.network_profiles import SLOTS

if TYPE_CHECKING:
    from foundation.events import Event
    from station.security.network_profiles import NetworkProfiles

_COMPONENT: Final = "NetworkConfiguration"
_LONGEST_URL: Final = 2_000
_INTERFACES: Final = (*(f"{kind}{number}" for kind in ("Wired", "Wireless") for number in range(4)), "Any")
_OCPP_VERSIONS: Final = ("OCPP12", "OCPP15", "OCPP16", "OCPP20", "OCPP201", "OCPP21")
_NAMES_OF_VERSIONS: Final = {"2.0.1": "OCPP201", "2.1": "OCPP21"}
_SECONDS: Final = Integer(30, minimum=1, maximum=LONGEST_TIMEOUT_S)
_SECURITY_PROFILES: Final = Integer(0, minimum=0, maximum=3)


class _Field(Frozen):
    """A variable of each slot: how it is described, read from a profile, and written to it."""

    name: str
    data_type: DataType
    read: Callable[[NetworkProfile], str]
    write: Callable[[NetworkProfile, str], NetworkProfile] | None = None
    """raises ValueError if the text is not allowed; None: read-only"""
    unit: str | None = None
    values: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None


def network_configuration(network: NetworkProfiles) -> Iterator[Variable]:
    """Yield the variables of all slots; an empty slot has no URL."""
    for slot in SLOTS:
        component = Component(_COMPONENT, str(slot))
        for field in _FIELDS:
            description = VariableDescription(
                component,
                field.name,
                field.data_type,
                Mutability.READ_WRITE if field.write is not None else Mutability.READ_ONLY,
                None,
                field.unit,
                field.values,
                field.minimum,
                field.maximum,
                since=V21,
            )
            access = _SecurityProfileAccess if field is _SECURITY_PROFILE else _FieldAccess
            yield Variable(shared_description(description), access(network, slot, field))
        password = VariableDescription(
            component,
            "BasicAuthPassword",
            DataType.STRING,
            Mutability.WRITE_ONLY,
            maximum=MAX_CSMS_PASSWORD,
            since=V21,
        )
        yield Variable(shared_description(password), _PasswordAccess(network, slot))


class _SlotAccess:
    """Access to a variable of one slot (`VariableAccess`)."""

    __slots__ = ("_network", "_slot")

    override = None
    restore = None
    preset = None

    def __init__(self, network: NetworkProfiles, slot: int) -> None:
        self._network = network
        self._slot = slot

    @property
    def changes(self) -> Event[None]:
        return self._network.changed


class _FieldAccess(_SlotAccess):
    """Access to a field of the profile of one slot."""

    __slots__ = ("_field",)

    def __init__(self, network: NetworkProfiles, slot: int, field: _Field) -> None:
        super().__init__(network, slot)
        self._field = field

    def read(self) -> str:
        return self._field.read(self._network.configuration(self._slot))

    async def write(self, text: str) -> None:
        change = self._field.write
        if change is None:
            raise ValueError("is read-only")
        await self._network.configure(self._slot, lambda profile: change(profile, text))


class _SecurityProfileAccess(_FieldAccess):
    """Access to the security profile of one slot, which may not be a downgrade."""

    __slots__ = ()

    async def write(self, text: str) -> None:
        await self._network.configure_security_profile(self._slot, _SECURITY_PROFILES.parse(text))


class _PasswordAccess(_SlotAccess):
    """Access to the password of the profile of one slot, which is never read."""

    __slots__ = ()

    def read(self) -> str:
        return ""

    async def write(self, text: str) -> None:
        await self._network.configure_password(self._slot, text)


def _with_url(profile: NetworkProfile, text: str) -> NetworkProfile:
    if len(text) > _LONGEST_URL:
        raise ValueError(f"must have at most {_LONGEST_URL} characters")
    return replace(profile, url=check_url(text))


def _with_interface(profile: NetworkProfile, text: str) -> NetworkProfile:
    return replace(profile, interface=_one_of(_INTERFACES, text))


def _with_transport(profile: NetworkProfile, text: str) -> NetworkProfile:
    _one_of(("JSON",), text)
    return profile


def _with_version(profile: NetworkProfile, text: str) -> NetworkProfile:
    return replace(profile, ocpp_version=_one_of(_OCPP_VERSIONS, text))


def _with_timeout(profile: NetworkProfile, text: str) -> NetworkProfile:
    return replace(profile, message_timeout_s=float(_SECONDS.parse(text)))


def _with_security_profile(profile: NetworkProfile, text: str) -> NetworkProfile:
    return replace(profile, security_profile=_SECURITY_PROFILES.parse(text))


def _with_identity(profile: NetworkProfile, text: str) -> NetworkProfile:
    return replace(profile, identity=check_csms_identity(text) if text else None)


def _one_of(values: tuple[str, ...], text: str) -> str:
    if text not in values:
        raise ValueError(f"must be one of {', '.join(values)}")
    return text


def _version_of(profile: NetworkProfile) -> str:
    """The version as set by a CSMS; else the preferred one that the station offers."""
    return profile.ocpp_version or _NAMES_OF_VERSIONS[profile.versions[0]]


_SECURITY_PROFILE: Final = _Field(
    "SecurityProfile",
    DataType.INTEGER,
    lambda profile: str(profile.security_profile),
    _with_security_profile,
    minimum=0,
    maximum=3,
)
_FIELDS: Final = (
    _Field("OcppCsmsUrl", DataType.STRING, lambda profile: profile.url, _with_url, maximum=_LONGEST_URL),
    _Field(
        "OcppInterface", DataType.OPTION_LIST, lambda profile: profile.interface, _with_interface, values=_INTERFACES
    ),
    _Field("OcppTransport", DataType.OPTION_LIST, lambda _: "JSON", _with_transport, values=("JSON",)),
    _Field("OcppVersion", DataType.OPTION_LIST, _version_of, _with_version, values=_OCPP_VERSIONS),
    _Field(
        "MessageTimeout",
        DataType.INTEGER,
        lambda profile: str(round(profile.message_timeout_s)),
        _with_timeout,
        unit="s",
        minimum=1,
        maximum=LONGEST_TIMEOUT_S,
    ),
    _SECURITY_PROFILE,
    _Field(
        "Identity", DataType.STRING, lambda profile: profile.identity or "", _with_identity, maximum=MAX_CSMS_IDENTITY
    ),
    # The operating system sets up the link: no VPN and no APN of its own (B09.FR.13).
    _Field("VpnEnabled", DataType.BOOLEAN, lambda _: "false"),
    _Field("ApnEnabled", DataType.BOOLEAN, lambda _: "false"),
)
