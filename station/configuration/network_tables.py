"""Tables about the network: CSMS, local page and API, MQTT broker, mDNS."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from msgspec import UNSET, Meta, UnsetType, field

from foundation.secret import Secret
from foundation.table import Table
from foundation.table_definition import Check, Count, FilePath, Number
from station.core.identifiers import check_password, check_url
from station.core.installation_file.document import RuleError
from station.core.installation_file.table import Name
from station.security.access.passwords import check_code
from station.security.network_profile import OFFERED_VERSIONS, OcppVersion

SecurityProfile = Literal[0, 1, 2, 3]
_TOPIC: Final = r"[^#+\s]+"
_Topic = Annotated[str, Meta(min_length=1, max_length=100, extra={"pattern": f"^{_TOPIC}$"})]
"""the pattern is one of pydantic alone: $ means something else to msgspec"""
Tolerance = Literal["relative-station-limits"]
"""a deviation of the CSMS from the specification that the station tolerates"""


def _check_code(code: Secret) -> None:
    check_code(code.get_secret_value())


def _check_password(password: Secret) -> None:
    check_password(password.get_secret_value())


def _check_topic(topic: str) -> None:
    if re.fullmatch(_TOPIC, topic) is None:  # also done by pydantic, for its message and the JSON schema
        raise ValueError("must not contain #, + or spaces")


class CsmsConfig(Table):
    """[csms]: the management system; without it the station runs stand-alone."""

    url: Annotated[str, Meta(examples=["wss://csms.example/ocpp"])]
    """without the identity, which is appended"""
    password: Annotated[Secret | None, Meta(examples=["0123456789abcdef"])] = None
    """for HTTP basic authentication (A00.FR.205), 16 to 64 characters; better given as BORNE_CSMS_PASSWORD"""
    ca_file: Annotated[FilePath | None, Meta(examples=["csms-roots.pem"])] = None
    """PEM roots for verifying the CSMS, in place of the system's, and revocation lists"""
    certificate_file: Annotated[FilePath | None, Meta(examples=["station.pem"])] = None
    """PEM chain of the station; imported once, since the CSMS may renew the certificate later"""
    key_file: Annotated[FilePath | None, Meta(examples=["station-key.pem"])] = None
    """PEM key of the station's certificate"""
    message_timeout_s: Annotated[Number, Meta(gt=0, le=86_400)] = 30.0
    """seconds that the station waits for the response to a request"""
    given_security_profile: Annotated[SecurityProfile | UnsetType, Meta(examples=[3])] = field(
        name="security_profile", default=UNSET
    )
    """1 to 3 as in OCPP (A00), 0: no security; by default the highest that the other keys allow"""
    allow_security_downgrade: bool = False
    """whether a change of url or security_profile may lower the security profile that the station uses at its CSMS"""
    versions: Annotated[tuple[OcppVersion, ...], Meta(min_length=1, max_length=2)] = OFFERED_VERSIONS
    """versions of OCPP that the station offers, the preferred one first; the CSMS chooses one at each connection"""
    accept: tuple[Tolerance, ...] = ()
    """relative-station-limits, for Home Assistant: a Relative ChargingStationMaxProfile is Absolute from its arrival"""

    @property
    def security_profile(self) -> SecurityProfile:
        """The security profile (A00): the given one, or the highest that the other keys allow; 0: no security."""
        if self.given_security_profile is not UNSET:
            return self.given_security_profile
        possible = self._profiles()
        return possible[-1] if possible else 0

    @classmethod
    def field_checks(cls) -> Mapping[str, Check]:
        """Form of the URL, and length of the password."""
        return {"url": check_url, "password": _check_password}

    def check_rules(self) -> None:
        """Check that the keys fit the security profile.

        Raises:
            RuleError: they do not.
        """
        if len(set(self.versions)) < len(self.versions):
            raise RuleError(("versions",), "names a version twice")
        if self.key_file is None and self.certificate_file is not None:
            raise RuleError(("key_file",), "is missing: certificate_file needs it")
        if self.certificate_file is None and self.key_file is not None:
            raise RuleError(("certificate_file",), "is missing: key_file needs it")
        possible = self._profiles()
        if not possible:
            raise RuleError(
                ("url",),
                "wss:// needs a password (security profile 2) or certificate_file and key_file (security profile 3)",
            )
        if self.security_profile not in possible:
            fitting = " or ".join(str(profile) for profile in possible)
            raise RuleError(
                ("security_profile",), f"must be {fitting} with the other keys (is {self.security_profile})"
            )

    def _profiles(self) -> list[SecurityProfile]:
        """The security profiles that the other keys allow (A00)."""
        has_password = self.password is not None
        if urlsplit(self.url).scheme != "wss":  # scheme is case-insensitive
            return [1] if has_password else [0]
        profiles: list[SecurityProfile] = []
        if has_password:
            profiles.append(2)
        if self.certificate_file is not None:
            profiles.append(3)
        return profiles


class HttpConfig(Table):
    """[http]: the local page and API."""

    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    """the address to listen on: 127.0.0.1 for this machine only, 0.0.0.0 or :: for all networks"""
    port: Annotated[Count, Meta(ge=0, le=65535)] = 8080
    """0 takes any free port"""
    names: Annotated[tuple[Name, ...], Meta(examples=[["station.example"]])] = ()
    """host names with a dot that browsers may use, besides addresses and .local (against DNS rebinding)"""
    trust_loopback: bool = True
    """whether this machine has the service role without signing in; false if a proxy on it hides its clients"""
    installer_code: Annotated[Secret | None, Meta(examples=["ABCD-EFGH-JKLM"])] = None
    """the code on the label; the installer sets a first password with it, once"""
    service_code: Annotated[Secret | None, Meta(examples=["NPQR-STUV-WXYZ"])] = None
    """the code with which service sets its first password, once"""
    tls: bool = False
    """whether to use https, with the station's own certificate or the files below"""
    certificate_file: Annotated[FilePath | None, Meta(examples=["page.pem"])] = None
    """PEM chain of a certificate for the page, in place of the self-made one"""
    key_file: Annotated[FilePath | None, Meta(examples=["page-key.pem"])] = None
    """PEM key of that certificate"""

    @classmethod
    def field_checks(cls) -> Mapping[str, Check]:
        """Length of both codes."""
        return {"installer_code": _check_code, "service_code": _check_code}

    def check_rules(self) -> None:
        """Check that certificate and key belong together, and are used.

        Raises:
            RuleError: they are not.
        """
        if (self.certificate_file is None) is not (self.key_file is None):
            missing = "key_file" if self.key_file is None else "certificate_file"
            raise RuleError((missing,), "is missing: certificate_file and key_file belong together")
        if self.certificate_file is not None and not self.tls:
            raise RuleError(("tls",), "must be true if certificate_file is set")


class PageConfig(Table):
    """[page]: what the local page and API show to whoever is not signed in."""

    visitors: Literal["state", "all"] = "state"
    """state: whether an EVSE is free, in use or faulted, and its price; all: power, energy, cost and limits too"""

    @property
    def show_charges(self) -> bool:
        """Whether visitors see power, energy, cost and limits of a charge."""
        return self.visitors == "all"


class MqttConfig(Table):
    """[mqtt]: a broker that receives offers and limits of the EVSEs, and from which limits are accepted."""

    host: Annotated[str, Meta(min_length=1, examples=["192.168.1.5"])]
    """the address of the broker"""
    port: Annotated[Count, Meta(ge=1, le=65535)] = 1883
    """its TCP port"""
    user: Annotated[Name | None, Meta(examples=["borne"])] = None
    """the user name at the broker"""
    password: Annotated[Secret | None, Meta(examples=["secret"])] = None
    """the password at the broker; better given as BORNE_MQTT_PASSWORD"""
    tls: bool = False
    """whether the connection is encrypted; the certificate of the broker is checked against the system's roots"""
    topic: _Topic = "borne"
    """prefix of the topics; the identity follows"""
    discovery: bool = True
    """whether the station is announced to Home Assistant; false removes an earlier announcement"""
    discovery_prefix: _Topic = "homeassistant"
    """the topic prefix on which Home Assistant expects announcements"""

    @classmethod
    def field_checks(cls) -> Mapping[str, Check]:
        """Characters of both topic prefixes."""
        return {"topic": _check_topic, "discovery_prefix": _check_topic}


class MdnsConfig(Table):
    """[mdns]: the announcement of the station in the local network, by _http._tcp and _ocpp._tcp."""

    enabled: bool | None = None
    """when left out: true if http.host is reachable from other machines"""
    name: Annotated[Name | None, Meta(examples=["Garage"])] = None
    """the announced name; the identity when left out"""
