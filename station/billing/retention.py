"""Deletes old transactions, only by a synchronized clock and only after the station has run through that time."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from foundation.frozen import Frozen
from foundation.json_values import integer_of, list_of, text_of
from metering.time_quality import TimeStatus

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.billing.transaction_log import TransactionLog
    from station.core.station_time import TimeStatusSource
    from station.storage.fact_store import FactStore
    from station.storage.record_settings import RecordSettings

_log = logging.getLogger(__name__)

_EXPLAINED: Final = timedelta(days=31)
"""longest gap between two runs; a longer one is a clock jump, or a station that was off as long"""
_SLACK: Final = timedelta(hours=1)
"""largest step back that is not a clock jump"""


class _RetentionState(Frozen):
    """The stored state of the retention."""

    last_run_at: datetime
    """time of the last run"""
    jumped_at: datetime
    """time after the last clock jump, or of the first run"""
    number: int
    """newest transaction at that time: the age of those up to it is not known"""


class Retention:
    """Deletes transactions older than the retention time.

    A time service can be wrong by years, which makes all records look old. So after a clock jump the existing records
    are kept for the full retention time again, counted from the jump.
    """

    def __init__(
        self, log: TransactionLog, facts: FactStore, time: TimeStatusSource, settings: RecordSettings, clock: Clock
    ) -> None:
        self._log = log
        self._facts = facts
        self._time = time
        self._settings = settings
        self._clock = clock

    async def delete_old_transactions(self) -> None:
        """Delete transactions from the log that ended longer ago than the retention time; call once a day.

        Deletes nothing while the clock is not synchronized.

        Raises:
            StorageError: not all of them are deleted; call again.
        """
        if self._time.status is not TimeStatus.SYNCHRONIZED:
            return
        now = self._clock.now()
        state = await self._load_state()
        if state is None or not -_SLACK <= now - state.last_run_at <= _EXPLAINED:
            if state is not None:
                _log.warning(
                    "the time has jumped from %s to %s: existing records get the full retention time again",
                    state.last_run_at,
                    now,
                )
            state = _RetentionState(now, now, await self._log.newest())
        await self._store(_RetentionState(now, state.jumped_at, state.number))
        before = now - timedelta(days=self._settings.recorded_transactions_days)
        await self._log.prune(before, beyond=state.number if before < state.jumped_at else 0)

    async def _load_state(self) -> _RetentionState | None:
        text = (await self._facts.load()).get("time")
        if text is None:
            return None
        state = self._facts.read("time", _from_text, text)
        if state is None:
            _log.error(
                "the time of the last retention run cannot be read: existing records get the full retention time again"
            )
        return state

    async def _store(self, state: _RetentionState) -> None:
        stored = (state.last_run_at.isoformat(), state.jumped_at.isoformat(), state.number)
        await self._facts.save("time", json.dumps(stored))


def _from_text(text: str) -> _RetentionState:
    last_run_at, jumped_at, number = list_of(json.loads(text))
    return _RetentionState(
        datetime.fromisoformat(text_of(last_run_at)), datetime.fromisoformat(text_of(jumped_at)), integer_of(number)
    )
