"""The common contract of sources for the grid operator's contact, through gpiod: what of it applies, and what cannot.

As in test_source_contract.py: fresh, stale, noisy, restarting, disconnected, repeated, clock jumps. One thing does not
apply: **a wrong model** cannot be distinguished from a right one, as a contact does not identify itself; the other
polarity only means the opposite. So polarity has no default, and commissioning has the contact switched both ways
(tests/station/maintenance/commissioning). What stands in for it here is a line that belongs to somebody else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from energy.grid import GridOrder, OrderReason
from energy.sources.dry_contact import DryContactConfig, DryContactSource
from simulator.clock import VirtualClock
from tests.fakes import clock
from tests.linux_double import CHIP, Chips

LINE, OPPOSITE = 17, 18
LATEST_S = 0.6
"""debounce and two looks"""
NOT_READ, ORDERED, FAILED, BROKEN = (
    OrderReason.NOT_READ_YET,
    OrderReason.ORDERED,
    OrderReason.INPUT_FAILED,
    OrderReason.WIRE_BROKEN,
)
WIRINGS: Mapping[str, Mapping[str, object]] = {
    "closed-dims": {"polarity": "closed-dims"},
    "open-dims": {"polarity": "open-dims"},
    "changeover": {"polarity": "closed-dims", "opposite_line": OPPOSITE},
}
each = pytest.mark.parametrize("name", WIRINGS)


@dataclass
class Contact:
    """A relay of the grid operator at the lines of a chip, and the reasons of the orders of its source."""

    name: str
    chips: Chips
    time: VirtualClock = field(default_factory=clock)
    reasons: list[OrderReason | None] = field(default_factory=list[OrderReason | None])
    source: DryContactSource = field(init=False)

    @property
    def config(self) -> DryContactConfig:
        wiring = WIRINGS[self.name]
        return DryContactConfig.from_tree({"type": "dry-contact", "chip": CHIP, "line": LINE, **wiring})

    def dim(self, ordered: bool) -> None:
        self.chips.active[LINE] = ordered is (self.config.polarity == "closed-dims")
        self.chips.active[OPPOSITE] = not self.chips.active[LINE]

    def disconnect(self) -> None:
        """The cable is cut: pulled up, each line reads as open."""
        self.chips.active[LINE] = self.chips.active[OPPOSITE] = False

    async def follow(self) -> None:
        async for order in self.source.orders():
            self.reasons.append(None if order is None else order.reason)

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncGenerator[None]:
        self.source = self.config.open(self.time)
        self.reasons.clear()
        task = asyncio.create_task(self.follow())
        await self.time.settle()
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
        assert task.cancelled(), "it never ends by itself"
        assert self.chips.settings == {}, "the lines are let go"


@pytest.fixture
def contact(name: str, chips: Chips) -> Contact:
    contact = Contact(name, chips)
    contact.dim(False)
    return contact


@each
async def test_a_change_is_fresh_within_debounce_and_two_looks(contact: Contact) -> None:
    async with contact.following():
        await contact.time.advance(LATEST_S)
        for ordered in (True, False, True):
            contact.dim(ordered)
            before = contact.time.now()
            await contact.time.advance(LATEST_S)
            assert contact.reasons[-1] is (ORDERED if ordered else None)
            order = contact.source.order
            assert order is None or before < order.since <= contact.time.now()
        assert contact.reasons == [NOT_READ, None, ORDERED, None, ORDERED]
        order = contact.source.order
        assert order is not None
        assert order.limit_w == 4200.0


@each
@pytest.mark.parametrize("ordered", [False, True])
async def test_a_silent_input_dims_until_it_is_fresh_again(contact: Contact, ordered: bool) -> None:
    async with contact.following():
        contact.dim(ordered)
        await contact.time.advance(LATEST_S)
        contact.chips.missing = True
        await contact.time.advance(LATEST_S)
        assert contact.reasons[-1] is FAILED
        await contact.time.advance(3600.0)
        assert contact.reasons[-1] is FAILED, "silence ends no order"
        contact.chips.missing = False
        await contact.time.advance(LATEST_S)
        assert contact.reasons[-1] is (ORDERED if ordered else None)


@each
@pytest.mark.parametrize("ordered", [False, True])
async def test_noise_neither_makes_an_order_nor_ends_one(contact: Contact, ordered: bool) -> None:
    async with contact.following():
        contact.dim(ordered)
        await contact.time.advance(LATEST_S)
        reasons_before = list(contact.reasons)
        for _ in range(200):
            contact.dim(not ordered)
            await contact.time.advance(0.2)
            contact.dim(ordered)
            await contact.time.advance(0.2)
        assert contact.reasons == reasons_before


@each
async def test_an_order_outlives_a_restart_of_the_station(contact: Contact) -> None:
    contact.dim(True)
    for _ in range(3):
        async with contact.following():
            assert contact.source.order is not None
            assert contact.source.order.reason is NOT_READ, "it dims before the contact was read"
            await contact.time.advance(LATEST_S)
        assert contact.reasons == [NOT_READ, ORDERED]


@each
async def test_an_input_that_restarts_is_read_again_without_being_asked(contact: Contact) -> None:
    async with contact.following():
        await contact.time.advance(LATEST_S)
        for ordered in (True, False):
            contact.chips.missing = True
            await contact.time.advance(LATEST_S)
            contact.dim(ordered)
            contact.chips.missing = False
            await contact.time.advance(LATEST_S)
        assert contact.reasons == [NOT_READ, None, FAILED, ORDERED, FAILED, None]


@each
@pytest.mark.parametrize("ordered", [False, True])
async def test_a_cut_cable_dims_or_it_is_said_that_it_cannot_be_seen(
    contact: Contact, ordered: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with contact.following():
        contact.dim(ordered)
        await contact.time.advance(LATEST_S)
        contact.disconnect()
        await contact.time.advance(LATEST_S)
        if contact.config.supervised:
            assert contact.reasons[-1] is (BROKEN if contact.name == "changeover" else ORDERED)
            assert "not supervised" not in caplog.text
        else:  # nobody can tell: a relay that is open and a wire that is cut are the same to the input
            assert contact.reasons[-1] is None
            assert "is not supervised: a broken wire cannot be distinguished from no order" in caplog.text


@each
@pytest.mark.parametrize("how", ["missing", "taken"])
async def test_an_input_that_is_not_there_or_belongs_to_somebody_else_dims(contact: Contact, how: str) -> None:
    contact.chips.missing = how == "missing"
    contact.chips.busy_lines = {LINE} if how == "taken" else set()
    async with contact.following():
        await contact.time.advance(LATEST_S)
        assert contact.reasons == [NOT_READ, FAILED]
        contact.chips.missing = False
        contact.chips.busy_lines.clear()
        await contact.time.advance(LATEST_S)
        assert contact.reasons == [NOT_READ, FAILED, None]


@each
@pytest.mark.parametrize("ordered", [False, True])
async def test_what_comes_again_and_again_is_nothing_new_and_does_not_become_stale(
    contact: Contact, ordered: bool
) -> None:
    """Other than a telegram that repeats, a contact that stays as it is was read a moment ago."""
    contact.dim(ordered)
    async with contact.following():
        await contact.time.advance(LATEST_S)
        order = contact.source.order
        await contact.time.advance(600.0)
        assert contact.reasons == [NOT_READ, ORDERED if ordered else None]
        assert contact.source.order == order


@each
@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("correction", [timedelta(hours=1), timedelta(hours=-1), timedelta(days=-400)])
async def test_the_wall_clock_may_jump_and_no_order_begins_or_ends(
    contact: Contact, ordered: bool, correction: timedelta
) -> None:
    async with contact.following():
        contact.dim(ordered)
        await contact.time.advance(LATEST_S)
        reasons_before = list(contact.reasons)
        contact.time.adjust(correction)
        await contact.time.advance(60.0)
        assert contact.reasons == reasons_before
        contact.dim(not ordered)
        contact.time.adjust(correction)
        await contact.time.advance(0.2)
        assert contact.reasons == reasons_before, "it has not lasted, whatever the wall clock says"
        await contact.time.advance(0.4)
        assert contact.reasons == [*reasons_before, None if ordered else ORDERED]
        order = contact.source.order
        assert order is None or order == GridOrder(4200.0, order.since, ORDERED)
        assert order is None or abs(order.since - contact.time.now()) < timedelta(seconds=1)
