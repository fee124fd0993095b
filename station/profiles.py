"""The charging profiles of the station: installed ones on disk, those of a transaction for as long as it lasts."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from energy.charging_profile import ChargingLimitSource, ChargingProfile, Kind, Purpose, RateUnit, Schedule
from energy.profile_store import Criteria, ProfileStore, Refusal
from metering.pulse import Pulse
from station.database import Database, StorageError
from station.settings import Settings

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_log = logging.getLogger(__name__)

_EXTERNAL_IDS = {
    ChargingLimitSource.SYSTEM_OPERATOR: -1,
    ChargingLimitSource.EMS: -2,
    ChargingLimitSource.OTHER: -3,
}
"""negative, so that no profile of the CSMS has one of them (K11.FR.06)"""


@cache
def _profiles() -> TypeAdapter[ChargingProfile]:
    from pydantic import TypeAdapter

    return TypeAdapter(ChargingProfile)


class Profiles:
    """A profile store that survives restarts (K01.FR.27)."""

    def __init__(self, store: ProfileStore, database: Database | None, settings: Settings) -> None:
        self.store = store
        self.external_changed = Pulse()
        """fires when somebody else than the CSMS has set or released a limit"""
        self._database = database
        self._settings = settings
        self._unsaved: set[int] = set()
        self._expected: dict[int, ChargingProfile] = {}
        self._transactions: dict[int, str | None] = {}
        store.enabled = settings.smart_charging_enabled
        settings.watch(self._heed)

    async def load(self) -> None:
        """Take what is on disk; profiles of transactions are not: those ended with the power.

        Raises:
            StorageError: the disk cannot be read.
        """
        if self._database is None:
            return
        for identity, payload in await self._database.rows("SELECT id, payload FROM charging_profiles"):
            try:
                profile = _profiles().validate_json(str(payload))
            except ValueError as error:
                _log.error("charging profile %s cannot be read and is left out: %s", identity, error)
                continue
            if profile.purpose is Purpose.TX:
                self._unsaved.add(int(str(identity)))
            else:
                self.store.install(profile)

    def refusal(self, profile: ChargingProfile, transaction_id: str | None) -> Refusal | None:
        """Why a profile of the CSMS cannot be installed; None when it can."""
        if not self.supports(profile.schedule.unit):  # K01.FR.26
            return Refusal("UnsupportedRateUnit", f"chargingRateUnit {profile.schedule.unit} is not supported")
        return self.store.refusal(profile, transaction_id)

    def supports(self, unit: RateUnit) -> bool:
        """Whether limits may be told in this unit (SmartChargingCtrlr.RateUnit)."""
        return unit in self._settings.charging_rate_units

    async def install(self, profile: ChargingProfile) -> None:
        """Install a profile that `refusal` has nothing against, and save it."""
        self._install(profile)
        await self.flush()

    async def clear(self, criteria: Criteria) -> int:
        """Take away the profiles that match, except external constraints; returns how many."""
        cleared = self.store.clear(criteria)
        self._unsaved.update(profile.id for profile in cleared)
        await self.flush()
        return len(cleared)

    # Limits of others than the CSMS (K11–K13)

    async def impose(
        self, source: ChargingLimitSource, schedule: Schedule, *, grid_critical: bool | None = None
    ) -> None:
        """Somebody else than the CSMS limits what all EVSEs draw together, in place of what it said before.

        It outlives a restart: a limit of the grid operator is not gone because the station has forgotten it.
        """
        profile = ChargingProfile(
            _EXTERNAL_IDS[source],
            0,
            0,
            Purpose.EXTERNAL_CONSTRAINTS,
            Kind.ABSOLUTE,
            schedule,
            source=source,
            grid_critical=grid_critical,
        )
        if profile in self.store.all():
            return
        self._install(profile)
        self.external_changed.fire()
        await self.flush()

    async def release(self, source: ChargingLimitSource) -> bool:
        """Its limit does not hold any more (K13.FR.01); returns whether there was one."""
        released = self.store.remove(_EXTERNAL_IDS[source])
        if released is None:
            return False
        self._unsaved.add(released.id)
        self.external_changed.fire()
        await self.flush()
        return True

    def external(self) -> dict[ChargingLimitSource, ChargingProfile]:
        """What others than the CSMS have set."""
        return {one.source: one for one in self.store.all() if one.purpose is Purpose.EXTERNAL_CONSTRAINTS}

    # Profiles of transactions

    def expect(self, evse_id: int, profile: ChargingProfile) -> None:
        """A profile for the transaction that is about to start on an EVSE (F01.FR.10)."""
        self._expected[evse_id] = profile

    def forget(self, evse_id: int) -> None:
        """The start that a profile was expected for does not take place."""
        self._expected.pop(evse_id, None)

    def follow(self, evse_id: int, transaction_id: str | None) -> None:
        """This transaction runs on the EVSE now: what was expected for it is installed, what ended goes (K02.FR.05)."""
        before = self._transactions.get(evse_id)
        if before == transaction_id and evse_id not in self._expected:
            return
        self._transactions[evse_id] = transaction_id
        if before is not None and before != transaction_id:
            self._unsaved.update(profile.id for profile in self.store.end_transaction(before))
        if transaction_id is not None and (profile := self._expected.pop(evse_id, None)) is not None:
            self._install(replace(profile, transaction_id=transaction_id, evse_id=evse_id))

    async def flush(self) -> None:
        """Bring the disk up to date; what it refuses is tried again with the next change."""
        if self._database is None:
            self._unsaved.clear()
        for identity in list(self._unsaved):
            self._unsaved.discard(identity)  # a change while this one is written is another one
            try:
                await self._save(identity, self.store.get(identity))
            except StorageError as error:
                _log.error("charging profile %d is not saved: %s", identity, error)
                self._unsaved.add(identity)
                return

    async def _save(self, identity: int, profile: ChargingProfile | None) -> None:
        if self._database is None:
            return
        if profile is None:
            await self._database.write("DELETE FROM charging_profiles WHERE id = ?", (identity,))
            return
        await self._database.write(
            "INSERT INTO charging_profiles (id, payload) VALUES (?, ?)"
            " ON CONFLICT (id) DO UPDATE SET payload = excluded.payload",
            (identity, _profiles().dump_json(profile).decode()),
        )

    def _install(self, profile: ChargingProfile) -> None:
        before = {installed.id for installed in self.store.all()}
        self.store.install(profile)
        after = {installed.id for installed in self.store.all()}
        self._unsaved |= (before - after) | {profile.id}

    def _heed(self, setting: str) -> None:
        if setting == "smart_charging_enabled":
            self.store.enabled = self._settings.smart_charging_enabled
