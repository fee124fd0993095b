"""Checks a running station at each decision of its load management: contactor, limits, protection of the house."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING

from borne.life.invariants import InvariantError
from energy.trip import LINKY, Protection
from foundation.constants import NOMINAL_VOLTAGE_V
from station.charging.charging_station import ChargingStation
from station.load.load_management import LoadManagement

if TYPE_CHECKING:
    from borne.station_runtime import StationRuntime
    from simulator.world import World

SUBSCRIBED_VA = 9000
_TOLERANCE_A = 1.5
_LIMIT_TOLERANCE_S = 12.0
"""a vehicle that exceeds its limit for this long has its contactor opened, or the limit is not enforced"""
_OPENING_TIME_S = 5.0
"""time in which the contactor has opened after the end of a transaction"""
_MAX_GROWTH_MIB = 48.0
"""memory that a run may need beyond that of its third day"""
_MAX_STORED_MIB = 64.0
"""disk that a station may use: records of a month, log and register journal"""


class StationWatch:
    """Watches one station; `check` raises what it has found wrong."""

    def __init__(self, runtime: StationRuntime, world: World) -> None:
        self.faults: list[str] = []
        """what was found wrong, oldest first"""
        self._runtime = runtime
        self._world = world
        self._house_protection = Protection(LINKY, 0.5)
        self._house_load = 0.0
        self._observed_s = runtime.clock.monotonic()
        self._unneeded_since_s: float | None = None
        self._exceeding_since_s: float | None = None
        self._memory_reference_mib: float | None = None
        runtime.auxiliary.subscribe(runtime.started, self._observe_run)

    def _observe_run(self, runtime: StationRuntime) -> None:
        """Watch the parts of a new run."""
        after_decision = runtime.parts.get(LoadManagement).decisions.after_decision
        runtime.auxiliary.subscribe(after_decision, lambda _: self._observe())

    def _observe(self) -> None:
        if not self._runtime.running:
            return
        now_s = self._runtime.clock.monotonic()
        self._check_contactor(now_s)
        self._check_limit(now_s)
        self._check_protection(now_s)

    def _check_contactor(self, now_s: float) -> None:
        state = self._runtime.parts.get(ChargingStation).evses[1].state
        if not state.observation.contactor_closed or state.transaction is not None:
            self._unneeded_since_s = None
        elif self._unneeded_since_s is None:
            self._unneeded_since_s = now_s
        elif now_s - self._unneeded_since_s > _OPENING_TIME_S:
            self.faults.append("the contactor is closed without a transaction")

    def _check_limit(self, now_s: float) -> None:
        evse = self._runtime.parts.get(ChargingStation).evses[1]
        allowed_a = min((limit.current_a for limit in evse.limits), default=0.0)
        if max(self._world.boards[1].currents_a) <= allowed_a + _TOLERANCE_A:
            self._exceeding_since_s = None
        elif self._exceeding_since_s is None:
            self._exceeding_since_s = now_s
        elif now_s - self._exceeding_since_s > _LIMIT_TOLERANCE_S:
            drawn_a = max(self._world.boards[1].currents_a)
            self.faults.append(f"the vehicle draws {drawn_a:.1f} A, {allowed_a:.1f} A are allowed")

    def _check_protection(self, now_s: float) -> None:
        """Follow the heat of the house's protection by the true currents, if the station reads a grid meter."""
        if not self._world.has_grid:
            return
        self._house_protection = self._house_protection.after(self._house_load, now_s - self._observed_s)
        self._house_load = max(self._world.house.currents_a) * NOMINAL_VOLTAGE_V / SUBSCRIBED_VA
        self._observed_s = now_s
        if self._house_protection.tripped:
            self.faults.append(f"the protection of the house has tripped at a load of {self._house_load:.2f}")
            self._house_protection = Protection(LINKY, 0.5)

    def check(self) -> None:
        """Raise what was found wrong.

        Raises:
            InvariantError: something was.
        """
        if self.faults:
            raise InvariantError("; ".join(self.faults[:3]))

    def check_growth(self, storage: Path, *, settled: bool) -> None:
        """Check memory and disk; with `settled` the memory of this moment is the measure for later ones.

        Raises:
            InvariantError: one of them is not bounded.
        """
        gc.collect()
        memory_mib = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
        memory_mib /= 2**20
        if settled and self._memory_reference_mib is None:
            self._memory_reference_mib = memory_mib
        if self._memory_reference_mib is not None and memory_mib > self._memory_reference_mib + _MAX_GROWTH_MIB:
            raise InvariantError(f"memory has grown from {self._memory_reference_mib:.0f} to {memory_mib:.0f} MiB")
        stored_mib = sum(file.stat().st_size for file in storage.rglob("*") if file.is_file()) / 2**20
        if stored_mib > _MAX_STORED_MIB:
            raise InvariantError(f"the storage has {stored_mib:.0f} MiB")
