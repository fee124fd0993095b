"""The owner's price list, kept over power cuts; a station that bills nobody has none."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from station.transaction_log import price_list_from, price_list_text

if TYPE_CHECKING:
    from station.fact_store import FactStore
    from station.price import PriceList

_log = logging.getLogger(__name__)

_NAME = "list"


class Prices:
    """What the owner asks from now on; a transaction keeps the prices of its begin."""

    def __init__(self, facts: FactStore) -> None:
        self._facts = facts
        self.current: PriceList | None = None
        self.on_change: Callable[[PriceList | None], None] | None = None

    async def load(self) -> None:
        """Take what is on disk.

        Raises:
            StorageError: the disk cannot be read.
        """
        if text := (await self._facts.load()).get(_NAME):
            try:
                self.current = price_list_from(text)
            except ValueError:
                _log.error("the saved price list cannot be read: nothing has a price")

    async def change(self, prices: PriceList | None) -> None:
        """Ask this from now on.

        Raises:
            StorageError: it is not on disk, and the prices are as before.
        """
        await self._facts.save(_NAME, price_list_text(prices) if prices is not None else "")
        self.current = prices
        if self.on_change is not None:
            self.on_change(prices)
