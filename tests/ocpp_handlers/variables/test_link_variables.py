"""Identity and BasicAuthPassword: written, stored, reported and published, on the variables themselves (A01, B09)."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from ocpp_handlers.variables.link_variables import LoginVariables
from ocpp_handlers.variables.variable import Variable
from station.security.security_events import SecurityEventType
from tests.network_profile_harness import PASSWORD, PLAIN, NetworkProfileHarness, booted

NEW = "correct-horse-battery-staple"


class LoginHarness:
    """The variables of a station, and what each write has published and reported."""

    def __init__(self, harness: NetworkProfileHarness) -> None:
        self.network, self.credentials, self.events = harness.network, harness.credentials, harness.events
        login = LoginVariables(harness.credentials, harness.network, harness.events)
        self.published: list[str] = []
        login.identity_written.subscribe(lambda _: self.published.append("identity"))
        login.password_written.subscribe(lambda _: self.published.append("password"))
        self.identity, self.password = login.variables()

    async def log(self) -> list[tuple[str, str]]:
        """The security events so far."""
        return [(event.type, event.info) for event in await self.events.entries()]


async def write(variable: Variable, text: str) -> None:
    """Write a variable as SetVariables does."""
    assert variable.access.write is not None
    await variable.access.write(text)


async def test_a_new_password_is_stored_reported_without_its_text_and_published(tmp_path: Path) -> None:
    """A01.FR.01, A01.FR.11, A01.FR.12."""
    async with booted(tmp_path) as harness:
        login = LoginHarness(harness)
        await write(login.password, NEW)
        assert login.credentials.password == NEW
        event = (SecurityEventType.RECONFIGURATION_OF_SECURITY_PARAMETERS, "BasicAuthPassword was changed")
        assert await login.log() == [event]
        assert login.published == ["password"]
        assert login.password.read() == ""


async def test_a_new_identity_is_stored_reported_and_published(tmp_path: Path) -> None:
    async with booted(tmp_path) as harness:
        login = LoginHarness(harness)
        read_at_changes: list[str] = []
        assert login.identity.access.changes is not None
        login.identity.access.changes.subscribe(lambda _: read_at_changes.append(login.identity.read()))
        await write(login.identity, "ANOTHER")
        assert login.credentials.identity == login.identity.read() == "ANOTHER"
        assert read_at_changes[-1] == "ANOTHER", "a monitor learns of it"
        event = (SecurityEventType.RECONFIGURATION_OF_SECURITY_PARAMETERS, "Identity was changed")
        assert await login.log() == [event]
        assert login.published == ["identity"]


async def test_what_is_written_replaces_the_login_of_the_active_profile(tmp_path: Path) -> None:
    """B09.FR.16, B09.FR.18, B09.FR.26, B09.FR.27, B09.FR.28."""
    async with booted(tmp_path) as harness:
        await harness.network.store(1, replace(PLAIN, identity="OWN"), "own-0123456789abcdef")
    async with booted(tmp_path) as harness:
        login, network = LoginHarness(harness), harness.network
        await network.note_connected(1)
        assert network.profile is not None
        own = network.login(network.profile)
        assert own.password is not None
        assert (own.identity, own.password.get_secret_value()) == ("OWN", "own-0123456789abcdef")
        assert login.identity.read() == "OWN"
        await write(login.identity, "COMMON")
        own = network.login(network.profile)
        assert own.password is not None
        assert (own.identity, own.password.get_secret_value()) == ("COMMON", "own-0123456789abcdef")
        await write(login.password, NEW)
        common = network.login(network.profile)
        assert common.password is not None
        assert (common.identity, common.password.get_secret_value()) == ("COMMON", NEW)
        assert login.identity.read() == "COMMON"
        assert "own-0123456789abcdef" not in (tmp_path / "passwords.json").read_text()
        assert network.migrating is False
        assert await network.note_connected(1) is False, "it is the same profile: no BootNotification"
    async with booted(tmp_path) as harness:
        assert next(iter(harness.network.attempt_slots(1))) == 1
        assert harness.network.slots[1].identity is None
        assert harness.network.slots[1].password_key is None


@pytest.mark.parametrize("text", ["short", "x" * 65])
async def test_a_refused_password_changes_nothing(tmp_path: Path, text: str) -> None:
    """A00.FR.205."""
    async with booted(tmp_path) as harness:
        login = LoginHarness(harness)
        with pytest.raises(ValueError, match="characters"):
            await write(login.password, text)
        assert login.credentials.password == PASSWORD
        assert (await login.log(), login.published) == ([], [])


@pytest.mark.parametrize("text", ["", "a b", "a:b", "x" * 49])
async def test_a_refused_identity_changes_nothing(tmp_path: Path, text: str) -> None:
    """A00.FR.204: a user name has no colon."""
    async with booted(tmp_path) as harness:
        login = LoginHarness(harness)
        with pytest.raises(ValueError, match="must"):
            await write(login.identity, text)
        assert login.credentials.identity == "BORNE-TEST"
        assert (await login.log(), login.published) == ([], [])


async def test_a_test_bench_that_puts_a_password_in_force_publishes_nothing(tmp_path: Path) -> None:
    """It counts from the next connection on, and the present one stays."""
    async with booted(tmp_path) as harness:
        login = LoginHarness(harness)
        assert login.password.access.override is not None
        login.password.access.override(NEW)
        assert login.credentials.password == NEW
        assert login.published == []
