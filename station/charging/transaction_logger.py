"""Logs the begin and the end of each transaction, once they are stored."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from station.core.model import EventType, StoppedReason, TransactionEvent

if TYPE_CHECKING:
    from metering.reading import RegisterReading
    from station.storage.outbox import Outbox

_log = logging.getLogger(__name__)


class TransactionLogger:
    """Logs the begin of each transaction with its EVSE and token, and the end with energy, duration and reason."""

    def __init__(self) -> None:
        self._begins: dict[str, RegisterReading | None] = {}
        """register at the begin of each open transaction, by its id"""

    async def load(self, outbox: Outbox) -> None:
        """Load the begins of transactions that a power cut has interrupted, for the energy in the lines of their ends.

        Raises:
            StorageError: the disk cannot be read.
        """
        for identity in await outbox.open_transactions():
            first = next(iter(await outbox.events(identity)), None)
            self._begins[identity] = first.register if first is not None else None

    def event_recorded(self, event: TransactionEvent) -> None:
        """Log an event that has been stored, if it begins or ends a transaction."""
        if event.event_type is EventType.STARTED:
            self._begins[event.transaction_id] = event.register
            _log.info("EVSE %d: transaction %s begins: %s", event.evse_id, event.transaction_id, _begin_facts(event))
        elif event.event_type is EventType.ENDED:
            begin = self._begins.pop(event.transaction_id, None)
            _log.info(
                "EVSE %d: transaction %s ended: %s", event.evse_id, event.transaction_id, _end_facts(event, begin)
            )


def _begin_facts(event: TransactionEvent) -> str:
    facts = [f"trigger {event.trigger}"]
    if event.id_token is not None:
        facts.append(f"token {event.id_token.loggable}" if event.id_token.value else "without a token")
    if event.remote_start_id is not None:
        facts.append(f"remote start {event.remote_start_id}")
    if event.reservation_id is not None:
        facts.append(f"reservation {event.reservation_id}")
    facts.append(f"register {_kwh(event.register.energy_import_wh)}" if event.register is not None else "no register")
    return ", ".join(facts)


def _end_facts(event: TransactionEvent, begin: RegisterReading | None) -> str:
    facts = [f"reason {event.stopped_reason or StoppedReason.LOCAL}"]  # TransactionType: omitted only if it is Local
    facts.append(f"trigger {event.trigger}")
    if begin is None or event.register is None:
        facts.append("energy unknown")
    else:
        remark = " (the meter did not answer)" if begin.substitute or event.register.substitute else ""
        facts.append(_kwh(event.register.energy_import_wh - begin.energy_import_wh) + remark)
    if event.lasted_s is not None:
        facts.append(f"duration {event.lasted_s:.0f} s")
    return ", ".join(facts)


def _kwh(energy_wh: float) -> str:
    return f"{energy_wh / 1000.0:.3f} kWh"
