"""The contract of stored rows whose times are corrected together with the transaction events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from foundation.frozen import Frozen
from station.storage.time_corrections import TimeCorrection

if TYPE_CHECKING:
    from datetime import datetime

    from station.storage.sql import Statement


class CorrectedTransaction(Frozen):
    """A transaction with corrected times, and the correction."""

    transaction_id: str
    correction: TimeCorrection


class CorrectedRecords(Protocol):
    """Further records of transactions, whose times are corrected in the same write as the events."""

    async def correcting(
        self, transaction_id: str, correction: TimeCorrection, now: datetime, *, begun: bool
    ) -> list[Statement]:
        """The statements that correct the times of a transaction's records.

        Args:
            transaction_id: the transaction.
            correction: the correction to apply.
            now: the current time by the corrected clock.
            begun: whether the time of its begin is corrected too.

        Raises:
            StorageError: the disk cannot be read.
        """
        ...
