"""Resolves host names in threads of their own, for the event loops of the station.

An unreachable name server blocks each look-up for half a minute (resolv.conf(5): timeout, attempts). asyncio runs
look-ups in the few threads that it shares with work that must not wait: the board's A/D converters, writes to disk.
uvloop has two threads for all look-ups, so that two dead names would delay the one of the CSMS.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import threading
from typing import Any

from foundation.supervision import contained_call

Addresses = list[tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]]
"""what `getaddrinfo` of an event loop returns; asyncio and uvloop declare the last item, the address, differently"""
_Question = tuple[str | bytes | None, str | bytes | int | None, int, int, int, int]


class AddressLookups:
    """Resolves each host name in a daemon thread; callers that ask for the same name meanwhile share the result."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._running_lookups: dict[_Question, asyncio.Future[Addresses]] = {}

    async def resolve(
        self,
        host: str | bytes | None,
        port: str | bytes | int | None,
        *,
        family: int,
        kind: int,
        proto: int,
        flags: int,
    ) -> Addresses:
        """Return what socket.getaddrinfo returns for these arguments; `kind`: of the socket.

        A cancelled caller does not cancel the look-up: the next caller gets its result.

        Raises:
            socket.gaierror: the name is unknown, or no name server answers.
        """
        question = (host, port, family, kind, proto, flags)
        if question not in self._running_lookups:
            self._running_lookups[question] = self._loop.create_future()
            threading.Thread(
                target=self._look_up, args=(question,), name=f"address lookup of {host}", daemon=True
            ).start()
        return await asyncio.shield(self._running_lookups[question])

    def _look_up(self, question: _Question) -> None:
        result = contained_call(functools.partial(socket.getaddrinfo, *question))
        with contextlib.suppress(RuntimeError):  # the loop is closed: no caller waits
            self._loop.call_soon_threadsafe(self._set_result, question, result)

    def _set_result(self, question: _Question, result: Addresses | Exception) -> None:
        lookup = self._running_lookups.pop(question)
        if isinstance(result, Exception):
            lookup.set_exception(result)
            lookup.exception()  # all callers may be cancelled: mark it as retrieved
        else:
            lookup.set_result(result)
