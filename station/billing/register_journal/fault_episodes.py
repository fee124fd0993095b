"""Faults of an EVSE in the register journal: those that block charging, since they end or divide what is billed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from metering.journal_entry import JournalEvent

if TYPE_CHECKING:
    from metering.journal_entry import Details
    from station.core.model import Fault

QUIET_S: Final = 3600.0
"""a fault that returns within this time continues the same episode: at most two entries per fault and hour"""


class _Episode(Struct):
    times: int = 0
    cleared_at_s: float | None = None
    """when the fault cleared (Clock.monotonic); None: present"""


class FaultEpisodes:
    """The faults of one EVSE for the journal: repeated occurrences of a fault are one episode, for few entries."""

    def __init__(self) -> None:
        self._open: dict[Fault, _Episode] = {}

    def update(self, faults: frozenset[Fault], now_s: float) -> Iterator[tuple[JournalEvent, Details]]:
        """Yield the journal entries that follow from the faults present now: FAULT at the begin of an episode.

        FAULT_CLEARED follows `QUIET_S` after the fault has gone, so call this repeatedly. `now_s`: Clock.monotonic.
        """
        for fault in sorted(faults):
            if fault not in self._open:
                yield JournalEvent.FAULT, {"fault": fault.value}
            episode = self._open.setdefault(fault, _Episode(cleared_at_s=now_s))
            if episode.cleared_at_s is not None:
                episode.times, episode.cleared_at_s = episode.times + 1, None
        for fault in sorted(self._open.keys() - faults):
            episode = self._open[fault]
            if episode.cleared_at_s is None:
                episode.cleared_at_s = now_s
            elif (absent_s := now_s - episode.cleared_at_s) >= QUIET_S:
                del self._open[fault]
                yield (
                    JournalEvent.FAULT_CLEARED,
                    {"fault": fault.value, "times": episode.times, "gone_s": round(absent_s)},
                )
