"""The contract of stored rows whose times are corrected together with the transaction events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from foundation.frozen import Frozen
from station.storage.time_corrections import TimeCorrection

if TYPE_CHECKING:
    from datetime import datetime

    from station.storage.sql import Statement


class CorrectedTransaction(Frozen):
    """Event content: the stored times of this transaction were just corrected, by this correction."""

    transaction_id: str
    correction: TimeCorrection


class CorrectedRecords(Protocol):
    """A table besides the outbox with times of transactions, such as the transaction log.

    The outbox corrects them in the same database write as the transaction events, so that both agree.
    """

    async def correcting(
        self, transaction_id: str, correction: TimeCorrection, now: datetime, *, begin_is_wrong: bool
    ) -> list[Statement]:
        """Return the statements that correct the times of a transaction in this table; executes none of them.

        Args:
            transaction_id: the transaction.
            correction: the correction to apply.
            now: the current time by the corrected clock.
            begin_is_wrong: True if the time of the begin is wrong too; False if only later times are.

        Raises:
            StorageError: the disk cannot be read.
        """
        ...
