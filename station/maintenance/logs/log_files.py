"""Creates the log files for a CSMS: diagnostics log and security log (N01)."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from foundation.frozen import Frozen
from station.charging.authorization.authorizer import loggable_token
from station.storage import private_files
from station.storage.database import StorageError

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.core.csms import VariableRow
    from station.core.model import TransactionEvent
    from station.maintenance.logs.store import LogStore
    from station.security.security_events import SecurityEvents
    from station.storage.outbox import Outbox

_log = logging.getLogger(__name__)

_MAX_EVENTS = 2_000
"""most transaction events in a diagnostics log, the newest: a few weeks of a busy station"""


class LogKind(StrEnum):
    """Which log the CSMS orders (LogEnumType)."""

    DIAGNOSTICS = "DiagnosticsLog"
    """state, transaction events and log lines"""
    SECURITY = "SecurityLog"
    """security events"""


class LogPeriod(Frozen):
    """The period that a log file covers, both ends included; None: open."""

    oldest: datetime | None = None
    latest: datetime | None = None

    def contains(self, moment: datetime) -> bool:
        """Return whether a moment is in the period."""
        return (self.oldest is None or self.oldest <= moment) and (self.latest is None or moment <= self.latest)


class StationSnapshot(Frozen):
    """The state of the station at one moment for a diagnostics log, without secrets."""

    status: Mapping[str, object]
    """as reported by the local API, with shortened id tokens; JSON"""
    variables: Sequence[VariableRow]
    """the device model; values of secrets are None"""


class LogSources(Frozen):
    """Where a log file gets its content besides the log lines of the program."""

    security_events: SecurityEvents
    outbox: Outbox
    snapshot: Callable[[], Awaitable[StationSnapshot]]
    """takes a snapshot of the station now"""


class LogFiles:
    """Creates the compressed log files that are uploaded to the CSMS, in a folder that contains nothing else."""

    def __init__(self, lines: LogStore, sources: LogSources, folder: Path, identity: str, clock: Clock) -> None:
        self._log_lines = lines
        self._sources = sources
        self._folder = folder
        self._identity = "".join(c if c.isalnum() or c in "-_." else "_" for c in identity)
        self._clock = clock

    def remove_leftovers(self) -> None:
        """Delete all log files in the folder: they are left by interrupted uploads. Blocks on the disk."""
        with contextlib.suppress(OSError):
            for file in self._folder.glob("*.log.gz"):
                file.unlink()

    def name(self, kind: LogKind) -> str:
        """Make a unique name for a new log file (GetLogResponse.filename); creates no file."""
        made_at = self._clock.now().strftime("%Y%m%dT%H%M%S%fZ")
        return f"{self._identity}_{kind}_{made_at}.log.gz"

    async def has_entries(self, kind: LogKind, span: LogPeriod) -> bool:
        """Return whether a log of this kind would have any content of that period (N01.FR.01, N01.FR.05)."""
        if kind is LogKind.SECURITY:
            return bool(await self._security_lines(span))
        if span.contains(self._clock.now()):
            return True
        return await self._has_lines(span) or bool(await self._event_lines(span))

    async def write_log(self, kind: LogKind, span: LogPeriod, name: str) -> Path:
        """Delete all other log files, write one as `name`, and return its path; the caller deletes it after use.

        Raises:
            OSError: the disk refuses.
        """
        path = self._folder / name
        status = [] if kind is LogKind.SECURITY else await self._status_lines(span)
        security_or_events = (
            await self._security_lines(span) if kind is LogKind.SECURITY else await self._event_lines(span)
        )
        lines = self._log_lines if kind is LogKind.DIAGNOSTICS else None
        with self._clock.outside_wait():
            await asyncio.to_thread(self.remove_leftovers)  # left by a cancelled upload or a full disk
            await asyncio.to_thread(_write, path, [*status, *security_or_events], lines, span)
        return path

    async def _has_lines(self, span: LogPeriod) -> bool:
        with self._clock.outside_wait():
            return await asyncio.to_thread(lambda: next(self._lines(span), None) is not None)

    def _lines(self, span: LogPeriod) -> Iterator[str]:
        return self._log_lines.between(span.oldest, span.latest)

    async def _status_lines(self, span: LogPeriod) -> list[str]:
        """The present state of the station, if the period includes now."""
        now = self._clock.now()
        if not span.contains(now):
            return []
        snapshot = await self._sources.snapshot()
        status = json.dumps(snapshot.status, indent=1, default=str)
        variables = map(_variable_line, snapshot.variables)
        return [f"== Status at {now.isoformat()}", status, "== Variables", *variables]

    async def _event_lines(self, span: LogPeriod) -> list[str]:
        try:
            events = await self._sources.outbox.recorded_between(span.oldest, span.latest, _MAX_EVENTS)
        except StorageError as error:
            return [f"transaction events cannot be read: {error}"]
        return ["== Transaction events", *map(_event_line, events)] if events else []

    async def _security_lines(self, span: LogPeriod) -> list[str]:
        try:
            events = await self._sources.security_events.entries(oldest=span.oldest, latest=span.latest)
        except StorageError as error:
            _log.error("the security log cannot be read: %s", error)
            return []
        return [f"{event.occurred_at.isoformat()} {event.type} {json.dumps(event.info)}" for event in events]


def _write(path: Path, first_lines: list[str], lines: LogStore | None, span: LogPeriod) -> None:
    private_files.create_folder(path.parent, 0o700)
    try:
        with gzip.open(path, "wt", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in first_lines)
            if lines is not None:
                file.write("== Log\n")
                file.writelines(f"{line}\n" for line in lines.between(span.oldest, span.latest))
    except OSError:  # e.g. disk full: leave no partial log
        path.unlink(missing_ok=True)
        raise


def _variable_line(row: VariableRow) -> str:
    component = f"{row.component}[{row.component_instance}]" if row.component_instance else row.component
    variable = f"{row.variable}[{row.instance}]" if row.instance else row.variable
    where = ".".join(str(number) for number in (row.evse, row.connector) if number is not None)
    component_text = f"{component}({where})" if where else component
    return f"{component_text}.{variable} = {json.dumps(row.value) if row.value is not None else '(secret)'}"


def _event_line(event: TransactionEvent) -> str:
    token = loggable_token(event.id_token) if event.id_token is not None else "-"
    state = event.charging_state.value if event.charging_state is not None else "-"
    reason = f" {event.stopped_reason.value}" if event.stopped_reason is not None else ""
    return (
        f"{event.occurred_at.isoformat()} EVSE {event.evse_id} {event.transaction_id} #{event.seq_no}"
        f" {event.event_type.value} {event.trigger.value} {state} {token}{reason}"
        f"{' offline' if event.offline else ''}"
    )
