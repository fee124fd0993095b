"""The self-test of new firmware on its first boot: no EVSE has a fault that it did not have before the update."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from foundation.json_values import list_of, object_of, text_of
from station.charging.evse_state import blocking_faults
from station.storage import private_files

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.charging.evse import Evse

_LEAST_S: Final = 10.0
"""duration without a new fault after which the test has passed: longer than the boards' own monitors take"""
_MOST_S: Final = 90.0
"""after it the test has failed"""
_PERIOD_S: Final = 1.0


class FirmwareTrial:
    """Compares the faults of the EVSEs after a firmware update with those before, which it keeps in a file."""

    def __init__(self, evses: Collection[Evse], file: Path, clock: Clock) -> None:
        self._evses = evses
        self._file = file
        self._clock = clock

    def store_present_faults(self) -> None:
        """Store the present faults that prevent charging, in place of earlier ones. Blocks for the disk.

        Raises:
            OSError: they are not stored, and no earlier ones are left unless the disk refuses that too.
        """
        private_files.remove(self._file)
        faults = {str(evse.id): sorted(blocking_faults(evse.state)) for evse in self._evses}
        private_files.write(self._file, json.dumps(faults))

    async def problems(self) -> list[str]:
        """Watch the EVSEs, and return what is worse than before the update; empty: the self-test has passed.

        Returns after ten seconds without a problem, else after 90 s. Without a stored state each fault is a problem.
        """
        before = _read_faults(self._file)
        deadline_s = self._clock.monotonic() + _MOST_S
        good_since_s: float | None = None
        while True:
            now_s, problems = self._clock.monotonic(), self._new_problems(before)
            if problems:
                good_since_s = None
            elif good_since_s is None:
                good_since_s = now_s
            elif now_s - good_since_s >= _LEAST_S:
                return []
            if now_s >= deadline_s:
                return problems or [f"faults come and go: none has been absent for {_LEAST_S:g} s"]
            await self._clock.sleep(_PERIOD_S)

    def _new_problems(self, before: Mapping[str, Collection[str]]) -> list[str]:
        unobserved = [f"EVSE {evse.id}: its board has not answered" for evse in self._evses if not evse.observed]
        return unobserved + [
            f"EVSE {evse.id}: fault {fault}"
            for evse in self._evses
            for fault in sorted(blocking_faults(evse.state))
            if fault not in before.get(str(evse.id), ())
        ]


def _read_faults(file: Path) -> Mapping[str, Collection[str]]:
    try:
        stored = object_of(json.loads(private_files.read(file) or "{}"))
        return {identity: [text_of(fault) for fault in list_of(faults)] for identity, faults in stored.items()}
    except (OSError, ValueError, RecursionError):
        return {}
