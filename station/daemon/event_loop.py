"""The event loop of the station: names of hosts are looked up in threads that nothing else waits for.

A name server that is gone keeps each look-up for half a minute (resolv.conf(5): timeout, attempts). In asyncio they
share a few threads with all that must not wait: the converters of a board, the records on disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import Any


class StationLoop(asyncio.SelectorEventLoop):
    """One thread for each name that is being looked up, however often it is asked for; none outlives the program."""

    def __init__(self) -> None:
        super().__init__()
        self._asked: dict[tuple[object, ...], asyncio.Future[Any]] = {}

    async def getaddrinfo(
        self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> Any:
        """As socket.getaddrinfo. Who is cancelled leaves the look-up to the next one who asks."""
        question = (host, port, family, type, proto, flags)
        if question not in self._asked:
            self._asked[question] = self.create_future()
            threading.Thread(target=self._look_up, args=(question,), name=f"look-up of {host}", daemon=True).start()
        return await asyncio.shield(self._asked[question])

    def _look_up(self, question: tuple[Any, ...]) -> None:
        found: Any = None
        failure: Exception | None = None
        try:
            found = socket.getaddrinfo(*question)
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to who has asked
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody asks any more
            self.call_soon_threadsafe(self._answer, question, found, failure)

    def _answer(self, question: tuple[object, ...], found: object, failure: Exception | None) -> None:
        asked = self._asked.pop(question)
        if failure is None:
            asked.set_result(found)
        else:
            asked.set_exception(failure)
            asked.exception()  # nobody may be left who asks for it
