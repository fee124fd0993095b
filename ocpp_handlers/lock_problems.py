"""Block G, lock failure: the CSMS learns that a connector's lock does not do what it is told (G05)."""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import TYPE_CHECKING

from ocpp_handlers import actions, timestamps
from ocpp_handlers.session import LinkLostError
from station.evse_state import all_faults
from station.model import Fault
from station.ports import NoAnswerError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from metering.clock import Clock
    from ocpp_handlers import messages as m
    from ocpp_handlers.link import Link
    from station.evse import Evse

_log = logging.getLogger(__name__)


class LockProblems:
    """Notifies of ConnectorPlugRetentionLock.Problem, of its beginning and of its end (G05.FR.02)."""

    def __init__(self, link: Link, evses: Iterable[Evse], clock: Clock) -> None:
        self._link = link
        self._evses = [evse for evse in evses if not evse.layout.attached_cable]
        self._clock = clock
        self._told: dict[int, bool] = {}
        self._ids = itertools.count(1)

    async def report(self) -> None:
        """Tell each change, and what changed while there was no link, until the link ends.

        Raises:
            LinkLostError: the session has ended (in a group).
        """
        async with asyncio.TaskGroup() as group:
            for evse in self._evses:
                group.create_task(self._follow(evse), name=f"lock-{evse.id}")

    async def _follow(self, evse: Evse) -> None:
        while True:
            problem = Fault.LOCK in all_faults(evse.state)
            if problem is self._told.get(evse.id, False):
                await evse.changed.wait()
                continue
            try:
                await self._link.call(actions.NOTIFY_EVENT, self._notification(evse, problem=problem))
            except LinkLostError:
                raise
            except NoAnswerError as error:  # a CSMS that does not take it now would not take it later
                _log.warning("EVSE %d: the CSMS is not told of its lock: %s", evse.id, error)
            self._told[evse.id] = problem

    def _notification(self, evse: Evse, *, problem: bool) -> m.NotifyEventRequest:
        now = timestamps.encode(self._clock.now())
        event: m.EventDataType = {
            "eventId": next(self._ids),
            "timestamp": now,
            "trigger": "Delta",
            "actualValue": "true" if problem else "false",
            "cleared": not problem,
            "eventNotificationType": "HardWiredNotification",
            "component": {
                "name": "ConnectorPlugRetentionLock",
                "evse": {"id": evse.id, "connectorId": evse.layout.connector_id},
            },
            "variable": {"name": "Problem"},
        }
        if (transaction_id := evse.transaction_id) is not None:
            event["transactionId"] = transaction_id
        return {"generatedAt": now, "seqNo": 0, "eventData": [event]}
