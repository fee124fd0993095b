"""Typed events: a component publishes what happened, and the composition decides which others subscribe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

Listener = Callable[[T], None]
Unsubscribe = Callable[[], None]
"""ends a subscription; a second call does nothing"""


class AlreadySubscribedError(Exception):
    """An event already has an exclusive listener: the composition subscribes two."""


class Event(Generic[T]):
    """A kind of event with a value of type `T` per occurrence; the component that owns it publishes it.

    Listeners are plain functions and run inside `publish`, in the order in which they subscribed. Each must return
    at once: one with more to do wakes its own task (`ChangeSignal`) or fills its queue.

    A listener that fails does not stop the others: each of them runs, and then `publish` raises the error. Of several
    errors it raises the last one, with the earlier ones as its `__context__`. So no error is lost, and the supervision
    of the publishing task decides what follows: if the task is essential, the program ends with contactors open; if it
    is not, it is logged and restarted. A listener of an auxiliary component must therefore do nothing that can fail.
    """

    __slots__ = ("_exclusive", "_listeners")  # a station has hundreds of events

    def __init__(self) -> None:
        self._listeners: dict[object, Listener[T]] = {}
        """listeners by subscription key, in the order of subscription"""
        self._exclusive: object | None = None

    def subscribe(self, listener: Listener[T]) -> Unsubscribe:
        """Call `listener` with each value that is published from now on, until the returned function is called."""
        return self._add(object(), listener)

    def subscribe_exclusive(self, listener: Listener[T]) -> Unsubscribe:
        """Subscribe the one listener that acts on the event, beside any number of those that only observe it.

        Raises:
            AlreadySubscribedError: there is an exclusive listener.
        """
        if self._exclusive is not None:
            raise AlreadySubscribedError(f"{listener!r} cannot subscribe: the event already has an exclusive listener")
        key = self._exclusive = object()
        return self._add(key, listener)

    def publish(self, value: T) -> None:
        """Call each listener: not those that unsubscribe meanwhile, and not yet those that subscribe meanwhile.

        Raises the error of a listener after all of them were called (see the class).
        """
        if len(self._listeners) == 1:  # most events have one listener, and some are published for every message
            (listener,) = self._listeners.values()
            listener(value)
        else:
            self._call(iter(tuple(self._listeners)), value)

    def _add(self, key: object, listener: Listener[T]) -> Unsubscribe:
        self._listeners[key] = listener

        def unsubscribe() -> None:
            self._listeners.pop(key, None)
            if self._exclusive is key:
                self._exclusive = None

        return unsubscribe

    def _call(self, keys: Iterator[object], value: T) -> None:
        for key in keys:
            try:
                if (listener := self._listeners.get(key)) is not None:
                    listener(value)
            except BaseException:
                self._call(keys, value)  # the remaining listeners; their error has this one as its context
                raise


def merged(events: Iterable[Event[T]]) -> Event[T]:
    """Create an event that publishes each value that one of `events` publishes."""
    result: Event[T] = Event()
    for event in events:
        event.subscribe(result.publish)
    return result
