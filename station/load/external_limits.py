"""External limits as OCPP reports them: limits of the whole station not set by the CSMS, by source (K11–K13).

The load controller enforces them. This module makes them ChargingStationExternalConstraints profiles, which are
reported and included in composite schedules.
"""

from __future__ import annotations

import logging
import math
from itertools import product
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from energy.charging_profile import (
    ChargingLimitSource,
    ChargingProfile,
    Kind,
    Purpose,
    RateUnit,
    Schedule,
    SchedulePeriod,
)
from energy.limit import LimitSource
from foundation.change_signal import ChangeSignal
from station.storage.database import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from energy.demand import SharedLimit
    from energy.profile_store import ProfileStore
    from energy.station_limits import StationLimits
    from foundation.clock import Clock
    from station.storage.fact_store import FactStore

_log = logging.getLogger(__name__)

_LIMIT_SOURCES = {
    LimitSource.GRID_ORDER: ChargingLimitSource.SYSTEM_OPERATOR,
    LimitSource.OPERATOR: ChargingLimitSource.SYSTEM_OPERATOR,
    LimitSource.USER: ChargingLimitSource.EMS,
}
"""the OCPP limit source; never CSO (K11.FR.05, K12.FR.04)"""
_DEFAULT_IDS = {key: -number for number, key in enumerate(product(_LIMIT_SOURCES, RateUnit), start=1)}
"""profile id by limit source and unit: all limits apply (SC.01); negative as recommended (K11.FR.06)"""
_ANNOUNCED: Final = "announced"
_CLEARED: Final = "cleared"


class ExternalLimits:
    """Represents the limits for all EVSEs together as external-constraint profiles of a profile store.

    It also records which of them the CSMS was notified of; sending the notifications is not its task.
    """

    def __init__(
        self, limits: StationLimits, store: ProfileStore, facts: FactStore, clock: Clock, *, phases: int
    ) -> None:
        """`phases`: phases of the station, for converting watts."""
        self._station_limits = limits
        self._phases = phases
        self._store = store
        self._facts = facts
        self._clock = clock
        self._ids: dict[tuple[LimitSource, RateUnit], int] = {}
        """ids of the installed profiles, by limit source and unit"""
        self.changed = ChangeSignal()
        """fires when a limit is set, changed or released"""
        self.announced: set[ChargingLimitSource] = set()
        """sources whose limit the CSMS knows of; stored, so that a release during a power cut is reported"""

    async def load(self) -> None:
        """Load which limits the CSMS knew of; an unreadable entry counts as known, so that its release is reported.

        Raises:
            StorageError: the disk cannot be read.
        """
        stored = await self._facts.load()
        for source in ChargingLimitSource:
            text = stored.get(source.value, _CLEARED)
            if source.value in stored and self._facts.read(source.value, _parse_announcement, text) is None:
                _log.error(
                    "whether the CSMS was notified of the limit of %s cannot be read; its release will be reported",
                    source,
                )
            if text != _CLEARED:
                self.announced.add(source)

    async def note_announced(self, source: ChargingLimitSource, *, limits: bool) -> None:
        """Store that the CSMS is being notified of a limit of a source, or knows of its release (K12.FR.02, K13.FR.02).

        A release during a power cut is thus reported after it. `limits`: True: there are limits; False: they were
        released. Sends nothing; a failed write is logged.
        """
        if limits is (source in self.announced):
            return
        self.announced ^= {source}
        try:
            await self._facts.save(source.value, _ANNOUNCED if limits else _CLEARED)
        except StorageError as error:
            _log.error("whether the CSMS was notified of the limit of %s cannot be stored: %s", source, error)

    def all(self) -> dict[ChargingLimitSource, list[ChargingProfile]]:
        """The external-constraint profiles in force, by limit source; a source without a limit is left out."""
        profiles: dict[ChargingLimitSource, list[ChargingProfile]] = {}
        for key in _DEFAULT_IDS:
            if (profile := self._installed(key)) is not None:
                profiles.setdefault(profile.source, []).append(profile)
        return profiles

    def update(self) -> None:
        """Install, change or remove profiles so that they equal the shared limits; called after each decision.

        Fires `changed` if one of them changed.
        """
        now, changed = self._clock.now(), False
        required = {(limit.source, unit): (limit, value) for limit, unit, value in self._limit_values()}
        for key, default_id in _DEFAULT_IDS.items():
            before = self._installed(key)
            if key in required:
                limit, value = required[key]
                identity = before.id if before is not None else self._store.free_external_id(default_id)
                after = _profile(identity, limit, key[1], SchedulePeriod(0, value, self._phases), now)
                if before is None or not _equal_except_times(before, after):
                    self._store.install(after)
                    self._ids[key] = identity
                    changed = True
                continue
            self._ids.pop(key, None)
            if before is not None:
                self._store.remove(before.id)
                changed = True
        if changed:
            self.changed.notify()

    def _installed(self, key: tuple[LimitSource, RateUnit]) -> ChargingProfile | None:
        """The installed profile of a limit in a unit; None if there is none, or a CSMS profile has replaced it."""
        profile = self._store.get(self._ids[key]) if key in self._ids else None
        return profile if profile is not None and profile.purpose is Purpose.EXTERNAL_CONSTRAINTS else None

    def _limit_values(self) -> Iterator[tuple[SharedLimit, RateUnit, float]]:
        for limit in self._station_limits.shared.values():
            if limit.source in _LIMIT_SOURCES:
                for unit, value in ((RateUnit.A, limit.current_a), (RateUnit.W, limit.power_w)):
                    if value is not None:
                        yield limit, unit, value


def _profile(
    identity: int, limit: SharedLimit, unit: RateUnit, period: SchedulePeriod, now: datetime
) -> ChargingProfile:
    lasts_s = math.ceil((limit.until - now).total_seconds()) if limit.until is not None else None
    return ChargingProfile(
        identity,
        0,
        0,
        Purpose.EXTERNAL_CONSTRAINTS,
        Kind.ABSOLUTE,
        Schedule(-identity, unit, (period,), now, lasts_s),
        valid_to=limit.until,
        source=_LIMIT_SOURCES[limit.source],
        grid_critical=True if limit.source is LimitSource.GRID_ORDER else None,
        from_arrival=True,
    )


def _equal_except_times(before: ChargingProfile, after: ChargingProfile) -> bool:
    """Return whether two profiles differ only in start and duration."""
    began = replace(after.schedule, starts_at=before.schedule.starts_at, duration_s=before.schedule.duration_s)
    return before == replace(after, schedule=began)


def _parse_announcement(text: str) -> str:
    if text not in {_ANNOUNCED, _CLEARED}:
        raise ValueError(f"must be {_ANNOUNCED} or {_CLEARED}")
    return text
