"""A transaction event in the queue for the CSMS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from foundation.frozen import Frozen
from station.core.model import TransactionEvent
from station.storage import payloads

if TYPE_CHECKING:
    from station.storage.sql import Row


class QueuedEvent(Frozen):
    """A transaction event on disk that is next to be sent to the CSMS, as returned by `Outbox.oldest`."""

    id: int
    """row id in table `events`"""
    event: TransactionEvent
    attempts: int
    """number of failed attempts to send it"""


def parse_queued_event(row: Row) -> QueuedEvent:
    """Parse a row of table `events` with the columns `EVENT_COLUMNS`.

    Raises:
        ValueError: it is not a valid event.
    """
    identity, _, seq_no, offline, attempts, payload = row
    event = payloads.event_from_text(payload)
    recorded = replace(event, seq_no=int(str(seq_no)), offline=bool(offline))
    return QueuedEvent(int(str(identity)), recorded, int(str(attempts)))
