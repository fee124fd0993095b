"""Block J, meter values: clock-aligned samples of an EVSE without a transaction (J01)."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

from ocpp_handlers.translate.translate import meter_value_to_wire
from ocpp_handlers.wire import actions

if TYPE_CHECKING:
    from foundation.supervision import Errands
    from ocpp_handlers.connection.link import Link
    from ocpp_handlers.wire import messages as m
    from station.core.sampling import MeterValue

_log = logging.getLogger(__name__)

MOST_WAITING = 2
"""samples of an EVSE that wait for a CSMS that does not answer; those of transactions, and its own wishes, have their
turn too"""


class MeterValues:
    """Sends MeterValuesRequest."""

    def __init__(self, link: Link, errands: Errands) -> None:
        self._link = link
        self._errands = errands
        self._waiting = Counter[int]()

    def report(self, evse_id: int, value: MeterValue) -> None:
        """J01.FR.02, J01.FR.14. Nobody bills by these: offline they are not kept, and a slow CSMS misses some."""
        if not self._link.online:
            return
        if self._waiting[evse_id] >= MOST_WAITING:
            _log.debug("MeterValues of EVSE %d are not told: others still wait", evse_id)
            return

        async def tell() -> None:
            try:
                await self.send(evse_id, value)
            finally:
                self._waiting[evse_id] -= 1

        if self._errands.start("MeterValues", tell):
            self._waiting[evse_id] += 1

    async def send(self, evse_id: int, value: MeterValue, *, requested: bool = False) -> None:
        """Send samples of an EVSE.

        Raises:
            NoAnswerError: they did not arrive.
        """
        request: m.MeterValuesRequest = {"evseId": evse_id, "meterValue": [meter_value_to_wire(value)]}
        await self._link.call(actions.METER_VALUES, request, requested=requested)
