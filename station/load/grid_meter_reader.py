"""Reads the grid meter, and passes each sample to the decision loop together with fresh readings of the vehicles."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from foundation.change_signal import ChangeSignal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from energy.grid import GridSample, GridSource
    from station.charging.evse import Evse

_UNSETTLED_A: Final = 1.0
"""a draw that differs this much from the offer is about to change: the meter is read again with each grid sample"""
_READING_TIMEOUT_S: Final = 0.3
"""longest wait for that reading; after it the previous reading is used"""


class GridMeterReader:
    """Receives the samples of the grid meter and passes the newest one on.

    The connection to the meter is auxiliary and is restarted (`follow`); passing samples on is essential (`run`).
    """

    def __init__(
        self, source: GridSource | None, evses: Iterable[Evse], process_sample: Callable[[GridSample], None]
    ) -> None:
        """`source`: None without a grid meter; `process_sample`: gets each sample, after the vehicles were read."""
        self._source = source
        self._evses = tuple(evses)
        self._process_sample = process_sample
        self._newest: GridSample | None = None
        """the sample that is not passed on yet"""
        self._received = ChangeSignal()

    async def follow(self) -> None:
        """Receive samples from the grid meter until the source fails; returns at once without a grid meter.

        Raises:
            SourceError: the connection to the meter failed.
        """
        if self._source is not None:
            async for sample in self._source.samples():
                self._newest = sample  # replaces an older one not yet passed on
                self._received.notify()

    async def run(self) -> None:
        """Task until cancelled: pass each received sample on; of several that wait, the newest."""
        while True:
            count_before = self._received.count
            if (sample := self._newest) is None:
                await self._received.wait(count_before)
                continue
            self._newest = None
            await self.receive(sample)

    async def receive(self, sample: GridSample) -> None:
        """Pass a sample on, after reading the billing meters of EVSEs whose draw differs from the offered current.

        An outdated reading would make the change count as load of the house. Waits at most 0.3 s for the meters.
        """
        if unsettled := [evse for evse in self._evses if _is_unsettled(evse)]:
            async with asyncio.TaskGroup() as group:
                for evse in unsettled:
                    group.create_task(evse.meter.refresh(_READING_TIMEOUT_S), name=f"reading-{evse.id}")
        self._process_sample(sample)


def _is_unsettled(evse: Evse) -> bool:
    """Return whether the vehicle draws more or less than it is offered."""
    differs = abs((evse.state.draw_a or 0.0) - evse.offered_a) > _UNSETTLED_A
    return evse.state.observation.contactor_closed and differs and evse.meter.error is None
