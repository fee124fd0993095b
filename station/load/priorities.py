"""Priorities of the EVSEs when power is short: from the installation file, until the owner changes them.

The CSMS may raise or lower the priority of a charge by chargingPriority (IdTokenInfoType, TransactionEventResponse).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from foundation.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from station.storage.fact_store import FactStore

_log = logging.getLogger(__name__)

HIGHEST: Final = 9


class _CsmsPriority(Frozen):
    """The chargingPriority that the CSMS set for one transaction."""

    transaction_id: str
    priority: int
    overrules: bool
    """from the response to a transaction event, not from idTokenInfo"""


class Priorities:
    """The priority of each EVSE, 0 to `HIGHEST`, on disk, and the CSMS's chargingPriority of its charge, in memory.

    When power is short, the load controller serves the charge with the higher sum of both first.
    """

    def __init__(self, installed: Mapping[int, int], facts: FactStore) -> None:
        self._installed = installed
        self._priorities = dict(installed)
        self._facts = facts
        self._csms_priorities: dict[int, _CsmsPriority] = {}

    async def load(self) -> None:
        """Load the priorities that the owner has set.

        Raises:
            StorageError: the disk cannot be read.
        """
        for name, text in (await self._facts.load()).items():
            priority = self._facts.read(name, _parse_priority, text)
            if priority is not None and name.isdecimal() and int(name) in self._priorities:
                self._priorities[int(name)] = priority
            else:
                _log.error("the stored priority of EVSE %s cannot be read and is ignored: %s", name, text)

    def priority_of(self, evse_id: int) -> int:
        """The priority of an EVSE, 0 to `HIGHEST`, as set by the owner or the installation file."""
        return self._priorities[evse_id]

    def of_charge(self, evse_id: int, transaction_id: str | None, of_token: int) -> int:
        """The priority of the charge on an EVSE: that of the EVSE plus a chargingPriority, −9 to 9.

        The latter is the one set for `transaction_id` by `set_csms_priority`, else `of_token`, that of the id token.
        """
        order = self._csms_priorities.get(evse_id)
        csms_priority = order.priority if order is not None and order.transaction_id == transaction_id else of_token
        return self._priorities[evse_id] + csms_priority

    def set_csms_priority(self, evse_id: int, transaction_id: str, priority: int, *, overrules: bool) -> None:
        """Store, in memory, the chargingPriority that the CSMS sent for the transaction of an EVSE, −9 to 9.

        `overrules`: it comes from the response to a transaction event; one from idTokenInfo never replaces it.
        """
        order = self._csms_priorities.get(evse_id)
        if overrules or order is None or order.transaction_id != transaction_id or not order.overrules:
            self._csms_priorities[evse_id] = _CsmsPriority(transaction_id, priority, overrules)

    async def change(self, evse_id: int, priority: int) -> None:
        """Set and store the owner's priority of an EVSE, 0 to `HIGHEST`, for the next decision of load management.

        Raises:
            StorageError: not saved; it applies until a restart.
        """
        self._priorities[evse_id] = priority
        _log.info("EVSE %d has priority %d", evse_id, priority)
        await self._facts.save(str(evse_id), str(priority))

    async def forget(self) -> None:
        """Delete the owner's priorities (factory reset): those of the installation file apply at once.

        Raises:
            StorageError: the owner's priorities return with a restart.
        """
        self._priorities = dict(self._installed)
        for evse_id in self._installed:
            await self._facts.remove(str(evse_id))


def _parse_priority(text: str) -> int:
    if not text.isdecimal() or int(text) > HIGHEST:
        raise ValueError(f"must be a number from 0 to {HIGHEST}")
    return int(text)
