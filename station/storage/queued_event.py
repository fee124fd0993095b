"""A transaction event in the queue for the CSMS."""

from __future__ import annotations

from foundation.frozen import Frozen
from station.core.model import TransactionEvent


class QueuedEvent(Frozen):
    """A transaction event on disk that is next to be sent to the CSMS, as returned by `Outbox.oldest`."""

    id: int
    """row id in table `events`"""
    event: TransactionEvent
    attempts: int
    """number of failed attempts to send it"""
