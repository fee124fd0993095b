"""The link as the blocks see it: what it publishes, and when all statuses are reported again (B04.FR.01)."""

from __future__ import annotations

from typing import Any, cast

import pytest

from ocpp_handlers.connection.boot import BootMessageFilter, BootState
from ocpp_handlers.connection.link import Link, LinkUp
from ocpp_handlers.connection.link_settings import CsmsLinkSettings
from ocpp_handlers.wire import actions
from ocpp_handlers.wire.call_errors import InvalidRequestError, LinkLostError
from ocpp_handlers.wire.edition import EDITIONS
from ocpp_handlers.wire.session import OcppSession
from tests import fakes
from tests.editions import LATER

THRESHOLD_S = 60


class Linked:
    """A link, and what it has published."""

    def __init__(self) -> None:
        self.clock = fakes.clock()
        settings = CsmsLinkSettings()
        settings.override(CsmsLinkSettings.offline_threshold_s, THRESHOLD_S)
        self.gate = BootMessageFilter()
        self.link = Link(self.gate, settings, self.clock)
        self.published: list[LinkUp | str] = []
        self.link.up.subscribe(self.published.append)
        self.link.lost.subscribe(lambda _: self.published.append("lost"))

    edition = LATER
    """of the session"""

    async def call(self, *_: object, **__: object) -> dict[str, str]:
        """What a session answers."""
        return {"currentTime": "now"}

    def open(self) -> None:
        self.link.open(cast("OcppSession", self))


async def test_it_takes_calls_only_while_there_is_a_session() -> None:
    it = Linked()
    request: Any = {}
    with pytest.raises(LinkLostError, match="not connected to the CSMS"):
        await it.link.call(actions.HEARTBEAT, request)
    it.open()
    assert (await it.link.call(actions.HEARTBEAT, request))["currentTime"] == "now"
    it.link.close()
    with pytest.raises(LinkLostError, match="not connected to the CSMS"):
        await it.link.call(actions.HEARTBEAT, request)
    assert it.published == ["lost"]


def test_it_has_the_edition_of_its_session_also_after_the_end_of_the_session() -> None:
    it = Linked()
    assert it.link.edition is EDITIONS[0]
    it.open()
    assert it.link.edition is LATER
    it.link.close()
    assert it.link.edition is LATER


async def test_a_notification_that_is_not_valid_is_not_repeated() -> None:
    class Refusing(Linked):
        calls = 0

        async def call(self, *_: object, **__: object) -> dict[str, str]:
            self.calls += 1
            raise InvalidRequestError("OccurrenceConstraintViolation", "Heartbeat was not sent")

    it = Refusing()
    it.open()
    with pytest.raises(InvalidRequestError):
        await it.link.notify(actions.HEARTBEAT, {})
    assert it.calls == 1


def test_it_is_online_once_the_csms_has_accepted_the_station() -> None:
    it = Linked()
    it.open()
    assert (it.link.online, it.link.accepted, it.link.boot_status) == (False, False, "Unknown")
    it.gate.set_state(BootState.ACCEPTED)
    assert (it.link.online, it.link.accepted, it.link.boot_status) == (True, True, "Accepted")
    it.link.close()
    assert (it.link.online, it.link.accepted) == (False, True)


@pytest.mark.parametrize(("offline_s", "report_all"), [(THRESHOLD_S, False), (THRESHOLD_S + 1, True)])
async def test_all_statuses_are_reported_after_an_absence_beyond_the_threshold(
    offline_s: float, report_all: bool
) -> None:
    """B04.FR.01, B04.FR.02."""
    it = Linked()
    it.open()
    it.link.close()
    await it.clock.advance(offline_s)
    it.open()
    it.link.begin(newly_accepted=False)
    assert it.published == ["lost", LinkUp(report_all=report_all)]


def test_all_statuses_are_reported_on_the_first_link_and_after_each_acceptance() -> None:
    """B01.FR.05."""
    it = Linked()
    it.open()
    it.link.begin(newly_accepted=False)
    it.link.close()
    it.open()
    it.link.begin(newly_accepted=True)
    assert it.published == [LinkUp(report_all=True), "lost", LinkUp(report_all=True)]
