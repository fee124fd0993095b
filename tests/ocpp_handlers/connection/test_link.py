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


class LinkHarness:
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
        """Answer a CALL as a session does."""
        return {"currentTime": "now"}

    def open_link(self) -> None:
        """Open the link, with this harness as its session."""
        self.link.open(cast("OcppSession", self))


async def test_it_takes_calls_only_while_there_is_a_session() -> None:
    linked = LinkHarness()
    request: Any = {}
    with pytest.raises(LinkLostError, match="not connected to the CSMS"):
        await linked.link.call(actions.HEARTBEAT, request)
    linked.open_link()
    assert (await linked.link.call(actions.HEARTBEAT, request))["currentTime"] == "now"
    linked.link.close()
    with pytest.raises(LinkLostError, match="not connected to the CSMS"):
        await linked.link.call(actions.HEARTBEAT, request)
    assert linked.published == ["lost"]


def test_it_has_the_edition_of_its_session_also_after_the_end_of_the_session() -> None:
    linked = LinkHarness()
    assert linked.link.edition is EDITIONS[0]
    linked.open_link()
    assert linked.link.edition is LATER
    linked.link.close()
    assert linked.link.edition is LATER


async def test_a_notification_that_is_not_valid_is_not_repeated() -> None:
    class Refusing(LinkHarness):
        calls = 0

        async def call(self, *_: object, **__: object) -> dict[str, str]:
            self.calls += 1
            raise InvalidRequestError("OccurrenceConstraintViolation", "Heartbeat was not sent")

    refusing = Refusing()
    refusing.open_link()
    with pytest.raises(InvalidRequestError):
        await refusing.link.notify(actions.HEARTBEAT, {})
    assert refusing.calls == 1


def test_it_is_online_once_the_csms_has_accepted_the_station() -> None:
    linked = LinkHarness()
    linked.open_link()
    assert (linked.link.online, linked.link.accepted, linked.link.boot_status) == (False, False, "Unknown")
    linked.gate.set_state(BootState.ACCEPTED)
    assert (linked.link.online, linked.link.accepted, linked.link.boot_status) == (True, True, "Accepted")
    linked.link.close()
    assert (linked.link.online, linked.link.accepted) == (False, True)


@pytest.mark.parametrize(("offline_s", "report_all"), [(THRESHOLD_S, False), (THRESHOLD_S + 1, True)])
async def test_all_statuses_are_reported_after_an_absence_beyond_the_threshold(
    offline_s: float, report_all: bool
) -> None:
    """B04.FR.01, B04.FR.02."""
    linked = LinkHarness()
    linked.open_link()
    linked.link.close()
    await linked.clock.advance(offline_s)
    linked.open_link()
    linked.link.begin(newly_accepted=False)
    assert linked.published == ["lost", LinkUp(report_all=report_all)]


def test_all_statuses_are_reported_on_the_first_link_and_after_each_acceptance() -> None:
    """B01.FR.05."""
    linked = LinkHarness()
    linked.open_link()
    linked.link.begin(newly_accepted=False)
    linked.link.close()
    linked.open_link()
    linked.link.begin(newly_accepted=True)
    assert linked.published == [LinkUp(report_all=True), "lost", LinkUp(report_all=True)]
