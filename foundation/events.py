"""Typed events: a component publishes what happened, and the composition decides which others subscribe."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

Listener = Callable[[T], None]
Unsubscribe = Callable[[], None]
"""ends a subscription; a second call does nothing"""


class AlreadySubscribedError(Exception):
    """An event already has an exclusive listener: the composition subscribes two."""


class Subscription(Generic[T]):
    """A listener of an event, until the subscription ends."""

    __slots__ = ("listener",)  # a station has hundreds of subscriptions

    def __init__(self, listener: Listener[T]) -> None:
        self.listener: Listener[T] | None = listener
        """None: the subscription has ended"""

    def call(self, value: T) -> None:
        """Call the listener with a value, unless the subscription has ended; raises its error."""
        if (listener := self.listener) is not None:
            listener(value)


class Event(Generic[T]):
    """A kind of event with a value of type `T` per occurrence; the component that owns it publishes it.

    Listeners are plain functions and run inside `publish`, in the order in which they subscribed. Each must return
    at once: one with more to do wakes its own task (`ChangeSignal`) or fills its queue.

    A listener that fails does not stop the others: each of them runs, and then `publish` raises the error. Of several
    errors it raises the last one, with the earlier ones as its `__context__`. So no error is lost, and the supervision
    of the publishing task decides what follows: if the task is essential, the program ends with contactors open; if it
    is not, it is logged and restarted.

    So only what charging needs subscribes here itself. A listener of an auxiliary component is subscribed through
    `AuxiliaryCalls.subscribe` (`foundation/supervision.py`): its error is logged and counted, and not raised. It stays
    subscribed and gets the next value; what it has missed it must find again by itself then, as one does that reads a
    state instead of adding up changes. `tools/wiring` allows auxiliary packages no other way.
    """

    __slots__ = ("_exclusive", "_subscriptions")  # a station has hundreds of events

    def __init__(self) -> None:
        self._subscriptions: tuple[Subscription[T], ...] = ()
        """in the order in which the listeners subscribed; a tuple, since most events have one listener or none"""
        self._exclusive: Subscription[T] | None = None

    def subscribe(self, listener: Listener[T]) -> Unsubscribe:
        """Call `listener` with each value that is published from now on, until the returned function is called."""
        return self.add_subscription(Subscription(listener))

    def add_subscription(self, subscription: Subscription[T]) -> Unsubscribe:
        """Call the listener of a subscription as `subscribe` does, until the returned function is called."""
        self._subscriptions = (*self._subscriptions, subscription)
        return functools.partial(self._remove, subscription)

    def subscribe_exclusive(self, listener: Listener[T]) -> Unsubscribe:
        """Subscribe the one listener that acts on the event, beside any number of those that only observe it.

        Raises:
            AlreadySubscribedError: there is an exclusive listener.
        """
        if self._exclusive is not None:
            raise AlreadySubscribedError(f"{listener!r} cannot subscribe: the event already has an exclusive listener")
        self._exclusive = Subscription(listener)
        return self.add_subscription(self._exclusive)

    def publish(self, value: T) -> None:
        """Call each listener: not those that unsubscribe meanwhile, and not yet those that subscribe meanwhile.

        Raises the error of a listener after all of them were called (see the class).
        """
        if len(self._subscriptions) == 1:  # most events have one listener, and some are published for every message
            self._subscriptions[0].call(value)
        else:
            self._call(iter(self._subscriptions), value)

    def _remove(self, subscription: Subscription[T]) -> None:
        subscription.listener = None
        self._subscriptions = tuple(other for other in self._subscriptions if other is not subscription)
        if self._exclusive is subscription:
            self._exclusive = None

    def _call(self, subscriptions: Iterator[Subscription[T]], value: T) -> None:
        for subscription in subscriptions:
            try:
                subscription.call(value)
            except BaseException:
                self._call(subscriptions, value)  # the remaining listeners; their error has this one as its context
                raise


def merged(events: Iterable[Event[T]]) -> Event[T]:
    """Create an event that publishes each value that one of `events` publishes."""
    result: Event[T] = Event()
    for event in events:
        event.subscribe(result.publish)
    return result
