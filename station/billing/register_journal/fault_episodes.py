"""The faults of one EVSE in the register journal: each that forbids energy, since it ends or divides what is billed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from metering.journal_entry import JournalEvent

if TYPE_CHECKING:
    from metering.journal_entry import Details
    from station.core.model import Fault

QUIET_S: Final = 3600.0
"""a fault that is back sooner is the same one: however fast it flaps, an hour has two entries of it at the most"""


@dataclass(slots=True)
class _Episode:
    times: int = 0
    gone_s: float | None = None
    """since when (Clock.monotonic); None: it is there"""


class FaultEpisodes:
    """Joins what comes and goes to episodes."""

    def __init__(self) -> None:
        self._open: dict[Fault, _Episode] = {}

    def look(self, faults: frozenset[Fault], now_s: float) -> Iterator[tuple[JournalEvent, Details]]:
        """What there is to note of the faults that are there now."""
        for fault in sorted(faults):
            if fault not in self._open:
                yield JournalEvent.FAULT, {"fault": fault.value}
            episode = self._open.setdefault(fault, _Episode(gone_s=now_s))
            if episode.gone_s is not None:
                episode.times, episode.gone_s = episode.times + 1, None
        for fault in sorted(self._open.keys() - faults):
            episode = self._open[fault]
            if episode.gone_s is None:
                episode.gone_s = now_s
            elif (gone_s := now_s - episode.gone_s) >= QUIET_S:
                del self._open[fault]
                yield (
                    JournalEvent.FAULT_CLEARED,
                    {"fault": fault.value, "times": episode.times, "gone_s": round(gone_s)},
                )
