"""Block N: reports failures of locks and billing meters as events, without a monitor set by the CSMS (G05)."""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import TYPE_CHECKING, Final

from foundation.frozen import Frozen
from ocpp_handlers.wire import actions, timestamps
from ocpp_handlers.wire.session import LinkLostError
from station.charging.evse_state import all_faults
from station.core.csms import NoAnswerError
from station.core.model import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from foundation.clock import Clock
    from ocpp_handlers.connection.link import Link
    from ocpp_handlers.wire import messages as m
    from station.charging.evse import Evse

_log = logging.getLogger(__name__)

_MAX_INFO: Final = 500
"""characters of techInfo"""


class _MonitoredPart(Frozen):
    """A part of an EVSE whose variable Problem is reported."""

    evse: Evse
    component: str
    fault: Fault
    connector_id: int | None = None
    """None: it belongs to the whole EVSE"""


class ProblemReports:
    """Sends NotifyEvent when the variable Problem of a lock or meter becomes true or false (G05.FR.02).

    These are HardWiredNotifications (EventNotificationEnumType): no monitor of the CSMS is involved.
    """

    def __init__(self, link: Link, evses: Iterable[Evse], clock: Clock) -> None:
        self._link = link
        self._parts = [part for evse in evses for part in _parts(evse)]
        self._clock = clock
        self._reported: dict[_MonitoredPart, bool] = {}
        self._ids = itertools.count(1)

    def forget_reported(self) -> None:
        """Forget what was reported, so that all present problems are sent again (B10.FR.10).

        Called when the CSMS may be another one than before; sends nothing. Takes effect at the next `report`.
        """
        self._reported.clear()

    async def report(self) -> None:
        """Report each change, including those made while offline, until the link ends.

        Raises:
            LinkLostError: the session has ended (in a group).
        """
        async with asyncio.TaskGroup() as group:
            for part in self._parts:
                group.create_task(self._follow(part), name=f"{part.component}-{part.evse.id}")

    async def _follow(self, part: _MonitoredPart) -> None:
        while True:
            seen, problem = part.evse.changed.count, part.fault in all_faults(part.evse.state)
            if problem is self._reported.get(part, False):
                await part.evse.changed.wait(seen)
                continue
            try:
                await self._link.call(actions.NOTIFY_EVENT, self._notification(part, problem=problem))
            except LinkLostError:
                raise
            except NoAnswerError as error:  # not repeated
                _log.warning(
                    "EVSE %d: the problem state of its %s could not be reported to the CSMS: %s",
                    part.evse.id,
                    part.component,
                    error,
                )
            self._reported[part] = problem

    def _notification(self, part: _MonitoredPart, *, problem: bool) -> m.NotifyEventRequest:
        now = timestamps.encode(self._clock.now())
        where: m.EVSEType = {"id": part.evse.id}
        if part.connector_id is not None:
            where["connectorId"] = part.connector_id
        event: m.EventDataType = {
            "eventId": next(self._ids),
            "timestamp": now,
            "trigger": "Delta",
            "actualValue": "true" if problem else "false",
            "cleared": not problem,
            "eventNotificationType": "HardWiredNotification",
            "component": {"name": part.component, "evse": where},
            "variable": {"name": "Problem"},
        }
        if (transaction_id := part.evse.transaction_id) is not None:
            event["transactionId"] = transaction_id
        if problem and part.fault is Fault.METER and (reason := part.evse.meter.error) is not None:
            event["techInfo"] = reason[:_MAX_INFO]
        return {"generatedAt": now, "seqNo": 0, "eventData": [event]}


def _parts(evse: Evse) -> Iterable[_MonitoredPart]:
    yield _MonitoredPart(evse, "FiscalMetering", Fault.METER)
    if not evse.layout.attached_cable:
        yield _MonitoredPart(evse, "ConnectorPlugRetentionLock", Fault.LOCK, evse.layout.connector_id)
