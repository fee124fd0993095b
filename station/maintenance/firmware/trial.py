"""Firmware on trial: after an update it tests itself on its first boot, and is kept or given up.

Until then nobody charges, and nothing reaches the CSMS: a return to the previous firmware undoes what has happened.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from foundation.json_values import list_of, object_of, text_of
from foundation.waiting import Flag
from station.charging.evse_state import blocking_faults
from station.core.hardware.updater import ActivationResult, InstallError
from station.storage import private_files

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.charging.evse import Evse
    from station.core.hardware.updater import Updater

_log = logging.getLogger(__name__)

_LEAST_S: Final = 10.0
"""duration without a new fault after which the test has passed: longer than the boards' own monitors take"""
_MOST_S: Final = 90.0
"""after it the test has failed"""
_PERIOD_S: Final = 1.0
_RETRY_PAUSE_S: Final = 30.0
"""pause before the end of a trial is tried again"""
_REBOOT_TIMEOUT_S: Final = 600.0
"""longest wait for the reboot of the machine after firmware was given up"""


class FirmwareTrial:
    """Decides the trial of the running firmware; `decided` is set at once where there is none.

    The self-test: no EVSE has a fault that it did not have before the update. The earlier faults are kept in a file.
    """

    def __init__(self, updater: Updater, evses: Collection[Evse], file: Path, clock: Clock) -> None:
        self._updater = updater
        self._evses = evses
        self._file = file
        self._clock = clock
        self.decided = Flag()
        """set once the running firmware is not on trial, or has passed it"""

    async def load(self) -> None:
        """Find out whether the running firmware is on trial."""
        if not await self._is_on_trial():
            self.decided.set()

    def store_present_faults(self) -> None:
        """Store the present faults that prevent charging, in place of earlier ones. Blocks for the disk.

        Raises:
            OSError: they are not stored, and no earlier ones are left unless the disk refuses that too.
        """
        private_files.remove(self._file)
        faults = {str(evse.id): sorted(blocking_faults(evse.state)) for evse in self._evses}
        private_files.write(self._file, json.dumps(faults))

    async def decide(self) -> None:
        """Test the firmware on trial, and keep it; or give it up, and wait for the reboot.

        As long as the boot loader's state cannot be written, it is tried again; the machine ends the trial some time.
        """
        while not self.decided.is_set():
            try:
                if problems := await self._problems():
                    _log.error("the self-test of the new firmware has failed: %s", "; ".join(problems))
                    await self._updater.give_up()
                    await self._clock.sleep(_REBOOT_TIMEOUT_S)
                else:
                    await self._updater.keep()
                    if await self._is_on_trial():
                        raise InstallError("the boot loader still has it on trial")
                    self.decided.set()
            except InstallError as error:
                _log.error("the trial of the new firmware cannot be ended: %s", error)
                await self._clock.sleep(_RETRY_PAUSE_S)

    async def keep_running_firmware(self) -> None:
        """Tell the boot loader that this start has succeeded; a failure is logged."""
        try:
            await self._updater.keep()
        except InstallError as error:
            _log.error("the boot loader does not know that this start has succeeded: %s", error)

    async def _is_on_trial(self) -> bool:
        return self._updater.has_trials and await self._updater.activation() is ActivationResult.ON_TRIAL

    async def _problems(self) -> list[str]:
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
