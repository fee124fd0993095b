"""Restarting the station's software because the CSMS asks for it: at once, or when nobody charges (B11, B12)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from station.model import StoppedReason, TriggerReason

if TYPE_CHECKING:
    from metering.clock import Clock
    from station.evse import Evse
    from station.outbox import Outbox

_log = logging.getLogger(__name__)

_ENDING_S = 10.0
"""how long ends of transactions may take; what is not ended then ends at the next start"""
_DELIVERY_S = 30.0
"""how long the CSMS may take to answer them (B12.FR.05)"""


class Restart:
    """Ends what has to end, then asks the program for a new life."""

    def __init__(self, evses: Mapping[int, Evse], outbox: Outbox, clock: Clock, reboot: Callable[[], None]) -> None:
        self._evses = evses
        self._outbox = outbox
        self._clock = clock
        self._reboot = reboot
        self.online: Callable[[], bool] = lambda: False
        """whether the CSMS can be told anything"""
        self.scheduled = False
        """whether a restart waits for transactions to end (B12.FR.01)"""

    @property
    def transactions_run(self) -> bool:
        """Whether any EVSE has a transaction."""
        return any(evse.state.transaction is not None for evse in self._evses.values())

    def schedule(self) -> None:
        """Restart as soon as the last transaction has ended; nobody new may start until then."""
        self.scheduled = True
        _log.info("restart scheduled")

    async def now(self) -> None:
        """End what still runs, because of the reset, and restart once all ends are on disk (B12.FR.04)."""
        self.scheduled = True
        _log.info("restart")
        try:
            async with self._clock.timeout(_ENDING_S), asyncio.TaskGroup() as group:
                for evse in self._evses.values():
                    group.create_task(evse.end_now(TriggerReason.RESET_COMMAND, StoppedReason.IMMEDIATE_RESET))
        except TimeoutError:
            _log.warning("not all transactions could be ended before the restart")
        if self.online() and not await self._outbox.delivered(within_s=_DELIVERY_S):
            _log.info("the CSMS has not answered everything; the rest is sent after the restart")  # B12.FR.05
        self._reboot()

    async def follow(self, evse: Evse) -> None:
        """Carry a scheduled restart out once the last transaction has ended (B12.FR.03), until cancelled."""
        while True:
            await evse.changed.wait()
            if self.scheduled and not self.transactions_run:
                await self.now()
