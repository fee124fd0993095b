"""The price list that is in force, kept over power cuts; a station that bills nobody has none."""

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

# A transaction's begin copies one of these in the same write (migration 7): their names are known there.
_OWNERS, _INSTALLED = "list", "installed"
_TOLD = "told"
"""what the register journal was told of last"""


class Prices:
    """What is asked from now on; a transaction keeps the prices of its begin."""

    def __init__(self, facts: FactStore) -> None:
        self._facts = facts
        self.current: PriceList | None = None
        self.changed = Event["PriceList | None"]()
        """the prices are other ones than the register journal knows"""
        self._told = ""

    async def load(self, installed: PriceList | None = None) -> None:
        """Take what the owner has said, which outweighs what the installation file says.

        Raises:
            StorageError: the disk cannot be read, or does not take what the installation file says.
        """
        kept = await self._facts.load()
        text = _text(installed)
        if kept.get(_INSTALLED, "") != text:
            await self._facts.save(_INSTALLED, text)
        self.current, self._told = installed, kept.get(_TOLD, "")
        if (owners := kept.get(_OWNERS)) is not None:
            self.current = self._facts.read(_OWNERS, price_list_from, owners) if owners else None
            if owners and self.current is None:
                _log.error("the saved price list cannot be read: nothing has a price")

    async def change(self, prices: PriceList | None) -> None:
        """Ask this from now on; None: nothing, whatever the installation file says.

        Raises:
            StorageError: it is not on disk, and the prices are as before.
        """
        await self._facts.save(_OWNERS, _text(prices))
        self.current = prices
        await self.tell()

    async def tell(self) -> None:
        """Say which prices are in force where others were when that was said last, also in a life before this one."""
        if (text := _text(self.current)) == self._told:
            return
        self._told = text
        self.changed.publish(self.current)
        try:
            await self._facts.save(_TOLD, text)
        except StorageError as error:
            _log.error("which prices the journal knows is not on disk, and will be told again: %s", error)

    async def forget(self) -> None:
        """What the installation file says counts again, from the next start on.

        Raises:
            StorageError: the owner's prices still count.
        """
        await self._facts.remove(_OWNERS)


def _text(prices: PriceList | None) -> str:
    return price_list_text(prices) if prices is not None else ""
