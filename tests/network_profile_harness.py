"""The network profiles of a station after a boot, with certificates as a test configures them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

from foundation.secret import Secret
from station.security.certificates.certificate_results import ConfiguredFiles
from station.security.certificates.certificate_store import CertificateStore
from station.security.credentials import Credentials, Login
from station.security.network_profile import NetworkProfile
from station.security.network_profiles import NetworkProfiles
from station.security.profile_passwords import ProfilePasswords
from station.security.security_events import SecurityEvents
from station.security.security_settings import SecuritySettings
from tests import fakes
from tests.databases import open_database

PASSWORD = "0123456789abcdef"
PLAIN = NetworkProfile("ws://one", 1, 30.0)
SECURED = NetworkProfile("wss://two", 2, 30.0)
MUTUAL = NetworkProfile("wss://three", 3, 30.0)


class FakeCertificates(CertificateStore):
    """A certificate store that reports the root and certificate that the test configures."""

    root = True
    own = True
    times_unreachable = 0

    async def has_valid_root(self, use: object = None) -> bool:
        """The answer that the test configured."""
        return self.root

    async def has_valid_station_certificate(self) -> bool:
        """The answer that the test configured."""
        return self.own

    def alternate_station_certificate(self) -> None:
        """Count the calls."""
        self.times_unreachable += 1


@dataclass
class NetworkProfileHarness:
    """The network profiles and their collaborators."""

    network: NetworkProfiles
    credentials: Credentials
    settings: SecuritySettings
    certificates: FakeCertificates
    events: SecurityEvents


@contextlib.asynccontextmanager
async def booted(
    folder: Path,
    installed: NetworkProfile | None = PLAIN,
    password: str | None = PASSWORD,
    *,
    allows_downgrade: bool = False,
) -> AsyncGenerator[NetworkProfileHarness]:
    """The network profiles after a boot."""
    clock = fakes.clock()
    async with open_database(folder / "db", clock) as database:
        settings = SecuritySettings()
        events = SecurityEvents(database, clock)
        certificates = FakeCertificates(folder / "certificates", ConfiguredFiles(), settings, clock, events)
        login = Login("BORNE-TEST", Secret(password) if password is not None else None)
        credentials = Credentials(folder / "secret.json", login, clock)
        passwords = ProfilePasswords(folder / "passwords.json", clock)
        network = NetworkProfiles(database, settings, credentials, certificates, events, passwords)
        await network.load(installed, allows_downgrade=allows_downgrade)
        yield NetworkProfileHarness(network, credentials, settings, certificates, events)
