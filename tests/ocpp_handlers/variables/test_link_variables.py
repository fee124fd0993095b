"""BasicAuthPassword: it is written and never read, and each change is known (A01), on the variable itself."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from ocpp_handlers.variables.link_variables import PasswordVariable
from ocpp_handlers.variables.variable import Variable
from station.security.credentials import Credentials
from station.security.security_events import SecurityEvents, SecurityEventType
from tests import fakes

NEW = "correct-horse-battery-staple"


class PasswordHarness:
    """The variable of a station, its security log, and how often it was published."""

    def __init__(self, folder: Path, identity: str = "BORNE-TEST") -> None:
        self.credentials = Credentials(folder / "basic-auth.json", "the-one-of-the-installation", fakes.clock())
        self.log: list[tuple[SecurityEventType, str]] = []
        password = PasswordVariable(identity, self.credentials, cast("SecurityEvents", self))
        self.published = 0
        password.written.subscribe(self._count)
        self.variable: Variable = password.variable()

    async def report(self, kind: SecurityEventType, info: str) -> None:
        self.log.append((kind, info))

    def _count(self, _: None) -> None:
        self.published += 1

    async def write(self, text: str) -> None:
        """Write the variable as SetVariables does."""
        assert self.variable.access.write is not None
        await self.variable.access.write(text)


async def test_a_new_password_is_stored_reported_without_its_text_and_published(tmp_path: Path) -> None:
    """A01.FR.01, A01.FR.11, A01.FR.12."""
    written = PasswordHarness(tmp_path)
    await written.write(NEW)
    assert written.credentials.password == NEW
    assert written.log == [(SecurityEventType.RECONFIGURATION_OF_SECURITY_PARAMETERS, "BasicAuthPassword was changed")]
    assert written.published == 1
    assert written.variable.read() == ""


@pytest.mark.parametrize(("identity", "text"), [("a:b", NEW), ("BORNE-TEST", "short")])
async def test_a_refused_password_changes_nothing(tmp_path: Path, identity: str, text: str) -> None:
    """A00.FR.204, A00.FR.205."""
    written = PasswordHarness(tmp_path, identity)
    with pytest.raises(ValueError, match=r"colon|characters"):
        await written.write(text)
    assert written.credentials.password == "the-one-of-the-installation"
    assert (written.log, written.published) == ([], 0)


def test_a_test_bench_that_puts_one_in_force_publishes_nothing(tmp_path: Path) -> None:
    """It counts from the next connection on, and the present one stays."""
    written = PasswordHarness(tmp_path)
    assert written.variable.access.override is not None
    written.variable.access.override(NEW)
    assert written.credentials.password == NEW
    assert written.published == 0
