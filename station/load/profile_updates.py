"""Decides when a change of charging profiles leads to a decision of load management."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from energy.profile_limits import ProfileLimits, profile_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from energy.demand import Demand
    from energy.profile_store import ProfileStore
    from foundation.clock import Clock, TimerHandle

_COALESCE_S: Final = 0.05
"""shortest interval between two decisions because of profiles, if no limit falls"""
_BURST_S: Final = 1.0
"""profiles that change this soon after others belong to a burst"""


class ProfileUpdates:
    """Requests a decision when profiles were installed or removed.

    A CSMS may send many profiles one after the other, and each decision costs as much as answering one. So only the
    first leads to a decision at once, and those that lower a limit; the others are decided together 50 ms later.
    """

    def __init__(self, store: ProfileStore, clock: Clock, request_decision: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._request_decision = request_decision
        self._changed_s = self._decided_s = -math.inf
        self._demands: Sequence[Demand] = ()
        """the demands of the last decision"""
        self._decided_limits: ProfileLimits | None = None
        """the limits by the profiles at the last decision, if they had changed shortly before; else None"""
        self._timer: TimerHandle | None = None

    def note_change(self) -> None:
        """Request a decision because profiles have changed: now, or a moment later."""
        self._changed_s = self._clock.monotonic()
        wait_s = self._decided_s + _COALESCE_S - self._changed_s
        last_limits = self._decided_limits
        if wait_s <= 0.0 or last_limits is None or self._limits().restricts_more_than(last_limits):
            self._request_decision()
        elif self._timer is None:
            self._timer = self._clock.call_later(wait_s, self._request_decision)

    def note_decision(self, demands: Sequence[Demand]) -> None:
        """Note that a decision for these demands takes all changes so far into account."""
        self._decided_s, self._demands = self._clock.monotonic(), demands
        self._decided_limits = self._limits() if self._decided_s - self._changed_s < _BURST_S else None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _limits(self) -> ProfileLimits:
        """Limits by the profiles now, for the transactions of the last decision."""
        switching = [demand.target for demand in self._demands if demand.can_switch_phases]
        targets = [demand.target for demand in self._demands]
        return profile_limits(self._store.applicable(), targets, switching, self._clock.now())
