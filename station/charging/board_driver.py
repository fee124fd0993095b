"""The board driver of one EVSE: applies outputs, receives observations, and detects mismatches between them."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from foundation.monitored_task import MonitoredTask
from foundation.supervision import run_together
from station.charging.evse_state import EvseState, ev_connected, next_change_s, outputs, switches_phases
from station.core.hardware.board import SAFE_OUTPUTS, Board, BoardError, Observation, Outputs, SelfTest
from station.core.model import Fault, PilotState

if TYPE_CHECKING:
    from foundation.change_signal import ChangeSignal
    from foundation.clock import Clock
    from station.charging.pilot_permission import PilotPermission

_log = logging.getLogger(__name__)

_RETRY_S = 1.0
_APPLY_DEADLINE_S = 15.0
"""watchdog limit for applying outputs"""
_SAFE_WITHIN_S = 2.0
_CONTACTOR_TIMEOUT_S = 3.0
"""a contactor still closed this long after it should have opened is welded; still open: stuck open"""
_LOCK_TIMEOUT_S = 3.0
"""a lock not in the commanded position after this time is faulty"""
_PILOT_TIMEOUT_S = 2.0
"""a pilot at −12 V for this long without command is faulty"""
_PHASES_TIMEOUT_S = 10.0
"""phase relays not switched this long after the command, with the contactor open, are faulty"""


class DrivenEvse(Protocol):
    """The members of `Evse` that `BoardDriver` needs."""

    @property
    def id(self) -> int:
        """The number of the EVSE."""
        ...

    @property
    def state(self) -> EvseState:
        """The state that determines the outputs of the board."""
        ...

    @property
    def changed(self) -> ChangeSignal:
        """Fires after each change of the state."""
        ...

    @property
    def pilot(self) -> PilotPermission:
        """The highest current that its pilot may signal."""
        ...

    @property
    def connection_timeout_s(self) -> float:
        """Seconds that an authorization waits for a vehicle (EVConnectionTimeOut)."""
        ...

    def observe(self, observation: Observation) -> None:
        """Update the state with an observation of the board."""
        ...

    def report_fault(self, fault: Fault, present: bool) -> None:
        """Add a fault to the state (`present`) or remove it."""
        ...

    def process_timeouts(self) -> None:
        """Update the state with the changes that are due by elapsed time."""
        ...

    def begin_self_test(self) -> bool:
        """Hold energy back for a self-test of the board; False: the EVSE is in use."""
        ...

    def end_self_test(self) -> None:
        """Let energy flow again after a self-test."""
        ...


class _MismatchMonitor:
    """Reports a fault if the board does not reach the commanded state in time; clears it once it does."""

    def __init__(self, fault: Fault, within_s: float) -> None:
        self._fault = fault
        self._within_s = within_s
        self._since_s: float | None = None

    def due_s(self, faults: frozenset[Fault]) -> float | None:
        """The time at which a mismatch becomes a fault; None: no mismatch, or already a fault."""
        return self._since_s + self._within_s if self._since_s is not None and self._fault not in faults else None

    def update(self, evse: DrivenEvse, now_s: float, *, matches: bool, latched: bool = False) -> None:
        """Report the fault or clear it; `latched`: do not clear it yet."""
        if matches:
            self._since_s = None
            if not latched:
                evse.report_fault(self._fault, False)
        elif self._since_s is None:
            self._since_s = now_s
        elif now_s - self._since_s >= self._within_s:
            evse.report_fault(self._fault, True)


class BoardDriver:
    """Commands the board of one EVSE the outputs that its state requires, and passes its observations to the EVSE.

    Reports a fault if the board does not follow. Nothing else accesses the board while `run` runs.
    """

    def __init__(self, evse: DrivenEvse, board: Board, clock: Clock) -> None:
        self._evse = evse
        self._board = board
        self._clock = clock
        self._contactor_mismatch: Fault | None = None
        self._contactor_mismatch_since_s = 0.0
        self._lock_monitor = _MismatchMonitor(Fault.LOCK, _LOCK_TIMEOUT_S)
        self._pilot_monitor = _MismatchMonitor(Fault.PILOT, _PILOT_TIMEOUT_S)
        self._phases_monitor = _MismatchMonitor(Fault.POWER_SWITCH, _PHASES_TIMEOUT_S)
        self._at_minus_12_v = False
        self._commanded = SAFE_OUTPUTS
        self._reapply = False
        self.applying = MonitoredTask(f"the board of EVSE {evse.id}", clock, _APPLY_DEADLINE_S)

    @property
    def monitored_tasks(self) -> tuple[MonitoredTask, ...]:
        """For the watchdog: the task of applying outputs, and that of the board for observations, if it has one."""
        return (
            (self.applying, self._board.observation_task)
            if self._board.observation_task is not None
            else (self.applying,)
        )

    @property
    def _safe_outputs(self) -> Outputs:
        """The safe outputs at start and stop; a cable retained for its holder stays locked (E09.FR.03)."""
        state = self._evse.state
        cable_retained = state.lock_held_for is not None or state.retained_for is not None
        return replace(SAFE_OUTPUTS, lock=cable_retained and not state.attached_cable)

    def reapply_outputs(self) -> None:
        """Make `run` apply the outputs again, even if unchanged; does not wait for it."""
        self._reapply = True
        self._evse.changed.notify()

    async def make_safe(self, *, within_s: float = _SAFE_WITHIN_S) -> None:
        """At startup, set the safe outputs and wait, at most `within_s`, until the contactor is observed open.

        A contactor that stays closed is reported as welded, before it may be commanded to close.
        """
        closed = False
        try:
            await self._board.apply(self._safe_outputs)
            with self._clock.outside_wait(within_s + 1.0):
                async with asyncio.timeout(within_s):  # real time: hardware I/O
                    async for observation in self._board.observations():
                        closed = observation.contactor_closed
                        if not closed:
                            return
        except (BoardError, TimeoutError) as error:
            _log.error(
                "EVSE %d: the board did not confirm that the contactor is open: %s",
                self._evse.id,
                error or "no observation",
            )
        if closed:
            self._evse.report_fault(Fault.CONTACTOR_WELDED, True)

    async def test_residual_monitor(self) -> SelfTest | None:
        """Let the board test its residual-current monitor, without energy meanwhile; None: not tested, EVSE in use.

        Raises:
            BoardError: the board is not reachable.
        """
        if not self._evse.begin_self_test():
            return None
        try:
            return await self._board.test_residual_monitor()
        finally:
            self._evse.end_self_test()

    async def run(self) -> None:
        """Task until cancelled: apply outputs and process observations; applies the safe outputs at the end."""
        evse_id = self._evse.id
        await run_together(
            {
                f"evse-{evse_id}-board": self._apply_outputs(),
                f"evse-{evse_id}-observations": self._receive_observations(),
            }
        )

    async def _apply_outputs(self) -> None:
        """Apply the outputs whenever they change; level-triggered: the state is re-evaluated after each command."""
        applied = None
        try:
            while True:
                count_before = self._evse.changed.count
                self._evse.process_timeouts()
                self._check_observation()
                required = self._permitted_outputs()
                if required == applied and not self._reapply:
                    await self._wait_for_change(count_before)
                    continue
                self._reapply, self._commanded = False, required
                self._evse.pilot.note_command(required)
                try:
                    with self.applying:
                        await self._board.apply(required)
                    applied = required
                    self._evse.pilot.note_confirmation(required)
                    self._evse.report_fault(Fault.BOARD, False)
                except BoardError as error:
                    applied = None
                    self._report_board_fault(Fault.BOARD, error)
                    await self._clock.sleep(_RETRY_S)
        finally:
            try:
                await self._board.apply(self._safe_outputs)
                self._evse.pilot.note_confirmation(SAFE_OUTPUTS)
            except BoardError as error:
                _log.critical("EVSE %d: the board did not apply the safe outputs: %s", self._evse.id, error)

    def _permitted_outputs(self) -> Outputs:
        """The outputs that the state requires, with no more current than the pilot may signal."""
        state = self._evse.state
        required = outputs(state, self._clock.monotonic())
        return self._evse.pilot.apply_to(required, contactor_closed=state.observation.contactor_closed)

    async def _receive_observations(self) -> None:
        while True:
            try:
                async for observation in self._board.observations():
                    self._evse.report_fault(Fault.BOARD_SILENT, False)
                    self._process_observation(observation)
                self._report_board_fault(Fault.BOARD_SILENT, BoardError("it sends no observations any more"))
            except BoardError as error:
                self._report_board_fault(Fault.BOARD_SILENT, error)
            await self._clock.sleep(_RETRY_S)

    def _process_observation(self, observation: Observation) -> None:
        at_minus_12_v = observation.pilot is PilotState.F  # the EVSE keeps the vehicle's last state meanwhile
        self._evse.observe(observation)
        if at_minus_12_v is not self._at_minus_12_v:
            self._at_minus_12_v = at_minus_12_v
            self._evse.changed.notify()

    async def _wait_for_change(self, count_before: int) -> None:
        state, now_s = self._evse.state, self._clock.monotonic()
        deadlines = [
            next_change_s(state, now_s, self._evse.connection_timeout_s),
            self._lock_monitor.due_s(state.faults),
            self._pilot_monitor.due_s(state.faults),
            self._phases_monitor.due_s(state.faults),
        ]
        if self._contactor_mismatch is not None and self._contactor_mismatch not in state.faults:
            deadlines.append(self._contactor_mismatch_since_s + _CONTACTOR_TIMEOUT_S)
        due_s = min((deadline_s for deadline_s in deadlines if deadline_s is not None), default=None)
        if due_s is None:
            await self._evse.changed.wait(count_before)
        else:
            await self._evse.changed.wait_for(count_before, self._clock, due_s - now_s)

    def _check_observation(self) -> None:
        """Compare the observation with the commanded outputs."""
        state, now_s = self._evse.state, self._clock.monotonic()
        required = self._permitted_outputs()
        unobserved = bool(state.faults & {Fault.BOARD, Fault.BOARD_SILENT})
        self._check_contactor(None if unobserved else required.contactor, now_s)
        self._lock_monitor.update(
            self._evse, now_s, matches=required.lock is state.observation.locked or unobserved
        )  # G05
        pilot_matches = self._commanded.pilot_fault or not self._at_minus_12_v or unobserved
        self._pilot_monitor.update(self._evse, now_s, matches=pilot_matches)

        # Limits are calculated for the commanded phases, so the fault stays latched while the vehicle is connected:
        # the end of charging commands other phases, which does not prove that the relays work.
        phases_match = not switches_phases(state) or state.observation.contactor_closed or unobserved
        self._phases_monitor.update(self._evse, now_s, matches=phases_match, latched=ev_connected(state))

    def _check_contactor(self, required: bool | None, now_s: float) -> None:
        """Report a contactor closed against the command as welded, and one that does not close as stuck open.

        `required` None: the observation is not reliable.
        """
        closed = self._evse.state.observation.contactor_closed
        mismatch = None
        if required is not None and required is not closed:
            mismatch = Fault.CONTACTOR_WELDED if closed else Fault.CONTACTOR_STUCK_OPEN
        if mismatch is not self._contactor_mismatch:
            self._contactor_mismatch, self._contactor_mismatch_since_s = mismatch, now_s
        elif mismatch is not None and now_s - self._contactor_mismatch_since_s >= _CONTACTOR_TIMEOUT_S:
            self._evse.report_fault(mismatch, True)

    def _report_board_fault(self, fault: Fault, error: BoardError) -> None:
        known = fault in self._evse.state.faults
        _log.log(logging.DEBUG if known else logging.ERROR, "EVSE %d: board: %s", self._evse.id, error)
        self._evse.report_fault(fault, True)
