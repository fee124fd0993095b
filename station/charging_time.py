"""How long a transaction has charged (TransactionType.timeSpentCharging)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metering.clock import Clock


class ChargingTime:
    """A stopwatch that runs while energy flows, and starts anew with each transaction."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._transaction_id: str | None = None
        self._counted_s = 0.0
        self._since_s: float | None = None

    @property
    def seconds(self) -> float:
        """The time of the present transaction, or of the last one."""
        return self._counted_s + (self._clock.monotonic() - self._since_s if self._since_s is not None else 0.0)

    def update(self, transaction_id: str | None, *, charging: bool) -> None:
        """The transaction and the charging state are these from now on."""
        if transaction_id is not None and transaction_id != self._transaction_id:
            self._transaction_id, self._counted_s, self._since_s = transaction_id, 0.0, None
        if not charging:
            self._counted_s, self._since_s = self.seconds, None
        elif self._since_s is None:
            self._since_s = self._clock.monotonic()
