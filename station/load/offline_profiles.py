"""Suspends charging profiles while the CSMS is out of reach for longer than they allow (OCPP 2.1 K01)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from foundation.change_signal import ChangeSignal

if TYPE_CHECKING:
    from energy.charging_profile import ChargingProfile
    from foundation.clock import Clock
    from station.load.charging_profiles import PersistentProfiles


class OfflineProfiles:
    """Keeps the set of suspended profiles of a profile store: those whose maxOfflineDuration has passed.

    A suspended profile limits nothing, so that the next one of lower rank applies (K01.FR.101). When the CSMS is back,
    it applies again, or is removed if it is invalid afterwards (K01.FR.102). One without a duration is never suspended
    (K01.FR.103). A station that starts counts as offline from its start.
    """

    def __init__(self, profiles: PersistentProfiles, clock: Clock) -> None:
        self._profiles = profiles
        self._clock = clock
        self._offline_since: float | None = clock.monotonic()
        """monotonic seconds; None: connected"""
        self._changed = ChangeSignal()
        profiles.store.changed.subscribe(lambda _: self._changed.notify())

    def set_connected(self, *, connected: bool) -> None:
        """Note that the link to the CSMS is up or not; suspends and resumes profiles at once."""
        if connected == (self._offline_since is None):
            return
        self._suspend()
        self._offline_since = None if connected else self._clock.monotonic()
        if connected:
            store = self._profiles.store
            self._profiles.remove(profile.id for profile in store.suspended_profiles() if profile.invalid_after_offline)
            store.suspended = frozenset()
        else:
            self._suspend()
        self._changed.notify()

    async def run(self) -> None:
        """Task until cancelled: suspend each profile when its duration has passed."""
        while True:
            count_before = self._changed.count
            self._suspend()
            wait_s = self._next_due_s()
            if math.isfinite(wait_s):
                await self._changed.wait_for(count_before, self._clock, wait_s)
            else:
                await self._changed.wait(count_before)

    def _suspend(self) -> None:
        """Suspend the profiles that have been offline for too long by now."""
        store = self._profiles.store
        due = frozenset(profile.id for profile in store.all() if self._remaining_s(profile) <= 0.0)
        if due != store.suspended:
            store.suspended = due

    def _next_due_s(self) -> float:
        """The seconds until the next profile is suspended; infinite if none will be."""
        remaining = (self._remaining_s(profile) for profile in self._profiles.store.all())
        return min((seconds for seconds in remaining if seconds > 0.0), default=math.inf)

    def _remaining_s(self, profile: ChargingProfile) -> float:
        """The seconds for which a profile may still be used; infinite while connected, or if it has no duration."""
        if self._offline_since is None or profile.max_offline_s is None:
            return math.inf
        return self._offline_since + profile.max_offline_s - self._clock.monotonic()
