"""Resolves host names in threads of their own, for the event loops of the station.

An unreachable name server blocks each look-up for half a minute (resolv.conf(5): timeout, attempts). asyncio runs
look-ups in the few threads that it shares with work that must not wait: the board's A/D converters, writes to disk.
uvloop has two threads for all look-ups, so that two dead names would delay the one of the CSMS.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import Any


class AddressLookups:
    """Resolves each host name in a daemon thread; callers that ask for the same name meanwhile share the result."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._running: dict[tuple[object, ...], asyncio.Future[Any]] = {}

    async def resolve(self, *question: Any) -> Any:
        """Return what socket.getaddrinfo returns for these arguments.

        A cancelled caller does not cancel the look-up: the next caller gets its result.

        Raises:
            socket.gaierror: the name is unknown, or no name server answers.
        """
        if question not in self._running:
            self._running[question] = self._loop.create_future()
            threading.Thread(
                target=self._look_up, args=(question,), name=f"address lookup of {question[0]}", daemon=True
            ).start()
        return await asyncio.shield(self._running[question])

    def _look_up(self, question: tuple[Any, ...]) -> None:
        found: Any = None
        failure: Exception | None = None
        try:
            found = socket.getaddrinfo(*question)
        except Exception as error:  # noqa: BLE001 - any error is passed on to the callers
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: no caller waits
            self._loop.call_soon_threadsafe(self._finish, question, found, failure)

    def _finish(self, question: tuple[object, ...], found: object, failure: Exception | None) -> None:
        asked = self._running.pop(question)
        if failure is None:
            asked.set_result(found)
        else:
            asked.set_exception(failure)
            asked.exception()  # all callers may be cancelled: mark it as retrieved
