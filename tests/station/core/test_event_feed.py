"""Events are published to the subscribers that may receive them, bounded in number and bytes."""

from __future__ import annotations

import asyncio
import sys
import tracemalloc

import pytest

from station.core.event_feed import EventFeed
from station.interfaces.access.visitor_view import may_receive_event
from station.security.access.accounts import Role


def accept_all(kind: str) -> bool:
    """A listener that may receive every kind of event."""
    return bool(kind)


def frame(number: int, length: int = 100_000) -> str:
    """A text of this length that contains its number."""
    return f"{number:08d}" + "x" * (length - 8)


async def test_happenings_come_in_order_and_later_ones_are_waited_for() -> None:
    feed = EventFeed()
    with feed.subscribe(accept_all) as queue:
        feed.publish("evse", id=1)
        feed.publish("light", state="charging")
        assert [(await queue.get()).event_type for _ in range(2)] == ["evse", "light"]
        waiting = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        assert not waiting.done()
        feed.publish("evse", id=2)
        assert (await waiting).data == {"id": 2}


async def test_a_listener_that_takes_nothing_holds_a_bounded_number_of_bytes() -> None:
    """500 frames of 100 kB each were 50 MB."""
    feed = EventFeed()
    with feed.subscribe(accept_all) as queue:
        for number in range(500):
            feed.publish("frame", number=number, text=frame(number))
        assert len(queue) == 2  # of 256 KiB
        assert [(await queue.get()).data["number"] for _ in range(2)] == [498, 499]


async def test_many_listeners_share_what_waits_for_them() -> None:
    feed = EventFeed()
    with (
        feed.subscribe(accept_all),
        feed.subscribe(accept_all),
        feed.subscribe(accept_all),
        feed.subscribe(accept_all),
        feed.subscribe(accept_all),
    ):
        tracemalloc.start()
        for number in range(200):
            feed.publish("frame", number=number, text=frame(number))
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert held < 2 * 256 * 1024


async def test_wide_characters_count_as_what_they_take() -> None:
    feed = EventFeed()
    text = "𝄞" * 40_000
    assert sys.getsizeof(text) > 150_000
    with feed.subscribe(accept_all) as queue:
        for number in range(10):
            feed.publish("frame", number=number, text=text)
        assert len(queue) == 1


async def test_small_happenings_are_bounded_by_their_number() -> None:
    feed = EventFeed()
    with feed.subscribe(accept_all) as queue:
        for number in range(1_000):
            feed.publish("evse", id=number)
        assert len(queue) == 500
        assert (await queue.get()).data == {"id": 500}


async def test_one_frame_larger_than_the_bound_still_comes() -> None:
    feed = EventFeed()
    with feed.subscribe(accept_all) as queue:
        feed.publish("evse", id=1)
        feed.publish("frame", number=1, text=frame(1, 1_000_000))
        assert (await queue.get()).event_type == "frame"
        feed.publish("evse", id=2)
        assert (await queue.get()).data == {"id": 2}


@pytest.mark.parametrize("role", Role)
async def test_frames_do_not_even_wait_for_who_may_not_see_them(role: Role) -> None:
    feed = EventFeed()
    with feed.subscribe(lambda kind: may_receive_event(role, kind)) as queue:
        feed.publish("frame", number=1, text=frame(1))
        feed.publish("evse", id=1)
        assert len(queue) == (2 if role >= Role.INSTALLER else 1)


async def test_a_closed_subscription_receives_nothing() -> None:
    feed = EventFeed()
    with feed.subscribe(accept_all) as queue:
        pass
    feed.publish("evse", id=1)
    assert len(queue) == 0


async def test_a_type_has_a_listener_while_a_subscriber_accepts_it() -> None:
    feed = EventFeed()
    assert not feed.has_listener("frame")
    with feed.subscribe(lambda kind: kind == "light"):
        assert feed.has_listener("light")
        assert not feed.has_listener("frame")
    assert not feed.has_listener("light")
