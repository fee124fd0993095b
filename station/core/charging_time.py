"""Duration and charging time of a transaction, measured with the monotonic clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foundation.clock import Clock


class ChargingTime:
    """Measures the duration and the charging time of the current transaction of an EVSE; both restart with the next."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._transaction_id: str | None = None
        self._earlier_charging_s = 0.0
        self._charging_since_s: float | None = None
        self._begun_at_s = clock.monotonic()

    @property
    def duration_s(self) -> float:
        """Seconds since the begin of the current or last transaction; it still counts after the end."""
        return self._clock.monotonic() - self._begun_at_s

    @property
    def charging_s(self) -> float:
        """Seconds of charging in the current or last transaction (TransactionType.timeSpentCharging)."""
        return self._earlier_charging_s + (
            self._clock.monotonic() - self._charging_since_s if self._charging_since_s is not None else 0.0
        )

    def update(self, transaction_id: str | None, *, charging: bool) -> None:
        """Set the current transaction (None: none) and whether it charges now; a new id restarts both times."""
        if transaction_id is not None and transaction_id != self._transaction_id:
            self._transaction_id, self._earlier_charging_s, self._charging_since_s = transaction_id, 0.0, None
            self._begun_at_s = self._clock.monotonic()
        if not charging:
            self._earlier_charging_s, self._charging_since_s = self.charging_s, None
        elif self._charging_since_s is None:
            self._charging_since_s = self._clock.monotonic()
