"""A transaction event in the queue for the CSMS."""

from __future__ import annotations

from foundation.frozen import Frozen
from station.core.model import TransactionEvent


class QueuedEvent(Frozen):
    """A stored event that the CSMS has not answered yet."""

    id: int
    event: TransactionEvent
    attempts: int
    """number of failed attempts to send it"""
