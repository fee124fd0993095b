"""The power fails in the middle of ReserveNow, CancelReservation, an expiry or the use of a reservation: what the CSMS
was notified of holds afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from datetime import datetime
from pathlib import Path

import pytest

from tests.csms import Csms, Payload, running_csms
from tests.patience import until
from tests.walk import CARD, OTHER_CARD, Walk, configuration, powered
from tests.walks.reservations import ends, pending, request, statuses_now, used

TWO: list[dict[str, object]] = [{"id": 1}, {"id": 2}]
CUTS = 8
LONGEST_TURNS = 60
"""turns of the event loop between an action and the cut: some actions are over by then, others have just begun"""


class ReservationLedger:
    """What the CSMS knows of each reservation, by id, and the requests that were not answered."""

    def __init__(self) -> None:
        self.accepted: dict[int, datetime] = {}
        """the accepted reservations that it has not cancelled, with their expiry"""
        self.unknown: set[int] = set()
        """reserved or cancelled without an answer: both outcomes are right"""
        self.cancelled: set[int] = set()

    def check(self, walk: Walk, now: datetime) -> None:
        """Check that each accepted reservation is either in force, used or ended."""
        in_force, finished = set(pending(walk)), set(used(walk)) | {number for number, _ in ends(walk)}
        assert len(used(walk)) == len(set(used(walk))), "a reservation was used twice"
        assert len(ends(walk)) == len({number for number, _ in ends(walk)}), "an end was reported twice"
        assert not in_force & finished, "a reservation is in force, although its end was reported to the CSMS"
        assert not in_force & self.cancelled - self.unknown
        for number, expires_at in self.accepted.items():
            if number not in self.unknown:
                assert number in in_force | finished, f"reservation {number} is lost"
                assert number not in in_force or expires_at > now


class InterruptedUsers:
    """A driver and a CSMS that use reservations at random; a power cut interrupts each action."""

    def __init__(self, walk: Walk, rng: random.Random) -> None:
        self.walk, self.rng = walk, rng
        self.ledger = ReservationLedger()
        self.number = 0

    async def act(self) -> None:
        """Do one random action with reservations, until it is finished or the power fails."""
        if not self.walk.csms.connected:
            return
        actions = [self._reserve, self._reserve, self._use]
        if self.ledger.accepted:
            actions.append(self._cancel)
        if pending(self.walk):
            actions.append(self._replace)
        await self.rng.choice(actions)()

    async def _reserve(self) -> None:
        self.number += 1
        await self._request(self.number)

    async def _replace(self) -> None:
        await self._request(self.rng.choice(pending(self.walk)))

    async def _request(self, number: int) -> None:
        for_s = self.rng.choice([45.0, 600.0])
        place = self.rng.choice([{"evseId": 1}, {"evseId": 2}, {}, {"connectorType": "sType2"}])
        reservation = request(self.walk, number=number, card=CARD, for_s=for_s, **place)
        was_unknown = number in self.ledger.unknown
        self.ledger.unknown.add(number)
        answer = await self.walk.csms.call("ReserveNow", reservation)
        if answer["status"] == "Accepted":
            self.ledger.accepted[number] = datetime.fromisoformat(reservation["expiryDateTime"])
            self.ledger.cancelled.discard(number)
        if answer["status"] == "Accepted" or not was_unknown:
            self.ledger.unknown.discard(number)

    async def _cancel(self) -> None:
        number = self.rng.choice(sorted(self.ledger.accepted))
        self.ledger.unknown.add(number)
        answer = await self.walk.csms.call("CancelReservation", {"reservationId": number})
        if answer["status"] == "Accepted":
            del self.ledger.accepted[number]
            self.ledger.cancelled.add(number)
        self.ledger.unknown.discard(number)

    async def _use(self) -> None:
        evse_id = self.rng.choice([1, 2, None])
        await self.walk.parts.station.present_token(self.rng.choice([CARD, CARD, OTHER_CARD]), evse_id)


async def act_until_cut(driver: InterruptedUsers) -> None:
    """Start an action, and cut the power some turns of the event loop later."""
    task = asyncio.create_task(driver.act())
    for _ in range(driver.rng.randrange(LONGEST_TURNS)):
        await asyncio.sleep(0)
        if driver.rng.random() < 0.2:
            await driver.walk.world.clock.settle()
    await driver.walk.application.cut_power()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, AssertionError, TimeoutError):
        await task


async def until_all_reported(walk: Walk) -> None:
    """Wait until the station is connected again and has reported every end of a reservation."""
    connections = walk.csms.connections
    await walk.until(lambda: walk.csms.connected and walk.csms.connections >= connections, within_s=600)
    await walk.advance(2)

    given_up_s = walk.application.clock.monotonic() + 100.0

    async def all_reported() -> bool:
        assert walk.application.clock.monotonic() < given_up_s
        left = await walk.parts.reservations.oldest_unreported()
        return left is None and not await walk.parts.outbox.count_waiting()

    await until(all_reported, meanwhile=lambda: walk.advance(0.5))


async def end_charges(walk: Walk) -> None:
    """End the authorized charges and unplug, so that EVSEs become available again."""
    for evse in walk.parts.station.evses.values():
        if (card := evse.authorized_token) is not None:
            await walk.parts.station.present_token(card, evse.id)
    await walk.advance(1)


@pytest.mark.parametrize("seed", range(6))
async def test_what_was_accepted_holds_after_any_power_cut(tmp_path: Path, seed: int) -> None:
    """B01.FR.13, H01.FR.02, H02.FR.02, H03.FR.09, H04.FR.01"""
    rng = random.Random(seed)
    async with running_csms(Csms()) as csms, powered(configuration(tmp_path, csms.url, evse=TWO), csms) as walk:
        await walk.accepted()
        driver = InterruptedUsers(walk, rng)
        for _ in range(CUTS):
            await act_until_cut(driver)
            if rng.random() < 0.3:
                await walk.advance(50)  # some expire while the station is off
            await walk.application.restore_power()
            await until_all_reported(walk)
            driver.ledger.check(walk, walk.world.clock.now())
            if rng.random() < 0.5:
                await end_charges(walk)
            if rng.random() < 0.5:
                await driver.act()
                await until_all_reported(walk)
                driver.ledger.check(walk, walk.world.clock.now())
        assert driver.number > 1
    assert csms.schema_faults == []


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 13, 21, 34])
async def test_a_used_reservation_is_reported_or_in_force_again(tmp_path: Path, turns: int) -> None:
    """The event that names it and its row in the storage change in one write (H01.FR.15, H03.FR.09)."""
    async with running_csms(Csms()) as csms, powered(configuration(tmp_path, csms.url), csms) as walk:
        await walk.accepted()
        reservation: Payload = request(walk, evseId=1)
        assert (await csms.call("ReserveNow", reservation))["status"] == "Accepted"
        presented = walk.parts.station.present_token(CARD, 1)
        for _ in range(turns):
            await asyncio.sleep(0)
        await walk.application.cut_power()
        presented.cancel()
        await walk.application.restore_power()
        await until_all_reported(walk)
        assert bool(used(walk)) is not bool(pending(walk))
        assert statuses_now(walk) == (["Reserved"] if pending(walk) else ["Available"])
        await walk.advance(3_700)
        assert ends(walk) == ([] if used(walk) else [(1, "Expired")])
