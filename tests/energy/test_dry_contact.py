"""The grid operator's contact: polarity, debounce, supervision, and the formula of what is left."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy.grid import GridOrder, OrderReason
from energy.sources.dry_contact import DryContactConfig, DryContactSource, minimum_w
from energy.sources.gpio_contacts import GpioContacts
from foundation.table_definition import InvalidTableError
from tests.fakes import NOON, clock


class Contacts:
    """Contacts whose states the test sets."""

    def __init__(self, *closed: bool) -> None:
        self.closed = closed
        self.failing = False
        self.closed_by_source = False

    def read(self) -> tuple[bool, ...]:
        if self.failing:
            raise OSError("no such device")
        return self.closed

    def close(self) -> None:
        self.closed_by_source = True


def config(polarity: str = "closed-dims", **more: Any) -> DryContactConfig:
    return DryContactConfig.from_tree({"type": "dry-contact", "polarity": polarity, "line": 17, **more})


class Follower:
    """Collects the reasons of the source's orders."""

    def __init__(self, source: DryContactSource) -> None:
        self.source = source
        self.reasons: list[OrderReason | None] = []

    async def run(self) -> None:
        async for order in self.source.orders():
            self.reasons.append(None if order is None else order.reason)


@contextlib.asynccontextmanager
async def following(contacts: Contacts, settings: DryContactConfig) -> AsyncGenerator[tuple[Follower, Any]]:
    time = clock()
    follower = Follower(settings.open(time, contacts))
    task = asyncio.create_task(follower.run())
    await time.settle()
    try:
        yield follower, time
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert contacts.closed_by_source


@pytest.mark.parametrize(
    ("devices", "watts"),
    [
        (1, 4200.0),
        (2, 7560.0),
        (3, 10500.0),
        (4, 13020.0),
        (5, 15120.0),
        (6, 16800.0),
        (7, 18060.0),
        (8, 18900.0),
        (9, 19320.0),
        (20, 40110.0),
    ],
)
def test_what_the_devices_keep_together(devices: int, watts: float) -> None:
    assert minimum_w(devices) == pytest.approx(watts)


def test_an_order_is_for_all_devices_unless_the_operator_states_a_limit() -> None:
    assert config(devices=2).ordered_w == pytest.approx(7560.0)
    assert config(devices=2, limit_w=8000).ordered_w == 8000.0
    with pytest.raises(InvalidTableError, match="limit_w"):
        config(limit_w=4199)


def test_the_polarity_has_no_default() -> None:
    with pytest.raises(InvalidTableError, match="polarity"):
        DryContactConfig.from_tree({"type": "dry-contact", "line": 17})


@pytest.mark.parametrize(
    ("polarity", "closed", "reason"),
    [
        ("closed-dims", True, OrderReason.ORDERED),
        ("closed-dims", False, None),
        ("open-dims", True, None),
        ("open-dims", False, OrderReason.ORDERED),
    ],
)
async def test_a_contact_is_read_by_its_polarity_and_dims_until_the_first_reading(
    polarity: str, closed: bool, reason: OrderReason | None
) -> None:
    async with following(Contacts(closed), config(polarity)) as (follower, time):
        assert follower.source.order == GridOrder(4200.0, NOON, OrderReason.NOT_READ_YET)
        await time.advance(1.0)
        assert follower.reasons == [OrderReason.NOT_READ_YET, reason]


async def test_a_change_counts_when_it_has_lasted() -> None:
    contacts = Contacts(False)
    async with following(contacts, config()) as (follower, time):
        await time.advance(1.0)
        for _ in range(20):  # it bounces
            contacts.closed = (True,)
            await time.advance(0.2)
            contacts.closed = (False,)
            await time.advance(0.2)
        assert follower.reasons == [OrderReason.NOT_READ_YET, None]
        contacts.closed = (True,)
        await time.advance(0.6)
        assert follower.reasons[-1] is OrderReason.ORDERED
        order = follower.source.order
        assert order is not None
        assert order.since - time.now() <= timedelta(0)


@pytest.mark.parametrize("both", [True, False])
async def test_a_broken_or_shorted_wire_does_not_end_an_order_and_makes_one(both: bool) -> None:
    contacts = Contacts(True, False)
    async with following(contacts, config(opposite_line=18)) as (follower, time):
        await time.advance(1.0)
        contacts.closed = (both, both)
        await time.advance(1.0)
        contacts.closed = (False, True)
        await time.advance(1.0)
        contacts.closed = (both, both)
        await time.advance(1.0)
        ordered, broken = OrderReason.ORDERED, OrderReason.WIRE_BROKEN
        assert follower.reasons == [OrderReason.NOT_READ_YET, ordered, broken, None, broken]


async def test_while_a_changeover_contact_flies_nothing_changes() -> None:
    contacts = Contacts(False, True)
    async with following(contacts, config(opposite_line=18)) as (follower, time):
        await time.advance(1.0)
        contacts.closed = (False, False)
        await time.advance(0.1)
        contacts.closed = (True, False)
        await time.advance(1.0)
        assert follower.reasons == [OrderReason.NOT_READ_YET, None, OrderReason.ORDERED]


async def test_a_normally_closed_wire_that_breaks_dims_without_supervision() -> None:
    contacts = Contacts(True)
    async with following(contacts, config("open-dims")) as (follower, time):
        await time.advance(1.0)
        contacts.closed = (False,)
        await time.advance(1.0)
        assert follower.reasons[-1] is OrderReason.ORDERED


async def test_an_input_that_fails_dims_and_is_tried_again() -> None:
    contacts = Contacts(False)
    async with following(contacts, config()) as (follower, time):
        await time.advance(1.0)
        contacts.failing = True
        await time.advance(1.0)
        assert follower.reasons[-1] is OrderReason.INPUT_FAILED
        contacts.failing = False
        await time.advance(1.0)
        assert follower.reasons[-1] is None


def test_a_wire_that_cannot_be_supervised_is_said(caplog: pytest.LogCaptureFixture) -> None:
    config("open-dims").open(clock(), Contacts(True))
    config(opposite_line=18).open(clock(), Contacts(True, False))
    assert caplog.records == []
    config().open(clock(), Contacts(False))
    assert "is not supervised" in caplog.text


def test_a_chip_that_is_missing_is_an_input_that_fails(tmp_path: Any) -> None:
    contacts = GpioContacts(tmp_path / "gpiochip9", (17,))
    with pytest.raises(OSError, match="gpiochip9"):
        contacts.read()
    contacts.close()


@given(st.integers(1, 100))
def test_more_devices_never_keep_less_than_fewer(devices: int) -> None:
    assert minimum_w(devices + 1) > minimum_w(devices) >= 4200.0
