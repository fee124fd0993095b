"""DC residual current: fault latch until service clears it, shunt trip, recorded tests of the monitor.

The contactor has opened before this module acts: that follows from the state of the EVSE. IEC 62955 requires a tested
monitor; where local rules require it, the breaker upstream is tripped too.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeVar

from foundation.change_signal import ChangeSignal
from foundation.frozen import Frozen
from foundation.supervision import run_together
from station.core.hardware.board import BoardError, SelfTest
from station.core.model import Fault
from station.storage.database import StorageError

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.charging.board_driver import BoardDriver
    from station.charging.evse import Evse
    from station.core.hardware.back_plate import BackPlate
    from station.load.protection_config import ProtectionConfig
    from station.storage.fact_store import FactStore

T = TypeVar("T")
_log = logging.getLogger(__name__)

_RETRY_S: Final = 1.0
_LATCHED_WITHIN_S: Final = 0.3
"""longest wait for the latch to be stored before the shunt trip, which cuts the station's own power"""
_RETRY_WRITE_S: Final = 10.0
"""seconds until a failed write of the latch is retried"""
_RETEST_S: Final = 60.0
"""seconds until a test is retried, if the EVSE was charging or the disk refused the result"""
MAX_TESTS: Final = 500
"""tests kept per EVSE, the newest: more than a year of daily ones"""
_TRIPPED: Final = "tripped"
_YES: Final = "true"
_NO: Final = "false"
_TEST: Final = "test"
_SHUNT_TRIP_TEST: Final = "shunt-trip-tried"


class MonitorTest(Frozen):
    """The record of a test of the residual-current monitor of an EVSE."""

    evse_id: int
    at: datetime
    """wall time"""
    result: SelfTest


class ResidualCurrentGuard:
    """Latches DC residual-current faults of the EVSEs on disk, drives the shunt trip, and tests the monitors."""

    def __init__(
        self,
        evses: Mapping[int, Evse],
        drivers: Mapping[int, BoardDriver],
        plate: BackPlate,
        facts: FactStore,
        config: ProtectionConfig,
        clock: Clock,
    ) -> None:
        self._evses = evses
        self._drivers = drivers
        self._plate = plate
        self._facts = facts
        self._config = config
        self._clock = clock
        self._latched: set[int] = set()
        """EVSEs whose fault is stored"""
        self._latch_stored = ChangeSignal()
        self._pulsed: set[int] = set()
        """EVSEs whose fault has had its pulse of the shunt trip"""
        self.monitor_tests: dict[int, MonitorTest] = {}
        """the last test of each EVSE that has a monitor"""
        self._stored_tests: dict[int, list[str]] = {evse_id: [] for evse_id in evses}
        """fact names of the stored tests of each EVSE, oldest first"""
        self.shunt_trip_tested_at: datetime | None = None
        """when the shunt trip was last tried by the installer"""

    async def load(self) -> None:
        """Load latched faults and the last tests, and set the faults of both at the EVSEs.

        An unreadable latch counts as latched.

        Raises:
            StorageError: the disk cannot be read.
        """
        facts = await self._facts.load()
        self.shunt_trip_tested_at = self._read(
            _SHUNT_TRIP_TEST, datetime.fromisoformat, facts.pop(_SHUNT_TRIP_TEST, None)
        )
        for name, text in sorted(facts.items()):
            kind, number, *timestamp = name.split("/")
            evse = self._evses.get(int(number))
            if evse is None:
                continue
            if kind == _TEST:
                self._stored_tests[evse.id].append(name)
                if (result := self._read(name, lambda text: SelfTest(json.loads(text)), text)) is not None:
                    self.monitor_tests[evse.id] = MonitorTest(evse.id, datetime.fromisoformat(timestamp[0]), result)
                    evse.report_fault(Fault.RESIDUAL_MONITOR, result is SelfTest.FAILED)
            elif self._read(name, _is_latched, text) is not False:
                self._latched.add(evse.id)
                self._pulsed.add(evse.id)  # the breaker has been closed again: no second pulse
                evse.report_fault(Fault.DC_RESIDUAL_CURRENT, True)

    def _read(self, name: str, parse: Callable[[str], T], text: str | None) -> T | None:
        """The value of a fact; None if it is absent or unreadable."""
        if text is None:
            return None
        if (value := self._facts.read(name, parse, text)) is None:
            _log.error("the stored value of %s cannot be read", name)
        return value

    async def run(self) -> None:
        """Store each DC residual-current fault, and test the monitors at the interval; until cancelled.

        Failed writes are retried. Does not drive the shunt trip: see `drive_shunt_trip`.
        """
        await run_together(
            {
                **{f"residual-current-{evse.id}": self._store_latches(evse) for evse in self._evses.values()},
                **{f"monitor-test-{evse.id}": self._test_periodically(evse) for evse in self._evses.values()},
            }
        )

    async def drive_shunt_trip(self) -> None:
        """Switch the shunt trip of the upstream breaker according to `trip_required`, until cancelled.

        Before it trips, it waits at most 0.3 s until the fault is stored; a failed switching is retried.
        """
        energised: bool | None = None
        while True:
            counts_before = {evse.id: evse.changed.count for evse in self._evses.values()}
            if self.trip_required and not energised:
                await self._await_latches()
            required = self.trip_required
            if required is not energised:
                energised = required if await self._energise(required) else None
            if required and energised and self._config.shunt_trip == "pulse":
                await self._clock.sleep(self._config.shunt_trip_pulse_s)
                self._pulsed |= {evse.id for evse in self._evses.values() if _is_tripped(evse)}
            elif energised is None:
                await self._clock.sleep(_RETRY_S)
            else:
                await self._wait_for_any_change(counts_before)

    @property
    def trip_required(self) -> bool:
        """Whether the shunt trip must be energised now, because an EVSE has a DC residual-current fault.

        By configuration: `none`: never; `hold`: until the fault is cleared; `pulse`: until it had one pulse.
        """
        match self._config.shunt_trip:
            case "none":
                return False
            case "hold":
                return any(_is_tripped(evse) for evse in self._evses.values())
            case "pulse":
                return any(_is_tripped(evse) and evse.id not in self._pulsed for evse in self._evses.values())

    async def clear(self, evse_id: int) -> None:
        """Clear the latched DC residual-current fault of an EVSE, also on disk, on behalf of service staff.

        Raises:
            ValueError: the monitor still reports the fault, or reports it again.
            StorageError: the fault stays latched.
        """
        evse = self._evses[evse_id]
        if Fault.DC_RESIDUAL_CURRENT in evse.state.observation.faults:
            raise ValueError("the monitor still reports a DC residual current")
        await self._save_latch(evse_id, False)
        self._pulsed.discard(evse_id)
        if Fault.DC_RESIDUAL_CURRENT in evse.state.observation.faults:  # a new one, during the write
            evse.changed.notify()  # latches and trips again
            raise ValueError("the monitor reports a DC residual current again")
        evse.report_fault(Fault.DC_RESIDUAL_CURRENT, False)

    async def test_shunt_trip(self) -> bool:
        """Energise the shunt trip to test the breaker upstream; False if an EVSE is in use or the board refuses.

        If the breaker works, the station loses power before this returns.

        Raises:
            StorageError: nothing was energised.
        """
        if any(evse.state.observation.contactor_closed for evse in self._evses.values()):
            return False
        await self._facts.save(_SHUNT_TRIP_TEST, self._clock.now().isoformat())
        self.shunt_trip_tested_at = self._clock.now()
        if not await self._energise(True):
            return False
        try:
            await self._clock.sleep(self._config.shunt_trip_pulse_s)
        finally:
            if not self.trip_required:
                await self._energise(False)
        return True

    async def forget_shunt_trip_test(self) -> None:
        """Delete the record of when the shunt trip was tested, for a new commissioning.

        Raises:
            StorageError: the record stays.
        """
        await self._facts.remove(_SHUNT_TRIP_TEST)
        self.shunt_trip_tested_at = None

    async def test_monitor(self, evse_id: int) -> SelfTest | None:
        """Test the residual-current monitor of an EVSE, store the result, and set or clear the fault that follows.

        Returns None if the EVSE is in use or the board fails. ABSENT is returned, but not stored.

        Raises:
            StorageError: the result applies, but is not stored.
        """
        evse = self._evses[evse_id]
        try:
            result = await self._drivers[evse_id].test_residual_monitor()
        except BoardError as error:
            _log.warning("EVSE %d: the residual-current monitor was not tested: %s", evse_id, error)
            return None
        if result is None or result is SelfTest.ABSENT:
            return result
        at = self._clock.now()
        self.monitor_tests[evse_id] = MonitorTest(evse_id, at, result)
        _log.log(
            logging.ERROR if result is SelfTest.FAILED else logging.INFO,
            "EVSE %d: test of the residual-current monitor: %s",
            evse_id,
            result,
        )
        evse.report_fault(Fault.RESIDUAL_MONITOR, result is SelfTest.FAILED)
        await self._store_test(evse_id, f"{_TEST}/{evse_id}/{at.isoformat()}", json.dumps(result))
        return result

    async def _store_test(self, evse_id: int, name: str, result: str) -> None:
        """Store a test; delete the oldest beyond `MAX_TESTS`."""
        await self._facts.save(name, result)
        test_names = self._stored_tests[evse_id]
        if name not in test_names:
            test_names.append(name)
        while len(test_names) > MAX_TESTS:
            await self._facts.remove(test_names[0])
            del test_names[0]

    async def _store_latches(self, evse: Evse) -> None:
        """Store the latch when the EVSE reports the fault."""
        while True:
            count_before = evse.changed.count
            if _is_tripped(evse) and evse.id not in self._latched:
                try:
                    await self._save_latch(evse.id, True)
                except StorageError as error:
                    _log.error(
                        "EVSE %d: its DC residual-current fault cannot be stored and is retried: %s", evse.id, error
                    )
                    await self._clock.sleep(_RETRY_WRITE_S)
            else:
                await evse.changed.wait(count_before)

    async def _save_latch(self, evse_id: int, latched: bool) -> None:
        await self._facts.save(f"{_TRIPPED}/{evse_id}", _YES if latched else _NO)
        (self._latched.add if latched else self._latched.discard)(evse_id)
        self._latch_stored.notify()

    async def _test_periodically(self, evse: Evse) -> None:
        """Test at the start, then at the interval; retry soon if the EVSE is in use or the disk refuses."""
        while True:
            try:
                result = await self.test_monitor(evse.id)
            except StorageError as error:
                _log.error(
                    "EVSE %d: the result of the residual-current monitor test cannot be stored: %s", evse.id, error
                )
                result = None
            if result is SelfTest.ABSENT:
                return
            await self._clock.sleep(self._config.monitor_test_every_h * 3600.0 if result is not None else _RETEST_S)

    async def _await_latches(self) -> None:
        """Wait until all tripped faults are stored, at most `_LATCHED_WITHIN_S`; the disk never prevents a trip."""
        with contextlib.suppress(TimeoutError):
            async with self._clock.timeout(_LATCHED_WITHIN_S):
                count_before = self._latch_stored.count
                while any(_is_tripped(evse) and evse.id not in self._latched for evse in self._evses.values()):
                    count_before = await self._latch_stored.wait(count_before)

    async def _energise(self, energised: bool) -> bool:
        try:
            await self._plate.energise_shunt_trip(energised)
        except BoardError as error:
            _log.error("the shunt trip cannot be switched: %s", error)
            return False
        if energised:
            _log.error("shunt trip energised")
        return True

    async def _wait_for_any_change(self, counts_before: Mapping[int, int]) -> None:
        """Wait until an EVSE changes; `counts_before`: the change counts already handled, by EVSE."""
        waiters = [asyncio.ensure_future(evse.changed.wait(counts_before[evse.id])) for evse in self._evses.values()]
        try:
            await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in waiters:
                waiter.cancel()


def _is_latched(text: str) -> bool:
    if text not in {_YES, _NO}:
        raise ValueError(f"must be {_YES} or {_NO}; the fault counts as latched")
    return text == _YES


def _is_tripped(evse: Evse) -> bool:
    return Fault.DC_RESIDUAL_CURRENT in evse.state.faults
