"""Deletes old transactions, only by a synchronized clock and only after the station has run through that time."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from foundation.frozen import Frozen
from foundation.json_values import list_of, number_of, text_of
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


class _Known(Frozen):
    """The stored state of the retention."""

    seen: datetime
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
        known = await self._known()
        if known is None or not -_SLACK <= now - known.seen <= _EXPLAINED:
            if known is not None:
                _log.warning(
                    "the time has jumped from %s to %s: existing records get the full retention time again",
                    known.seen,
                    now,
                )
            known = _Known(now, now, await self._log.newest())
        await self._store(_Known(now, known.jumped_at, known.number))
        before = now - timedelta(days=self._settings.recorded_transactions_days)
        await self._log.prune(before, beyond=known.number if before < known.jumped_at else 0)

    async def _known(self) -> _Known | None:
        text = (await self._facts.load()).get("time")
        if text is None:
            return None
        known = self._facts.read("time", _from_text, text)
        if known is None:
            _log.error(
                "the time of the last retention run cannot be read: existing records get the full retention time again"
            )
        return known

    async def _store(self, known: _Known) -> None:
        kept = (known.seen.isoformat(), known.jumped_at.isoformat(), known.number)
        await self._facts.save("time", json.dumps(kept))


def _from_text(text: str) -> _Known:
    seen, jumped_at, number = list_of(json.loads(text))
    return _Known(
        datetime.fromisoformat(text_of(seen)), datetime.fromisoformat(text_of(jumped_at)), int(number_of(number))
    )
