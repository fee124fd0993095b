"""The record of failed starts and of the safe start that follows them: a small file beside the database.

It is not in the database, since a row stored there may be the cause. Without failures there is no file.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal, cast

from msgspec import DecodeError, json
from msgspec.structs import replace

from foundation.frozen import Frozen
from foundation.supervision import place_of
from station.storage import private_files

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger(__name__)

FILE_NAME: Final = "safe-start.json"
FAILED_START_WITHIN: Final = timedelta(minutes=10)
"""a run that fails earlier than this after its start is a failed start"""
_MAX_FAILURES: Final = 20


class FailedStart(Frozen):
    """A run of the station that failed within `FAILED_START_WITHIN`."""

    at: datetime
    """when it failed"""
    lasted_s: float
    """seconds from its start to its failure"""
    cause: str
    """the exception and where it was raised, without its message, which may contain secrets"""


class SafeStartState(Frozen):
    """The consecutive failed starts, and the kinds of rows set aside since then, by `RowKind.name`."""

    failures: tuple[FailedStart, ...] = ()
    """the failed starts after the last run that lasted at least `FAILED_START_WITHIN`, the oldest first"""
    crashed: bool = False
    """whether the last run failed, no matter how long it had lasted"""
    since: datetime | None = None
    """the beginning of the safe start; None: none"""
    cause: str = ""
    """the cause of the last failed start after which rows were set aside"""
    stage: int = 0
    """the highest `RowKind.stage` that is set aside; 0: none"""
    trial: str | None = None
    """the kind of rows that this run uses again for the first time; None: no kind is being tried"""
    suspects: tuple[str, ...] = ()
    """the kinds with which a trial has failed: they stay aside until somebody ends the safe start"""
    next_is_due: bool = False
    """whether the next start tries one more kind"""
    ends: Literal["put-back", "delete"] | None = None
    """an order to end the safe start at the next start, and what to do with the rows; None: none"""


_UNREADABLE: Final = SafeStartState(since=datetime.fromtimestamp(0, UTC), cause="unknown")
"""what is assumed if the record cannot be read: rows that are set aside are put back step by step"""


class SafeStartRecord:
    """Keeps a `SafeStartState` in the storage folder of a station; reading and writing block for a moment."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._state: SafeStartState | None = None

    @property
    def state(self) -> SafeStartState:
        """The stored state; an empty one if there is no file. If it cannot be read, rows count as set aside."""
        if self._state is None:
            self._state = self._read()
        return self._state

    def save(self, state: SafeStartState) -> None:
        """Replace the state; on disk when this returns, and deleted if it is empty. A disk error is only logged."""
        self._state = state
        try:
            if state == SafeStartState():
                private_files.remove(self._path)
            else:
                private_files.write_bytes(self._path, json.encode(state))
        except OSError as error:
            _log.error("%s cannot be written: %s", self._path, error.strerror)

    def add_failure(self, at: datetime, lasted: timedelta, cause: str | None) -> None:
        """Store that a run has failed after `lasted`; the next start reads it.

        `cause`: as `describe_failure`; None: it was the disk, which is no reason to leave out what is stored on it.
        """
        state = replace(self.state, crashed=True)
        if cause is not None and lasted < FAILED_START_WITHIN:
            failure = FailedStart(at, lasted.total_seconds(), cause)
            state = replace(state, failures=(*state.failures, failure)[-_MAX_FAILURES:])
        self.save(state)

    def take_crash(self) -> bool:
        """Return whether the last run failed, and clear that note, so that a second call returns False."""
        crashed = self.state.crashed
        if crashed:
            self.save(replace(self.state, crashed=False))
        return crashed

    def _read(self) -> SafeStartState:
        try:
            return json.decode(self._path.read_bytes(), type=SafeStartState)
        except FileNotFoundError:
            pass
        except OSError as error:
            _log.error("%s cannot be read: %s", self._path, error.strerror)
            return _UNREADABLE
        except (DecodeError, ValueError):
            _log.error("%s cannot be read; failed starts are counted from 0 again", self._path)
            return _UNREADABLE
        return SafeStartState()


def single_errors(error: BaseException) -> list[BaseException]:
    """Return the exceptions in a group, at any depth; an exception that is no group alone."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    group = cast("BaseExceptionGroup[BaseException]", error)
    return [single for nested in group.exceptions for single in single_errors(nested)]


def describe_failure(error: BaseException) -> str:
    """Describe an exception, the first one of a group, by its class and where it was raised; without its message."""
    first = single_errors(error)[0]
    return f"{type(first).__name__} in {place_of(first)}"
