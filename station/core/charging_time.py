"""How long a transaction has lasted, and how long it has charged, whatever the wall time does meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foundation.clock import Clock


class ChargingTime:
    """Two stopwatches that start anew with each transaction; one of them runs only while energy flows."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._transaction_id: str | None = None
        self._counted_s = 0.0
        self._since_s: float | None = None
        self._began_s = clock.monotonic()

    @property
    def lasted_s(self) -> float:
        """Since the begin of the present transaction, or of the last one."""
        return self._clock.monotonic() - self._began_s

    @property
    def seconds(self) -> float:
        """How long the present transaction has charged, or the last one did (TransactionType.timeSpentCharging)."""
        return self._counted_s + (self._clock.monotonic() - self._since_s if self._since_s is not None else 0.0)

    def update(self, transaction_id: str | None, *, charging: bool) -> None:
        """The transaction and the charging state are these from now on."""
        if transaction_id is not None and transaction_id != self._transaction_id:
            self._transaction_id, self._counted_s, self._since_s = transaction_id, 0.0, None
            self._began_s = self._clock.monotonic()
        if not charging:
            self._counted_s, self._since_s = self.seconds, None
        elif self._since_s is None:
            self._since_s = self._clock.monotonic()
