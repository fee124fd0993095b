"""The variables of the link to the CSMS: where it goes, how secure it is, and who the station is (A, B09, B10)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ocpp_handlers.variables.device_model import DataType, Mutability, Place, Variable, told
from station.core.identifiers import LONGEST_PASSWORD
from station.core.setting_kinds import Integer
from station.core.settings import Settings
from station.security.network_profiles import SLOTS, NetworkProfiles
from station.security.security_events import SecurityEventType

if TYPE_CHECKING:
    from borne.life import Life

_COMM = Place("OCPPCommCtrlr")
_SECURITY = Place("SecurityCtrlr")
_SLOTS = tuple(str(slot) for slot in SLOTS)
_LONGEST_IDENTITY = 48


def link_variables(life: Life, identity: str) -> Iterator[Variable]:
    """All of them, but those that are settings only."""
    yield from _network_variables(life.network)
    yield told(_SECURITY, "Identity", DataType.STRING, lambda: identity, maximum=_LONGEST_IDENTITY)
    yield _password(life, identity)
    yield _downgrade(life.station.settings)


def _network_variables(network: NetworkProfiles) -> Iterator[Variable]:
    yield Variable(
        _COMM,
        "NetworkConfigurationPriority",
        DataType.SEQUENCE_LIST,
        Mutability.READ_WRITE,
        lambda: ",".join(str(slot) for slot in network.priority),
        write=network.prioritise,
        override=network.override_priority,
        values=_SLOTS,
        maximum=len(",".join(_SLOTS)),
    )
    yield told(_COMM, "ActiveNetworkProfile", DataType.INTEGER, lambda: str(network.active or ""))
    yield told(
        _COMM,
        "MessageTimeout",
        DataType.INTEGER,
        lambda: str(round(network.message_timeout_s)),
        "Default",
        unit="s",
        fixed=True,  # the network connection profile sets it
    )
    number = Integer(0, maximum=3)
    yield Variable(
        _SECURITY,
        "SecurityProfile",
        DataType.INTEGER,
        Mutability.READ_ONLY,
        lambda: str(network.security_profile),
        override=lambda text: network.override_security_profile(number.parse(text)),
        minimum=0,
        maximum=3,
    )


def _password(life: Life, identity: str) -> Variable:
    """A01: the password is taken and never told; with what is shown at the next connection, which comes at once."""

    async def write(text: str) -> None:
        if ":" in identity:  # A00.FR.204, A00.FR.303
            raise ValueError("cannot be used with an identity that has a colon")
        await life.credentials.change(text)
        # A01.FR.11, A01.FR.12: that it changed, not what it is.
        await life.security_events.report(
            SecurityEventType.RECONFIGURATION_OF_SECURITY_PARAMETERS, "BasicAuthPassword was changed"
        )
        profile = life.network.profile
        if life.link is not None and profile is not None and profile.shows_password:
            life.link.renew()

    return Variable(
        _SECURITY,
        "BasicAuthPassword",
        DataType.STRING,
        Mutability.WRITE_ONLY,
        lambda: "",
        write=write,
        override=life.credentials.override,
        maximum=LONGEST_PASSWORD,
    )


def _downgrade(settings: Settings) -> Variable:
    """The installer's decision, which the CSMS may see but not take, unless he leaves it to it (A00.FR.005)."""
    setting = Settings.allow_security_profile_downgrade

    async def write(text: str) -> None:
        await settings.change(setting, text)

    return Variable(
        _SECURITY,
        "AllowSecurityProfileDowngrade",
        DataType.BOOLEAN,
        Mutability.READ_ONLY,
        lambda: settings.text_of(setting),
        write=write,
        override=lambda text: settings.override(setting, setting.parse(text)),
        restore=lambda: settings.restore(setting),
        preset=lambda text: settings.preset(setting, setting.parse(text)),
    )
