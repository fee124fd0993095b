"""The owner's price list in force, kept across power cuts; None if charging is free."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from foundation.events import Event
from station.billing.transaction_rows import price_list_from, price_list_text
from station.storage.database import StorageError

if TYPE_CHECKING:
    from station.billing.price import PriceList
    from station.storage.fact_store import FactStore

_log = logging.getLogger(__name__)

# Migration 7 copies one of these facts when a transaction begins, so it depends on their names.
_OWNERS, _INSTALLED = "list", "installed"
_JOURNALED = "told"
"""the prices last written to the register journal"""


class Prices:
    """Holds and stores the owner's price list for new transactions; a transaction keeps the prices of its begin."""

    def __init__(self, facts: FactStore) -> None:
        self._facts = facts
        self.current: PriceList | None = None
        """the prices in force; None: none, charging is free"""
        self.changed: Event[PriceList | None] = Event()
        """published when the prices differ from those in the register journal"""
        self._journaled = ""

    async def load(self, installed: PriceList | None = None) -> None:
        """Load the prices: those stored by `change`, else `installed`, of the installation file; publish nothing.

        Raises:
            StorageError: the disk cannot be read or written.
        """
        stored = await self._facts.load()
        text = _stored_text(installed)
        if stored.get(_INSTALLED, "") != text:
            await self._facts.save(_INSTALLED, text)
        self.current, self._journaled = installed, stored.get(_JOURNALED, "")
        if (owners_text := stored.get(_OWNERS)) is not None:
            self.current = self._facts.read(_OWNERS, price_list_from, owners_text) if owners_text else None
            if owners_text and self.current is None:
                _log.error("the stored price list cannot be read: no prices are in force")

    async def change(self, prices: PriceList | None) -> None:
        """Store the owner's prices and apply them to new transactions; None: none, even if the installation file has.

        Raises:
            StorageError: not stored; the previous prices stay in force.
        """
        await self._facts.save(_OWNERS, _stored_text(prices))
        self.current = prices
        await self.publish_if_changed()

    async def publish_if_changed(self) -> None:
        """Publish `changed` if the prices in force differ from the last published ones, which are stored.

        If they cannot be stored, this is logged, and the prices are published again after a restart.
        """
        if (text := _stored_text(self.current)) == self._journaled:
            return
        self._journaled = text
        self.changed.publish(self.current)
        try:
            await self._facts.save(_JOURNALED, text)
        except StorageError as error:
            _log.error(
                "the prices written to the register journal cannot be stored; they will be written to it again: %s",
                error,
            )

    async def forget(self) -> None:
        """Delete the owner's stored prices (factory reset); those of the installation file apply from the next start.

        Raises:
            StorageError: the owner's prices stay.
        """
        await self._facts.remove(_OWNERS)


def _stored_text(prices: PriceList | None) -> str:
    return price_list_text(prices) if prices is not None else ""
