"""Resets of the station or of one EVSE, immediate or on idle (B11, B12)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

from foundation.frozen import Frozen
from station.charging.evse_state import WithholdReason
from station.core.model import BootReason, ConnectorStatus, StoppedReason, TriggerReason

if TYPE_CHECKING:
    from foundation.clock import Clock
    from foundation.supervision import FollowUp
    from station.charging.evse import Evse
    from station.charging.transaction_settings import TransactionSettings
    from station.core.csms import Csms
    from station.storage.outbox import Outbox

_log = logging.getLogger(__name__)

_END_TIMEOUT_S = 10.0
"""time limit per attempt for ending transactions; those not ended are ended at the next start"""
_DELIVERY_TIMEOUT_S = 30.0
"""time limit for delivering the ends to the CSMS (B12.FR.05)"""
_EVSE_RESET_DURATION_S = 2.0
"""how long a reset EVSE offers no energy; longer than its board needs to apply outputs"""
_CHECK_INTERVAL_S = 5.0
"""interval for checking whether activities that delay a scheduled reset, such as uploads, have ended"""


class ResetStatus(StrEnum):
    """The answer to a reset request: now, not at all, or once idle (ResetStatusEnumType)."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    SCHEDULED = "Scheduled"


class ResetDecision(Frozen):
    """The answer to a reset request, and what the caller must do after sending it: `follow_up`, or else `revert`."""

    status: ResetStatus
    reason: str | None = None
    """why it is rejected: a reasonCode of the standard's appendix"""
    follow_up: FollowUp | None = None
    """executes the reset; call it after the response was sent. None: nothing to do now"""
    undo: Callable[[], None] | None = None
    """reverts what the request has changed already; None: nothing. Called by `revert`"""

    def revert(self) -> None:
        """Undo what the request has changed, because the response could not be sent; the reset is not executed."""
        if self.undo is not None:
            self.undo()


class RestartController:
    """Executes resets of the whole station or of single EVSEs, at once or when idle, after ending their transactions.

    `reboot` restarts the program; it is called with the reason that the next BootNotification gives.
    """

    def __init__(
        self,
        evses: Mapping[int, Evse],
        outbox: Outbox,
        csms: Csms,
        settings: TransactionSettings,
        clock: Clock,
        reboot: Callable[[BootReason], None],
    ) -> None:
        self._evses = evses
        self._outbox = outbox
        self._csms = csms
        self._settings = settings
        self._clock = clock
        self._reboot = reboot
        self._boot_reason = BootReason.REMOTE_RESET
        self.under_way = False
        """whether the restart of the station has begun; uninterruptible activities must not start any more"""
        self._scheduled_evses: set[int] = set()
        """EVSEs whose reset waits for their transaction to end"""
        self._resetting: set[int] = set()
        """EVSEs that are being reset"""
        self.scheduled = False
        """whether the station restarts as soon as it is idle (B12.FR.01)"""
        self.resettable = set(evses)
        """the EVSEs that can be reset alone (EVSE.AllowReset, B11.FR.10)"""
        self._busy_checks: list[Callable[[], bool]] = []
        """each returns whether an activity delays a restart on idle"""
        self._refusal_checks: list[Callable[[], str | None]] = []
        """each returns the reasonCode with which an activity rejects a reset; None: it allows one"""

    def delay_while(self, busy: Callable[[], bool]) -> None:
        """Register an activity such as an upload: restarts on idle wait while `busy()` is true (B11, errata)."""
        self._busy_checks.append(busy)

    def refuse_while(self, refusal_code: Callable[[], str | None]) -> None:
        """Register an activity that may forbid resets, which are then rejected (B11.FR.06, B12.FR.10).

        `refusal_code` returns the reasonCode of the rejection; None: the activity allows a reset now.
        """
        self._refusal_checks.append(refusal_code)

    @property
    def refuses_starts(self) -> bool:
        """Whether new starts are rejected: a restart has begun or waits for the EVSEs to be idle (B12, scenario 3a).

        While the restart is delayed by an upload or the like, starts are accepted.
        """
        return self.under_way or (self.scheduled and not self._is_delayed())

    def request_reset(self, evse_id: int | None, *, on_idle: bool) -> ResetDecision:
        """Decide on a reset request for one EVSE, or for the whole station if `evse_id` is None.

        Nothing is reset before `follow_up` of the result is called. SCHEDULED (only with `on_idle`): nothing to call,
        the reset follows when idle. Accepting a restart of the station already sets `scheduled`.
        """
        if (refusal := self._refusal_code()) is not None:
            return ResetDecision(ResetStatus.REJECTED, refusal)  # B11.FR.06, B12.FR.10
        if evse_id is not None:
            return self._request_evse_reset(evse_id, on_idle=on_idle)
        if on_idle and self._is_busy():
            self.schedule_restart()
            return ResetDecision(ResetStatus.SCHEDULED)  # B11.FR.07, B12.FR.01
        before = self.scheduled, self._boot_reason
        self.scheduled, self._boot_reason = True, BootReason.REMOTE_RESET  # rejects new starts

        def revert() -> None:
            self.scheduled, self._boot_reason = before

        return ResetDecision(ResetStatus.ACCEPTED, follow_up=self.restart_now, undo=revert)  # B11.FR.03, B12.FR.02

    def _request_evse_reset(self, evse_id: int, *, on_idle: bool) -> ResetDecision:
        evse = self._evses.get(evse_id)
        if evse is None:
            return ResetDecision(ResetStatus.REJECTED, "UnknownEvse")
        if evse_id not in self.resettable:
            return ResetDecision(ResetStatus.REJECTED, "UnsupportedRequest")  # B11.FR.09, B12.FR.09
        if on_idle and _in_use(evse):
            self._scheduled_evses.add(evse_id)
            _log.info("EVSE %d: reset scheduled", evse_id)
            return ResetDecision(ResetStatus.SCHEDULED)  # B12.FR.01
        return ResetDecision(ResetStatus.ACCEPTED, follow_up=lambda: self._reset_evse(evse))  # B11.FR.08, B12.FR.02

    def schedule_restart(self, reason: BootReason = BootReason.SCHEDULED_RESET) -> None:
        """Schedule a restart of the station for when it is idle; starts are rejected meanwhile (`refuses_starts`)."""
        self.scheduled = True
        self._boot_reason = reason
        _log.info("restart scheduled")
        for evse in self._evses.values():
            evse.changed.notify()

    async def restart_now(self) -> None:
        """End all transactions and restart the station (B12.FR.04); does nothing if a restart has begun already.

        Tries up to 1 + ResetRetries times to store the ends, and restarts even if that fails. If online, waits up to
        30 s for the CSMS to receive them; then until no activity forbids a restart (`refuse_while`).
        """
        if self.under_way:
            return
        self.scheduled = self.under_way = True
        _log.info("restart begins: transactions are ended")
        attempts = 1 + self._settings.reset_retries
        for attempt in range(1, attempts + 1):
            if await self._end_transactions(*self._evses.values()):
                break
            _log.warning("not all transactions could be ended before the restart (attempt %d of %d)", attempt, attempts)
        if self._csms.online and not await self._outbox.wait_delivered(within_s=_DELIVERY_TIMEOUT_S):
            # B12.FR.05
            _log.info("the CSMS has not acknowledged all transaction events; the others are sent after the restart")
        while self._refusal_code() is not None:  # such an activity may have begun meanwhile (B11.FR.06, B12.FR.10)
            await self._clock.sleep(_CHECK_INTERVAL_S)
        self._reboot(self._boot_reason)

    async def run_scheduled_resets(self, evse: Evse) -> None:
        """Task of one EVSE until cancelled: execute a scheduled reset of it, or of the station, when idle.

        B12.FR.03, B12.FR.07. It also makes the EVSE Unavailable while a restart waits.
        """
        free_since_s: float | None = None
        while True:
            count_before = evse.changed.count
            if not _is_free(evse):
                free_since_s = None
            elif free_since_s is None:
                free_since_s = self._clock.monotonic()
            self._withhold_before_restart(evse, free_since_s)
            if self.scheduled or evse.id in self._scheduled_evses:
                await evse.changed.wait_for(count_before, self._clock, _CHECK_INTERVAL_S)
            else:
                await evse.changed.wait(count_before)
            if self.scheduled and not self._is_busy():
                await self.restart_now()
            elif evse.id in self._scheduled_evses and not _in_use(evse):
                await self._reset_evse(evse)

    def _withhold_before_restart(self, evse: Evse, free_since_s: float | None) -> None:
        """Make an Available EVSE Unavailable before a restart (B12, scenario 3a), after a delay (TC_B_41_CS)."""
        if not self.refuses_starts:
            evse.set_withheld(WithholdReason.RESTART, False)
        elif free_since_s is not None and self._clock.monotonic() - free_since_s >= _CHECK_INTERVAL_S:
            evse.set_withheld(WithholdReason.RESTART, True)

    async def _reset_evse(self, evse: Evse) -> None:
        """Reset an EVSE; only its availability and the state of its meter are kept."""
        self._scheduled_evses.discard(evse.id)
        if evse.id in self._resetting:
            return
        _log.info("EVSE %d: reset begins", evse.id)
        self._resetting.add(evse.id)
        try:
            if not await self._end_transactions(evse):  # B12.FR.08
                _log.warning("EVSE %d: not reset, because its transaction could not be ended", evse.id)
                return
            evse.set_withheld(WithholdReason.RESET, True)
            evse.reset()
            await self._clock.sleep(_EVSE_RESET_DURATION_S)
        finally:
            evse.set_withheld(WithholdReason.RESET, False)  # B12.FR.06: an inoperative EVSE stays so
            self._resetting.discard(evse.id)

    async def _end_transactions(self, *evses: Evse) -> bool:
        """End the transactions of these EVSEs because of a reset; returns whether all ends are stored."""
        try:
            async with self._clock.timeout(_END_TIMEOUT_S), asyncio.TaskGroup() as group:
                for evse in evses:
                    group.create_task(evse.end_transaction(TriggerReason.RESET_COMMAND, StoppedReason.IMMEDIATE_RESET))
        except TimeoutError:
            return False
        return True

    def _refusal_code(self) -> str | None:
        return next(filter(None, (refusal_code() for refusal_code in self._refusal_checks)), None)

    def _is_busy(self) -> bool:
        """Return whether the station is not idle (B11, errata 2025-09 2.14)."""
        return any(_in_use(evse) for evse in self._evses.values()) or self._is_delayed()

    def _is_delayed(self) -> bool:
        return any(busy() for busy in self._busy_checks)


def _is_free(evse: Evse) -> bool:
    """Return whether an EVSE is available and not in use."""
    return evse.connector_status is ConnectorStatus.AVAILABLE and not _in_use(evse)


def _in_use(evse: Evse) -> bool:
    """Return whether an EVSE is in use: transaction, authorization, reservation, or a cable retained for its holder."""
    state = evse.state
    reasons = (state.transaction, state.authorization, state.reserved_until, state.lock_held_for)
    return any(value is not None for value in reasons)
