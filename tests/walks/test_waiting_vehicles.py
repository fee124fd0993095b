"""Vehicles that wait to be served: until the CSMS accepts the station, or beside one that charges already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.vehicle import VehicleModel
from station.charging.tokens.admission import TokenOutcome
from station.core.model import IdToken
from tests.csms import NO_ANSWER, Csms
from tests.walk import CARD, OTHER_CARD, Walk, walking
from tests.walks.steps import csms_of_one_group, event, present_at, request_start, tx_points, variables

TWO_EVSES: dict[str, Any] = {"evse": [{"id": 1}, {"id": 2}]}
THIRD_CARD = IdToken("04CCCCCCCCCC80", "ISO14443")


def authorized_tokens(walk: Walk) -> list[IdToken | None]:
    """Return the authorized token of each EVSE."""
    return [evse.authorized_token for evse in walk.parts.station.evses.values()]


async def plug_in(walk: Walk, evse_id: int) -> None:
    """Plug a vehicle in."""
    walk.world.boards[evse_id].plug(VehicleModel())
    await walk.advance(1)


async def test_a_vehicle_that_was_there_before_the_station_was_accepted_is_served_then(tmp_path: Path) -> None:
    """B02.FR.03, C02: free charging, and TxBeforeAcceptedEnabled is false; plugged in before boot."""
    csms = Csms()
    csms.answers["BootNotification"] = lambda _: {
        "currentTime": csms.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        "interval": 20,
        "status": "Pending",
    }
    rows = variables(AuthCtrlr__Enabled=False, TxCtrlr__TxBeforeAcceptedEnabled=False)
    async with walking(tmp_path, csms, variable=rows) as walk:
        await walk.plug()
        await walk.advance(60)
        assert authorized_tokens(walk) == [None]
        del csms.answers["BootNotification"]
        await walk.charging()
        await event(walk, "Updated", "Authorized")


@pytest.mark.parametrize("cached", [True, False])
async def test_a_card_of_the_group_serves_the_vehicle_that_waits_and_lets_the_other_charge(
    tmp_path: Path, cached: bool
) -> None:
    """C09.FR.03, C09.FR.07: one reader for both; what the cache says makes no difference."""
    rows = variables(AuthCtrlr__LocalPreAuthorize=cached)
    async with walking(tmp_path, csms_of_one_group(), variable=rows, **TWO_EVSES) as walk:
        await walk.accepted()
        assert [await present_at(walk, CARD, 2), await present_at(walk, CARD, 2)] == [
            TokenOutcome.AUTHORIZED,
            TokenOutcome.STOPPED,
        ]
        await present_at(walk, OTHER_CARD, 1)
        await plug_in(walk, 1)
        await plug_in(walk, 2)
        card = CARD if cached else THIRD_CARD
        assert await present_at(walk, card) is TokenOutcome.AUTHORIZED
        assert authorized_tokens(walk) == [OTHER_CARD, card]


@pytest.mark.parametrize("cached", [True, False])
async def test_a_vehicle_that_was_served_already_waits_no_more(tmp_path: Path, cached: bool) -> None:
    """C09.FR.03: it stands at its EVSE with its cable, and the card of the group ends the other charge."""
    rows = variables(AuthCtrlr__LocalPreAuthorize=cached)
    async with walking(tmp_path, csms_of_one_group(), variable=rows, **TWO_EVSES) as walk:
        await walk.accepted()
        for evse_id, card in ((1, OTHER_CARD), (2, CARD)):
            await plug_in(walk, evse_id)
            assert await present_at(walk, card, evse_id) is TokenOutcome.AUTHORIZED
        assert await present_at(walk, CARD, 2) is TokenOutcome.STOPPED
        await walk.advance(10)
        third = CARD if cached else THIRD_CARD
        assert await present_at(walk, third) is TokenOutcome.STOPPED
        assert authorized_tokens(walk) == [None, None]


async def test_a_free_evse_is_found_past_one_whose_transaction_has_another_holder(tmp_path: Path) -> None:
    """C01.FR.23 keeps a card from the first EVSE, not from the second."""
    async with walking(tmp_path, variable=tx_points("Authorized", "EVConnected"), **TWO_EVSES) as walk:
        await walk.accepted()
        await plug_in(walk, 1)
        assert [await present_at(walk, CARD, 1), await present_at(walk, CARD, 1)] == [
            TokenOutcome.AUTHORIZED,
            TokenOutcome.STOPPED,
        ]
        assert await present_at(walk, OTHER_CARD) is TokenOutcome.AUTHORIZED
        assert authorized_tokens(walk) == [None, OTHER_CARD]


async def test_while_a_reset_waits_for_the_charge_a_card_of_the_group_may_end_it(tmp_path: Path) -> None:
    """C09.FR.03, C09.FR.05, B12.FR.01: nobody new may start, but who charges may stop."""
    async with walking(tmp_path, csms_of_one_group()) as walk:
        await walk.accepted()
        await walk.plug()
        await walk.present()
        await walk.charging()
        assert (await walk.csms.call("Reset", {"type": "OnIdle"}))["status"] == "Scheduled"
        assert await walk.present(OTHER_CARD) is TokenOutcome.STOPPED
        ended = await event(walk, "Ended", "StopAuthorized")
        assert ended["idToken"]["idToken"] == OTHER_CARD.value


async def test_a_second_remote_start_takes_the_evse_that_the_first_has_left(tmp_path: Path) -> None:
    """F01.FR.20, F02.FR.22: while the CSMS is asked about the first one."""
    csms = Csms()
    csms.answers["Authorize"] = lambda _: NO_ANSWER
    async with walking(tmp_path, csms, variable=variables(AuthCtrlr__AuthorizeRemoteStart=True), **TWO_EVSES) as walk:
        await walk.accepted()
        answers = [await request_start(walk, evse_id=None, remote_start_id=number) for number in (1, 2, 3)]
        assert [answer["status"] for answer in answers] == ["Accepted", "Accepted", "Rejected"]
