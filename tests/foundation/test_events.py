"""A typed event reaches every listener, whatever another listener does, and no failure of one is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.events import AlreadySubscribedError, Event


def test_every_listener_gets_each_value_in_the_order_of_subscription() -> None:
    event, received = Event[int](), list[tuple[str, int]]()
    event.subscribe(lambda value: received.append(("first", value)))
    event.subscribe_exclusive(lambda value: received.append(("second", value)))
    event.subscribe(lambda value: received.append(("third", value)))
    event.publish(1)
    event.publish(2)
    assert received == [(name, value) for value in (1, 2) for name in ("first", "second", "third")]


def test_an_event_without_listeners_may_be_published() -> None:
    Event[str]().publish("nobody hears it")


def test_a_listener_that_has_unsubscribed_hears_no_more_and_may_unsubscribe_again() -> None:
    event, received = Event[int](), list[int]()
    unsubscribe = event.subscribe(received.append)
    event.subscribe(received.append)
    event.publish(1)
    unsubscribe()
    unsubscribe()
    event.publish(2)
    assert received == [1, 1, 2]


def test_only_one_listener_is_exclusive_until_it_unsubscribes() -> None:
    event, first, second = Event[int](), list[int](), list[int]()
    unsubscribe = event.subscribe_exclusive(first.append)
    with pytest.raises(AlreadySubscribedError):
        event.subscribe_exclusive(second.append)
    event.publish(1)
    unsubscribe()
    event.subscribe_exclusive(second.append)
    unsubscribe()  # of the first one: the second stays
    with pytest.raises(AlreadySubscribedError):
        event.subscribe_exclusive(first.append)
    event.publish(2)
    assert (first, second) == ([1], [2])


def test_who_unsubscribes_or_subscribes_during_an_event_is_not_called_by_it() -> None:
    event, received = Event[str](), list[str]()
    ends = [lambda: None]

    def change(value: str) -> None:
        ends[0]()
        if value == "one":
            event.subscribe(lambda value: received.append(f"new {value}"))

    event.subscribe(change)
    ends[0] = event.subscribe(lambda value: received.append(f"old {value}"))
    event.publish("one")
    assert received == []
    event.publish("two")
    assert received == ["new two"]


def test_an_event_may_be_published_by_its_own_listener() -> None:
    event, received = Event[int](), list[int]()
    event.subscribe(lambda value: event.publish(value - 1) if value > 0 else None)
    event.subscribe(received.append)
    event.publish(2)
    assert received == [0, 1, 2]


@given(fails=st.lists(st.booleans(), max_size=8))
def test_a_failing_listener_stops_no_other_and_no_failure_is_lost(fails: list[bool]) -> None:
    event, called = Event[None](), list[int]()

    def listener(number: int) -> None:
        called.append(number)
        if fails[number]:
            raise ValueError(number)

    for number in range(len(fails)):
        event.subscribe(lambda _, number=number: listener(number))
    raised: BaseException | None = None
    try:
        event.publish(None)
    except ValueError as error:
        raised = error
    assert called == list(range(len(fails)))
    found = list[object]()
    while raised is not None:
        found.append(raised.args[0])
        raised = raised.__context__
    assert found == [number for number in reversed(called) if fails[number]]
