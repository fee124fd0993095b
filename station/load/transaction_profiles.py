"""Keeps the charging profiles of each EVSE in step with its transactions (K02.FR.05, F01.FR.10)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from station.charging.evse import Evse
    from station.load.charging_profiles import PersistentProfiles


class TransactionProfiles:
    """Installs the expected profile when a transaction starts, and removes TxProfiles when it ends."""

    def __init__(self, profiles: PersistentProfiles) -> None:
        self._profiles = profiles

    def follow(self, evses: Iterable[Evse]) -> None:
        """Follow the transactions of these EVSEs from now on."""
        for evse in evses:
            evse.state_changed.subscribe(partial(self._update, evse))

    def _update(self, evse: Evse, _: None) -> None:
        self._profiles.set_transaction(evse.id, evse.transaction_id)
        if evse.state.authorization is None:  # the start was cancelled
            self._profiles.cancel_expected(evse.id)
