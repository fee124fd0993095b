"""A network connection profile (B09), and the reasons for which one is rejected."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

from foundation.frozen import Frozen
from station.core.identifiers import check_csms_identity, check_url

LONGEST_TIMEOUT_S = 3_600
"""maximum message timeout"""


OcppVersion: TypeAlias = Literal["2.1", "2.0.1"]
OFFERED_VERSIONS: Final[tuple[OcppVersion, ...]] = ("2.0.1",)
"""the versions of OCPP that the station offers by default, the preferred one first: 2.1 is not complete yet"""


class NetworkProfile(Frozen):
    """How to reach one CSMS: URL, security profile, message timeout, interface (NetworkConnectionProfileType)."""

    url: str
    """ws:// or wss://, without the identity"""
    security_profile: int
    """1 to 3 as in OCPP (A00); 0: no security"""
    message_timeout_s: float
    """how long the CSMS may take to answer a CALL"""
    interface: str = "Wired0"
    """OCPPInterfaceEnumType as set; routing is done by the operating system"""
    versions: tuple[OcppVersion, ...] = OFFERED_VERSIONS
    """the versions of OCPP that the station offers, the preferred one first; the CSMS chooses (2.1 part 4, §3.2)"""
    identity: str | None = None
    """with which the station logs in here; None: the common one (B09.FR.16)"""
    password_key: str | None = None
    """key of the password with which the station logs in here; None: the common one (B09.FR.16)"""
    ocpp_version: str | None = None
    """OCPPVersionEnumType as set by a CSMS, which has no effect (B09); None: not set by one"""

    @property
    def uses_password(self) -> bool:
        """Whether the station authenticates with its password: security profile 1 or 2 (A00.FR.202, A00.FR.301)."""
        return self.security_profile in (1, 2)

    @property
    def checks_certificate(self) -> bool:
        """Whether the station verifies the CSMS certificate with its roots: profile 2 or 3 (A00.FR.301 and 401)."""
        return self.security_profile >= 2

    @property
    def uses_client_certificate(self) -> bool:
        """Whether the station authenticates with its certificate: security profile 3 (A00.FR.401)."""
        return self.security_profile == 3


class NetworkProfileRefusal(Frozen):
    """Why a network profile is rejected: reason code and sentence for statusInfo."""

    reason_code: str
    info: str


def profile_error(profile: NetworkProfile) -> str | None:
    """Return what is wrong with a profile itself, credentials and certificates aside; None if valid."""
    try:
        check_url(profile.url)
    except ValueError as error:
        return f"ocppCsmsUrl {error}"
    if profile.security_profile not in (0, 1, 2, 3):
        return "securityProfile must be 1, 2 or 3"
    if profile.identity is not None:
        try:
            check_csms_identity(profile.identity)
        except ValueError as error:
            return f"identity {error}"
        if ":" in profile.identity and profile.uses_password:  # A00.FR.204, A00.FR.303
            return "identity must not contain a colon for security profile 1 and 2"
    scheme = "wss" if profile.security_profile >= 2 else "ws"
    if urlsplit(profile.url).scheme != scheme:
        return f"ocppCsmsUrl must begin with {scheme}:// for security profile {profile.security_profile}"
    if not 0 < profile.message_timeout_s <= LONGEST_TIMEOUT_S:
        return f"messageTimeout must be between 1 and {LONGEST_TIMEOUT_S}"
    return None
