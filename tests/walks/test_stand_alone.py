"""A station without a CSMS: nothing waits for one, and every charge stays on record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.csms import Csms, running_csms
from tests.walk import Walk, configuration, powered, walking
from tests.walks.steps import transaction_id, variables
from tests.walks.visit import visiting

OPEN: dict[str, Any] = {"variable": variables(AuthCtrlr__Enabled=False), "evse": [{"attached_cable": True}]}
"""everybody may charge, and unplugs at the end"""


async def charge_once(walk: Walk) -> None:
    """Run a whole charge, without a card."""
    await walk.plug(phases=3)
    await walk.charging()
    await walk.advance(300)
    await walk.unplug()
    await walk.advance(10)


def last_event_is_end(walk: Walk) -> bool:
    """Whether the newest received event ends a transaction."""
    return walk.events()[-1:] != [] and walk.events()[-1]["eventType"] == "Ended"


async def test_nothing_waits_for_a_csms_that_there_is_not_and_a_later_one_gets_only_its_own(tmp_path: Path) -> None:
    async with powered(configuration(tmp_path, None, **OPEN), Csms()) as walk, visiting(walk) as api:
        for _ in range(3):
            await charge_once(walk)
        assert (await api.get("/api/status"))["queue"] == {"transaction_events": 0}
        stored = (await api.get("/api/transactions"))["transactions"]
        assert len(stored) == 3
        assert all(transaction["energy_wh"] > 0 for transaction in stored)
        later = walk.application.clock.now()
    async with (
        running_csms() as csms,
        powered(configuration(tmp_path, csms.url, **OPEN), csms, at=later) as walk,
        visiting(walk) as api,
    ):
        await walk.accepted()
        await charge_once(walk)
        await walk.until(lambda: last_event_is_end(walk))
        assert len({sent_event["transactionInfo"]["transactionId"] for sent_event in walk.events()}) == 1
        assert (await api.get("/api/transactions"))["transactions"][1:] == stored


async def test_a_bill_of_a_csms_that_is_removed_for_a_while_is_delivered_once_it_is_back(tmp_path: Path) -> None:
    csms = Csms()
    async with walking(tmp_path, csms, **OPEN) as walk:
        await walk.accepted()
        await walk.plug(phases=3)
        await walk.charging()
        await walk.until(walk.events)
        identity = transaction_id(walk)
        csms.http_status = 503
        csms.drop()
        await walk.advance(120)
        await walk.unplug()
        await walk.advance(10)
    async with powered(configuration(tmp_path, None, **OPEN), Csms()) as walk, visiting(walk) as api:
        assert (await api.get("/api/status"))["queue"] == {"transaction_events": 0}
    async with running_csms() as back, powered(configuration(tmp_path, back.url, **OPEN), back) as walk:
        await walk.until(lambda: last_event_is_end(walk))
        assert {sent_event["transactionInfo"]["transactionId"] for sent_event in walk.events()} == {identity}
