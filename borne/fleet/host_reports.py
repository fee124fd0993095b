"""Follows a host from its start to its last report, or to its loss; used by every engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

from borne.fleet.leased_host import LOCKED
from borne.fleet.unit import HostTask
from simulator.fleet.reports import HostReport, decode_report

SILENCE_S: Final = 30.0
"""longest real time without a report of a host, in addition to `_SILENCE_PER_STATION_S`"""
_SILENCE_PER_STATION_S: Final = 0.05
"""a host does not report while it creates its stations, and while it reads their storages at the end"""
START_S: Final = 30.0
"""real time in addition until the first report of a host, whose process has to start"""

Exchange = Callable[[], Awaitable[tuple[bytes | None, int | None]]]
"""renews the lease of a host; returns its latest report, encoded, unless it was returned before, and its exit code"""


class HostLostError(Exception):
    """A host has ended before its last report, or does not report; or its worker is lost."""


def longest_silence_s(task: HostTask, silence_s: float) -> float:
    """Real seconds without a report after which the host of a task counts as lost."""
    return silence_s + _SILENCE_PER_STATION_S * len(task.numbers)


async def host_reports(
    exchange: Exchange, *, interval_s: float, silence_s: float, start_s: float = START_S
) -> AsyncGenerator[HostReport]:
    """Yield each report of a host until its last one.

    Args:
        exchange: is called once in each interval.
        interval_s: real time between two exchanges.
        silence_s: longest real time between two reports. Only time in which this process runs counts: one that was
            suspended has to read the reports that wait for it.
        start_s: real time in addition until the first report.

    Raises:
        HostLostError: it ends before, or sends no report in time; in that case it may still run.
    """
    silent_s = -start_s
    while True:
        encoded, exit_code = await exchange()
        if encoded is not None:
            report, silent_s = decode_report(encoded), 0.0
            yield report
            if report.finished:
                return
        if exit_code is not None:
            raise HostLostError(_explain_exit(exit_code))
        if silent_s >= silence_s:
            raise HostLostError(f"its host process hangs: no report within {silence_s:g} s")
        await asyncio.sleep(interval_s)
        silent_s += interval_s


def _explain_exit(exit_code: int) -> str:
    if exit_code == LOCKED:
        return "the storage of its stations is still used by a host that was lost"
    return f"its host process has ended with exit code {exit_code}"
