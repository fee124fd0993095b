"""The station's event loop: resolves host names in threads of their own, and can report when it is idle.

An unreachable name server blocks each look-up for half a minute (resolv.conf(5): timeout, attempts). asyncio runs
look-ups in the few threads that it shares with work that must not wait: the board's A/D converters, writes to disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import socket
import threading
from typing import Any

_IDLE_POLLS = 5
"""consecutive polls without an event after which the loop counts as idle: the kernel may still deliver what was sent"""
_MAX_TURNS = 20_000
"""turns after which a wait for an idle loop ends even if the loop never becomes idle"""


class _IdleSelector(selectors.DefaultSelector):
    """A selector that detects an idle loop: asyncio lets it block only if no callback is ready to run."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[asyncio.Future[None]] = []
        self._turns = 0

    def notify_idle(self, waiter: asyncio.Future[None]) -> None:
        """Complete `waiter` as soon as the loop is idle; returns at once."""
        self._waiting.append(waiter)
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for events as any selector does, but do not block while a task waits for the loop to be idle."""
        if not self._waiting:
            return super().select(timeout)
        self._turns += 1
        if timeout is not None and timeout <= 0.0:  # callbacks are ready, or a timer is due
            events, idle = super().select(0.0), False
        else:
            events = self._poll()
            idle = not events
        if idle or self._turns >= _MAX_TURNS:
            self._complete()
        return events

    def _poll(self) -> list[tuple[selectors.SelectorKey, int]]:
        for _ in range(_IDLE_POLLS):
            if events := super().select(0.0):
                return events
        return []

    def _complete(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)


class StationLoop(asyncio.SelectorEventLoop):
    """The asyncio event loop of the program. It resolves each host name in a daemon thread of its own.

    Callers that ask for the same name meanwhile share the result. It can also report when it is idle.
    """

    def __init__(self) -> None:
        self._idleness = _IdleSelector()
        super().__init__(self._idleness)
        self._lookups: dict[tuple[object, ...], asyncio.Future[Any]] = {}

    async def wait_until_idle(self) -> None:
        """Wait until no callback is ready to run and no event has arrived. Timers that are not yet due do not count."""
        waiter = self.create_future()
        self._idleness.notify_idle(waiter)
        await waiter

    async def getaddrinfo(
        self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> Any:
        """Resolve a host name as socket.getaddrinfo does, in a thread.

        A cancelled caller does not cancel the look-up: the next caller gets its result.
        """
        question = (host, port, family, type, proto, flags)
        if question not in self._lookups:
            self._lookups[question] = self.create_future()
            threading.Thread(
                target=self._resolve, args=(question,), name=f"address lookup of {host}", daemon=True
            ).start()
        return await asyncio.shield(self._lookups[question])

    def _resolve(self, question: tuple[Any, ...]) -> None:
        found: Any = None
        failure: Exception | None = None
        try:
            found = socket.getaddrinfo(*question)
        except Exception as error:  # noqa: BLE001 - any error is passed on to the callers
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: no caller waits
            self.call_soon_threadsafe(self._finish_lookup, question, found, failure)

    def _finish_lookup(self, question: tuple[object, ...], found: object, failure: Exception | None) -> None:
        asked = self._lookups.pop(question)
        if failure is None:
            asked.set_result(found)
        else:
            asked.set_exception(failure)
            asked.exception()  # all callers may be cancelled: mark it as retrieved
