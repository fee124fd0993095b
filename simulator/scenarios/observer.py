"""Observes a station while time passes, simulated or real: its messages, and whether a condition becomes true."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from simulator.scenarios.messages import MessageLog

if TYPE_CHECKING:
    from simulator.scenarios.under_test import StationUnderTest
    from simulator.scenarios.verdicts import TimeKind

_FIRST_ADVANCE_S: Final = 0.25
_LONGEST_ADVANCE_S: Final = 30.0
"""the log of messages is read at least so often: it keeps only the last ones"""
_ADVANCE_PART: Final = 0.1
"""an advance is at most this part of the time that has been waited: so late events are found soon enough"""

Condition = Callable[[], bool | Awaitable[bool]]


class StationObserver:
    """Reads the messages of a station, and lets time pass until a condition is true."""

    def __init__(self, station: StationUnderTest, time: TimeKind, patience_s: float) -> None:
        """`patience_s`: real seconds at the end of simulated ones, for a CSMS that is not in this process."""
        self.log = MessageLog()
        """all messages so far"""
        self._station = station
        self._time = time
        self._patience_s = patience_s
        self._advanced_s = 0.0
        self._begin_s = asyncio.get_running_loop().time()

    @property
    def elapsed_s(self) -> float:
        """Seconds of the station's clock since the begin."""
        return self._advanced_s if self._time == "simulated" else asyncio.get_running_loop().time() - self._begin_s

    async def read_messages(self) -> None:
        """Read what the station has sent and received since the last time.

        Raises:
            StationError: it does not answer.
            FloodError: there are too many messages.
        """
        for frame in await self._station.frames(self.log.last_number):
            self.log.add(frame)

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and read the messages meanwhile."""
        await self.until(lambda: False, seconds, patient=False)

    async def until(self, condition: Condition, within_s: float, *, patient: bool = True) -> bool:
        """Let time pass until a condition is true; returns whether it has become true within so many seconds.

        `patient`: wait a little in real time at the end of simulated time.
        """
        if self._time == "real":
            return await self.until_in_real_time(condition, within_s)
        waited_s = 0.0
        while waited_s < within_s:
            if await self._is_true(condition):
                return True
            longest_s = min(_LONGEST_ADVANCE_S, within_s - waited_s)
            advance_s = min(max(_FIRST_ADVANCE_S, waited_s * _ADVANCE_PART), longest_s)
            await self._station.advance(advance_s)
            waited_s += advance_s
            self._advanced_s += advance_s
        return await self.until_in_real_time(condition, self._patience_s if patient else 0.0)

    async def until_in_real_time(self, condition: Condition, within_s: float) -> bool:
        """Wait for real seconds until a condition is true, and let no simulated time pass; returns whether it is."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + within_s
        while not await self._is_true(condition):
            if (left_s := end_s - loop.time()) <= 0.0:
                return False
            await self._station.wait_for_change(left_s)
        return True

    async def _is_true(self, condition: Condition) -> bool:
        await self.read_messages()
        result = condition()
        return await result if inspect.isawaitable(result) else result
