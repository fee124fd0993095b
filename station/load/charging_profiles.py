"""The charging profiles of the station; on disk, except those of a transaction, which end with it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from energy.charging_profile import (
    ChargingLimitSource,
    ChargingProfile,
    Kind,
    Purpose,
    RateUnit,
    Recurrency,
    Schedule,
    SchedulePeriod,
)
from energy.profile_store import ProfileCriteria, ProfileRefusal, ProfileStore
from foundation.change_signal import ChangeSignal
from station.load.smart_charging_settings import SmartChargingSettings
from station.storage.database import Database, StorageError
from station.storage.stored_format import StoredFormat, names
from station.storage.unreadable_rows import RowAddress

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from foundation.clock import Clock

_log = logging.getLogger(__name__)


_DELETE: Final = "DELETE FROM charging_profiles WHERE id = ?"
_UPSERT: Final = (
    "INSERT INTO charging_profiles (id, payload) VALUES (?, ?)"
    " ON CONFLICT (id) DO UPDATE SET payload = excluded.payload"
)
_FLUSH_RETRY_S: Final = 1.0
_EXPECTED_TRANSACTION = "to-come"
"""placeholder id of a transaction that has not started yet"""


PROFILES: Final = StoredFormat(
    ChargingProfile,
    {
        ChargingProfile: names(
            "id",
            "evse_id",
            "stack_level",
            "purpose",
            "kind",
            "schedule",
            "recurrency",
            "valid_from",
            "valid_to",
            "transaction_id",
            "source",
            "with_start",
            "max_offline_s",
            "invalid_after_offline",
            "grid_critical",
            "custom_data",
            "alternatives",
            "from_arrival",
        ),
        Schedule: names(
            "id",
            "unit",
            "periods",
            "starts_at",
            "duration_s",
            "minimum_rate",
            "custom_data",
            "sales_tariff",
        ),
        SchedulePeriod: names("start_s", "limit", "phases", "phase_to_use", "custom_data"),
        Purpose: names(
            EXTERNAL_CONSTRAINTS="ChargingStationExternalConstraints",
            STATION_MAX="ChargingStationMaxProfile",
            TX_DEFAULT="TxDefaultProfile",
            TX="TxProfile",
        ),
        Kind: names(ABSOLUTE="Absolute", RECURRING="Recurring", RELATIVE="Relative"),
        Recurrency: names(DAILY="Daily", WEEKLY="Weekly"),
        RateUnit: names(A="A", W="W"),
        ChargingLimitSource: names(EMS="EMS", OTHER="Other", SYSTEM_OPERATOR="SO", CSO="CSO"),
    },
)


class PersistentProfiles:
    """Installs and removes charging profiles in `store`, and keeps them on disk across restarts (K01.FR.27).

    A TxProfile ends with a restart. Without a database the profiles are in memory only.
    """

    def __init__(
        self,
        store: ProfileStore,
        database: Database | None,
        settings: SmartChargingSettings,
        clock: Clock,
        *,
        accepts_relative_station_limits: bool = False,
        evses_with_schedules: Collection[int] = (),
    ) -> None:
        """`evses_with_schedules`: the EVSEs whose vehicles can choose from several schedules (ISO 15118)."""
        self.store = store
        self._evses_with_schedules = frozenset(evses_with_schedules)
        self._accepts_relative_station_limits = accepts_relative_station_limits
        self._clock = clock
        self._database = database
        self._settings = settings
        self._unsaved: set[int] = set()
        self._unsaved_changed = ChangeSignal()
        self._write_lock = asyncio.Lock()
        """held while profiles are written, so that the disk never gets an older version than the one installed"""
        self._transactions: dict[int, str | None] = {}
        store.enabled = settings.smart_charging_enabled
        settings.changed(SmartChargingSettings.smart_charging_enabled).subscribe(self._enable)

    async def load(self) -> None:
        """Load the stored profiles; delete stored TxProfiles, since their transactions ended with the power cut.

        Raises:
            StorageError: the disk cannot be read.
        """
        if self._database is None:
            return
        for identity, payload in await self._database.rows("SELECT id, payload FROM charging_profiles"):
            address = RowAddress("charging_profiles", str(identity))
            profile = self._database.unreadable.read(PROFILES.from_text, payload, address)
            if profile is None:
                continue
            if profile.purpose is Purpose.TX:
                self._unsaved.add(int(str(identity)))
            else:
                self.store.install(profile)

    def apply_tolerances(self, profile: ChargingProfile) -> ChargingProfile:
        """Convert a forbidden profile that the installation accepts (`csms.accept`); return any other one unchanged.

        A Relative ChargingStationMaxProfile is forbidden, since it has no transaction to start with (K01.FR.38). If
        accepted, it becomes an Absolute one that starts now, and is stored, restored and reported as such.
        """
        is_relative = profile.kind is Kind.RELATIVE and profile.schedule.starts_at is None
        if not self._accepts_relative_station_limits or profile.purpose is not Purpose.STATION_MAX or not is_relative:
            return profile
        return profile.as_absolute(self._clock.now())

    def refusal(self, profile: ChargingProfile, transaction_id: str | None) -> ProfileRefusal | None:
        """The reason why a profile of the CSMS must be rejected, or None if it can be installed; installs nothing.

        `transaction_id`: the transaction that runs on the profile's EVSE; None: none.
        """
        if not self.supports(profile.schedule.unit):  # K01.FR.26
            return ProfileRefusal("UnsupportedRateUnit", f"chargingRateUnit {profile.schedule.unit} is not supported")
        if profile.alternatives and profile.evse_id not in self._evses_with_schedules:  # K01.FR.34
            return ProfileRefusal("InvalidSchedule", "chargingSchedule: more than one requires ISO 15118")
        return self.store.refusal(profile, transaction_id, self.store.replaceable_ids(profile, self._clock.now()))

    def supports(self, unit: RateUnit) -> bool:
        """Return whether limits in this unit are supported (SmartChargingCtrlr.RateUnit)."""
        return unit in self._settings.charging_rate_units

    async def install(self, profile: ChargingProfile) -> None:
        """Store a profile that `refusal` accepts, then install it in place of those that it replaces.

        A TxProfile does not survive a power cut, so it is installed without waiting for the disk.

        Raises:
            StorageError: the profile was not stored; the installed profiles are unchanged.
        """
        if profile.purpose is not Purpose.TX:  # K01.FR.27
            async with self._write_lock:
                replaced = self.store.replaceable_ids(profile, self._clock.now())
                # In one write: if a power cut left both, the old profile could replace the new one at the next start.
                await self._write(profile, replaced)
                self._install(profile)
                self._unsaved -= {profile.id, *replaced}
        else:
            self._install(profile)
        await self.flush()

    def select_schedule(self, transaction_id: str, position: int) -> None:
        """Put the schedule that a vehicle has chosen in force: that at a position of each TxProfile with several."""
        for profile in self.store.all():
            if profile.transaction_id == transaction_id and profile.alternatives:
                selected = profile.with_alternative(position)
                if selected != profile:
                    self._install(selected)
                    self._unsaved_changed.notify()

    async def clear(self, criteria: ProfileCriteria) -> int:
        """Remove the profiles that match, except external constraints, also from the disk; return their number."""
        cleared = self.store.clear(criteria)
        self._unsaved.update(profile.id for profile in cleared)
        await self.flush()
        return len(cleared)

    def remove(self, ids: Iterable[int]) -> None:
        """Remove profiles at once; `run` removes them from the disk. Without effect for an id that is not installed."""
        removed = [identity for identity in ids if self.store.remove(identity) is not None]
        if removed:
            self._unsaved.update(removed)
            self._unsaved_changed.notify()

    def install_expected(self, evse_id: int, profile: ChargingProfile) -> None:
        """Apply the profile of a RequestStartTransaction to an EVSE, and install it when its transaction starts.

        F01.FR.10. It applies at once: if EnergyTransfer is the start point, energy flows before the transaction starts.
        """
        self.store.expected[evse_id] = replace(profile, transaction_id=_EXPECTED_TRANSACTION, evse_id=evse_id)
        self._install_expected(evse_id)

    def transaction_of(self, evse_id: int, transaction_id: str | None) -> str | None:
        """The transaction id by which TxProfiles are found for an EVSE.

        It is `transaction_id`, the running transaction; if none runs (None) and `install_expected` was called, the
        placeholder id of the expected profile.
        """
        return _EXPECTED_TRANSACTION if transaction_id is None and evse_id in self.store.expected else transaction_id

    def cancel_expected(self, evse_id: int) -> None:
        """Discard the profile of `install_expected`, if any, because the start on the EVSE was cancelled."""
        self.store.expected.pop(evse_id, None)

    def set_transaction(self, evse_id: int, transaction_id: str | None) -> None:
        """Set the running transaction of an EVSE; None: none. `run` writes the changes that follow.

        If it is a new one, its expected profile is installed, and the TxProfiles of the last one removed (K02.FR.05).
        """
        previous = self._transactions.get(evse_id)
        if previous == transaction_id:
            return
        self._transactions[evse_id] = transaction_id
        if previous is not None:
            self._unsaved.update(profile.id for profile in self.store.remove_transaction_profiles(previous))
            self._unsaved_changed.notify()
        self._install_expected(evse_id)

    def _install_expected(self, evse_id: int) -> None:
        """Install the expected profile of an EVSE if its transaction has started."""
        transaction_id = self._transactions.get(evse_id)
        if transaction_id is not None and (profile := self.store.expected.pop(evse_id, None)) is not None:
            self._install(replace(profile, transaction_id=transaction_id))
            self._unsaved_changed.notify()

    async def run(self) -> None:
        """Task until cancelled: write the profiles that start or end with a transaction, so that no decision waits."""
        while True:
            count_before = self._unsaved_changed.count
            await self.flush()
            if self.has_unsaved:  # the disk refused them
                await self._unsaved_changed.wait_for(count_before, self._clock, _FLUSH_RETRY_S)
            else:
                await self._unsaved_changed.wait(count_before)

    @property
    def has_unsaved(self) -> bool:
        """Whether profiles or removals wait for `flush`."""
        return bool(self._unsaved)

    async def flush(self) -> None:
        """Write all unsaved profiles and removals to disk; after an error, which is logged, the next call retries."""
        if self._database is None:
            self._unsaved.clear()
        async with self._write_lock:
            for identity in list(self._unsaved):
                self._unsaved.discard(identity)  # before the write, so that a change during it is saved too
                try:
                    await self._save(identity, self.store.get(identity))
                except StorageError as error:
                    _log.error("charging profile %d cannot be stored and is retried: %s", identity, error)
                    self._unsaved.add(identity)
                    return

    async def _save(self, identity: int, profile: ChargingProfile | None) -> None:
        if profile is None:
            if self._database is not None:
                await self._database.write(_DELETE, (identity,))
        else:
            await self._write(profile, frozenset())

    async def _write(self, profile: ChargingProfile, replaced: frozenset[int]) -> None:
        """Save a profile and delete those that it replaces, in one transaction of the database."""
        if self._database is None:
            return
        row = (profile.id, PROFILES.to_text(profile))
        if replaced:
            await self._database.write_together((_DELETE, [(identity,) for identity in replaced]), (_UPSERT, [row]))
        else:
            await self._database.write(_UPSERT, row)
        self._database.unreadable.remove(RowAddress("charging_profiles", str(profile.id)))  # replaces an unreadable row

    def _install(self, profile: ChargingProfile) -> None:
        ids_before = {installed.id for installed in self.store.all()}
        for identity in self.store.replaceable_ids(profile, self._clock.now()):
            self.store.remove(identity)
        self.store.install(profile)
        ids_after = {installed.id for installed in self.store.all()}
        self._unsaved |= (ids_before - ids_after) | {profile.id}

    def _enable(self, enabled: bool) -> None:
        self.store.enabled = enabled
        self.store.changed.publish(None)
