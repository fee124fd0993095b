"""The safe start: after several failed starts the station starts without the stored rows that may be their cause.

After three runs in a row that each failed within ten minutes, what a CSMS has set (charging profiles, monitors, display
messages, settings) is set aside, not deleted; if a start fails again, also what a station can do without. Transactions,
bills, meters, access, the link and the limits of the installation stay as they are.

After ten minutes without a failure one kind of rows is put back, with a restart while nobody charges, and so on. A kind
with which this fails stays aside until an operator or the CSMS ends the safe start.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from station.storage.database import StorageError
from station.storage.safe_start_record import FAILED_START_WITHIN, SafeStartState
from station.storage.set_aside_rows import CHARGING_PROFILES, KINDS, LAST_STAGE, RowKind

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.storage.safe_start_record import SafeStartRecord
    from station.storage.set_aside_rows import SetAsideRows

_log = logging.getLogger(__name__)

FAILED_STARTS: Final = 3
"""consecutive failed starts before a safe start"""


class SafeStart:
    """Sets stored rows aside at a start that follows failed ones, and puts them back step by step."""

    def __init__(self, record: SafeStartRecord, rows: SetAsideRows, clock: Clock) -> None:
        self._record = record
        self.rows = rows
        """the rows that are set aside"""
        self._clock = clock

    @property
    def state(self) -> SafeStartState:
        """The failed starts, and the steps that followed."""
        return self._record.state

    @property
    def active(self) -> bool:
        """Whether rows are set aside, or are being tried again."""
        return self.state.since is not None

    @property
    def charging_profiles_aside(self) -> bool:
        """Whether charging profiles are set aside, so that their limits are unknown."""
        return bool(self.rows.counts.get(CHARGING_PROFILES.name))

    @property
    def sentence(self) -> str:
        """The cause of the safe start and the number of rows set aside of each kind, for the log and the CSMS."""
        counts = ", ".join(f"{name} ({count})" for name, count in self.rows.counts.items())
        return f"the last starts failed: {self.state.cause}; set aside: {counts or 'nothing'}"

    async def prepare(self) -> None:
        """Set rows aside or put them back, depending on how the last starts ended; call it before parts load rows.

        A disk that cannot be written is only logged.
        """
        state = self.state
        if state.since is None and len(state.failures) < FAILED_STARTS:
            return
        try:
            await self.rows.load()
            await self._move_rows(state)
        except StorageError as error:  # a full disk must not prevent the start; the next one tries again
            _log.error("rows cannot be set aside or put back: %s", error)
        if self.active:
            _log.critical("safe start: %s", self.sentence)

    async def _move_rows(self, state: SafeStartState) -> None:
        """Move rows as the state demands; a power cut between the rows and the record is made up for at the next start.

        Raises:
            StorageError: the disk cannot be read or written; rows and record are as before, but for `trial`.
        """
        if state.ends is not None:
            await (self.rows.delete(KINDS) if state.ends == "delete" else self.rows.put_back(KINDS))
            self._record.save(SafeStartState())
        elif state.failures and state.trial is not None:
            await self._end_trial(state, state.trial)
        elif state.failures:
            await self._set_more_aside(state)
        elif state.trial is not None:
            await self._put_rows_back(state.trial)  # already done, unless power failed before it was
        elif state.next_is_due and (kind := self._next_kind(state)) is not None:
            self._record.save(replace(state, trial=kind.name, next_is_due=False))  # first: else another kind is blamed
            await self._put_rows_back(kind.name)

    async def _put_rows_back(self, name: str) -> None:
        if self.rows.counts.get(name):
            await self.rows.put_back([kind for kind in KINDS if kind.name == name])

    async def _set_more_aside(self, state: SafeStartState) -> None:
        """Begin the safe start; if it has begun and a start failed again, set more kinds of rows aside."""
        stage = min(state.stage + 1, LAST_STAGE)
        await self.rows.set_aside([kind for kind in KINDS if kind.stage <= stage])
        cause = state.failures[-1].cause
        since = state.since or self._clock.now()
        self._record.save(replace(state, failures=(), since=since, cause=cause, stage=stage, next_is_due=False))

    async def _end_trial(self, state: SafeStartState, name: str) -> None:
        """Set the rows of a trial aside again, since the start with them failed."""
        await self.rows.set_aside([kind for kind in KINDS if kind.name == name])
        cause = state.failures[-1].cause
        self._record.save(replace(state, failures=(), cause=cause, trial=None, suspects=(*state.suspects, name)))

    async def run(self, schedule_restart: Callable[[], None]) -> None:
        """After ten minutes forget the failures before, and schedule a restart with one more kind of rows.

        `schedule_restart` restarts the station once it is idle. For a task of its own, which ends only when it is
        cancelled.
        """
        if self.state != SafeStartState():
            await self._clock.sleep(FAILED_START_WITHIN.total_seconds())
            await self._save(self._after_success())
            if self.state.next_is_due:
                _log.warning("once idle the station restarts, to put back a part of the rows that are set aside")
                schedule_restart()
        await asyncio.get_running_loop().create_future()

    def _after_success(self) -> SafeStartState:
        """The state after a run that has lasted at least `FAILED_START_WITHIN`."""
        state = replace(self.state, failures=(), trial=None)
        if state.since is None:
            return SafeStartState()
        if not self.rows.counts:
            _log.warning("the safe start has ended: no rows are set aside any more")
            return SafeStartState()
        return replace(state, next_is_due=self._next_kind(state) is not None)

    def _next_kind(self, state: SafeStartState) -> RowKind | None:
        """The kind of rows to put back next; None: all remaining kinds are suspects."""
        waiting = (kind for kind in KINDS if self.rows.counts.get(kind.name) and kind.name not in state.suspects)
        return next(waiting, None)

    async def end(self, *, delete: bool) -> None:
        """End the safe start at the next start, which puts all rows back, or deletes them; the caller restarts.

        For an operator or the CSMS. Has no effect if there is none.
        """
        if self.active:
            await self._save(replace(self.state, ends="delete" if delete else "put-back"))

    async def _save(self, state: SafeStartState) -> None:
        with self._clock.outside_wait():
            await asyncio.to_thread(self._record.save, state)
