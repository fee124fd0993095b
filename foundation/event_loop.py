"""The event loop of stations on a virtual clock: it can report when it is idle. Stations in real time: `uv_loop`."""

from __future__ import annotations

import asyncio
import selectors

from foundation.address_lookups import Addresses, AddressLookups

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
    """An asyncio event loop that can report when it is idle, and resolves each host name in a thread of its own."""

    def __init__(self) -> None:
        self._idleness = _IdleSelector()
        super().__init__(self._idleness)
        self._lookups = AddressLookups(self)

    async def wait_until_idle(self) -> None:
        """Wait until no callback is ready to run and no event has arrived. Timers that are not yet due do not count."""
        waiter = self.create_future()
        self._idleness.notify_idle(waiter)
        await waiter

    async def getaddrinfo(
        self,
        host: str | bytes | None,
        port: str | bytes | int | None,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> Addresses:
        """Resolve a host name as socket.getaddrinfo does, in a thread of its own."""
        return await self._lookups.resolve(host, port, family=family, kind=type, proto=proto, flags=flags)
