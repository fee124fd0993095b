"""The charging profiles of the station: installed ones on disk, those of a transaction for as long as it lasts."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from energy.charging_profile import ChargingProfile, Purpose
from energy.profile_store import Criteria, ProfileStore, Refusal
from station.database import Database, StorageError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_log = logging.getLogger(__name__)


@cache
def _profiles() -> TypeAdapter[ChargingProfile]:
    from pydantic import TypeAdapter

    return TypeAdapter(ChargingProfile)


class Profiles:
    """A profile store that survives restarts (K01.FR.27)."""

    def __init__(self, store: ProfileStore, database: Database | None) -> None:
        self.store = store
        self._database = database
        self._unsaved: set[int] = set()
        self._expected: dict[int, ChargingProfile] = {}
        self._transactions: dict[int, str | None] = {}

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
        """Why a profile cannot be installed; None when it can."""
        return self.store.refusal(profile, transaction_id)

    async def install(self, profile: ChargingProfile) -> None:
        """Install a profile that `refusal` has nothing against, and save it."""
        self._install(profile)
        await self.flush()

    async def clear(self, criteria: Criteria) -> int:
        """Take away the profiles that match; returns how many."""
        cleared = self.store.clear(criteria)
        self._unsaved.update(profile.id for profile in cleared)
        await self.flush()
        return len(cleared)

    def expect(self, evse_id: int, profile: ChargingProfile) -> None:
        """A profile for the transaction that is about to start on an EVSE (F01.FR.10)."""
        self._expected[evse_id] = profile

    def forget(self, evse_id: int) -> None:
        """The start that a profile was expected for does not take place."""
        self._expected.pop(evse_id, None)

    def follow(self, evse_id: int, transaction_id: str | None) -> None:
        """This transaction runs on the EVSE now: what was expected for it is installed, what ended goes."""
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
        installed = {profile.id: profile for profile in self.store.all()}
        for identity in list(self._unsaved):
            try:
                await self._save(identity, installed.get(identity))
            except StorageError as error:
                _log.error("charging profile %d is not saved: %s", identity, error)
                return
            self._unsaved.discard(identity)

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
