"""Tables about the network: CSMS, local page and API, MQTT broker, mDNS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from station.core.identifiers import check_password, check_url
from station.core.installation_file.document import RuleError
from station.core.installation_file.table import Count, FilePath, Name, Number, Table
from station.security.access.passwords import check_code

SecurityProfile = Literal[0, 1, 2, 3]
Tolerance = Literal["relative-station-limits"]
"""a deviation of the CSMS from the specification that the station tolerates"""


def _check_code(code: SecretStr) -> SecretStr:
    check_code(code.get_secret_value())
    return code


class CsmsConfig(Table):
    """[csms]: the management system; without it the station runs stand-alone."""

    url: Annotated[str, AfterValidator(check_url)]
    """without the identity, which is appended"""
    password: SecretStr | None = None
    """for HTTP basic authentication (A00.FR.205)"""
    ca_file: FilePath | None = None
    """PEM roots for verifying the CSMS, in place of the system's, and revocation lists"""
    certificate_file: FilePath | None = None
    """PEM chain of the station; imported once, since the CSMS may renew the certificate later"""
    key_file: FilePath | None = None
    """PEM key of the station's certificate"""
    message_timeout_s: Annotated[Number, Field(gt=0)] = 30.0
    """seconds that the station waits for the response to a request"""
    security_profile: SecurityProfile = Field(default_factory=lambda given: _best(_profiles(given)))
    """1 to 3 as in OCPP (A00), 0: no security; by default the highest that the other keys allow"""
    accept: tuple[Tolerance, ...] = ()
    """relative-station-limits: a ChargingStationMaxProfile of kind Relative counts as Absolute from its arrival"""

    @field_validator("password")
    @classmethod
    def _is_a_password(cls, password: SecretStr | None) -> SecretStr | None:
        if password is not None:
            check_password(password.get_secret_value())
        return password

    @model_validator(mode="after")
    def _fits_its_security_profile(self) -> CsmsConfig:
        if self.key_file is None and self.certificate_file is not None:
            raise RuleError(("key_file",), "is missing: certificate_file needs it")
        if self.certificate_file is None and self.key_file is not None:
            raise RuleError(("certificate_file",), "is missing: key_file needs it")
        possible = _profiles(dict(self))
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
        return self


def _profiles(given: Mapping[str, object]) -> list[SecurityProfile]:
    """The security profiles that the other keys of [csms] allow (A00)."""
    has_password = given.get("password") is not None
    if urlsplit(str(given.get("url"))).scheme != "wss":  # scheme is case-insensitive
        return [1] if has_password else [0]
    profiles: list[SecurityProfile] = []
    if has_password:
        profiles.append(2)
    if given.get("certificate_file") is not None:
        profiles.append(3)
    return profiles


def _best(profiles: list[SecurityProfile]) -> SecurityProfile:
    return profiles[-1] if profiles else 0  # no profile possible: rejected later


class HttpConfig(Table):
    """[http]: the local page and API."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """the address to listen on: 127.0.0.1 for this machine only, 0.0.0.0 or :: for all networks"""
    port: Annotated[Count, Field(ge=0, le=65535)] = 8080
    """0 takes any free port"""
    names: tuple[Name, ...] = ()
    """host names with a dot that browsers may use, besides addresses and .local (against DNS rebinding)"""
    trust_loopback: bool = True
    """whether this machine has the service role without signing in; false if a proxy on it hides its clients"""
    installer_code: Annotated[SecretStr, AfterValidator(_check_code)] | None = None
    """the code on the label; the installer sets a first password with it, once"""
    service_code: Annotated[SecretStr, AfterValidator(_check_code)] | None = None
    """the code with which service sets its first password, once"""
    tls: bool = False
    """whether to use https, with the station's own certificate or the files below"""
    certificate_file: FilePath | None = None
    """PEM chain of a certificate for the page, in place of the self-made one"""
    key_file: FilePath | None = None
    """PEM key of that certificate"""

    @model_validator(mode="after")
    def _has_both_files(self) -> HttpConfig:
        if (self.certificate_file is None) is not (self.key_file is None):
            missing = "key_file" if self.key_file is None else "certificate_file"
            raise RuleError((missing,), "is missing: certificate_file and key_file belong together")
        if self.certificate_file is not None and not self.tls:
            raise RuleError(("tls",), "must be true if certificate_file is set")
        return self


class MqttConfig(Table):
    """[mqtt]: a broker that receives offers and limits of the EVSEs, and from which limits are accepted."""

    host: Annotated[str, Field(min_length=1)]
    """the address of the broker"""
    port: Annotated[Count, Field(ge=1, le=65535)] = 1883
    """its TCP port"""
    user: Name | None = None
    """the user name at the broker"""
    password: SecretStr | None = None
    """the password at the broker; better given as BORNE_MQTT_PASSWORD"""
    tls: bool = False
    """whether the connection is encrypted; the certificate of the broker is checked against the system's roots"""
    topic: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^#+\s]+$")] = "borne"
    """prefix of the topics; the identity follows"""
    discovery: bool = True
    """whether the station is announced to Home Assistant; false removes an earlier announcement"""
    discovery_prefix: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^#+\s]+$")] = "homeassistant"
    """the topic prefix on which Home Assistant expects announcements"""


class MdnsConfig(Table):
    """[mdns]: the announcement of the station in the local network, by _http._tcp and _ocpp._tcp."""

    enabled: bool | None = None
    """when left out: true if http.host is reachable from other machines"""
    name: Name | None = None
    """the announced name; the identity when left out"""
