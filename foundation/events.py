"""Typed events: a part publishes what happened, and the composition decides which other parts listen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

Listener = Callable[[T], None]
Unsubscribe = Callable[[], None]
"""ends a subscription; a second call does nothing"""


class AlreadySubscribedError(Exception):
    """A second exclusive listener of an event: the parts are put together wrongly."""


class Event(Generic[T]):
    """One kind of thing that happens, with a value of type `T` each time; the part to which it happens publishes it.

    Listeners are ordinary functions and run inside `publish`, in the order in which they subscribed. Each must return
    at once: one with more to do wakes its own task (`ChangeSignal`) or fills its queue.

    A listener that fails does not stop the others: each of them runs, and then `publish` raises the error. Of several
    errors it raises the last one, with the earlier ones as its `__context__`. So no error is lost, and the supervision
    of the task that published decides what follows: an essential task ends with contactors open, another one is
    logged and started again. An auxiliary part must therefore do nothing in its listener that can fail.
    """

    def __init__(self) -> None:
        self._listeners: dict[object, Listener[T]] = {}
        """by a key for each subscription, in order"""
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
            raise AlreadySubscribedError(f"{listener!r} is the second exclusive listener")
        key = self._exclusive = object()
        return self._add(key, listener)

    def publish(self, value: T) -> None:
        """Call each listener; one that unsubscribes meanwhile is not called any more, a new one not yet.

        Raises the error of a listener after all of them were called (see the class).
        """
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
                self._call(keys, value)  # the rest; an error there has this one as its context
                raise
