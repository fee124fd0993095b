"""Counts the operations of the contactors, whose lifetime is limited, in particular when opened under load."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Protocol

from foundation.frozen import Frozen
from station.charging.evse_facts import EvseFacts, ObservedEvse
from station.storage.stored_format import FlatFormat, names

if TYPE_CHECKING:
    from station.storage.fact_store import FactStore

_log = logging.getLogger(__name__)


class ContactorCount(Frozen):
    """How often one contactor has been operated in its lifetime, for maintenance."""

    closed: int = 0
    """number of times that it closed"""
    opened_under_load: int = 0
    """number of times that it opened while the meter showed current"""

    def after_observation(self, was_closed: bool, is_closed: bool, *, load: bool) -> ContactorCount:
        """Return the count increased by what two successive observations of the contactor show.

        `load`: the meter showed current at the later one.
        """
        return ContactorCount(
            self.closed + (is_closed and not was_closed),
            self.opened_under_load + (was_closed and not is_closed and load),
        )


COUNTS: Final = FlatFormat(ContactorCount, names("closed", "opened_under_load"))


class EvseWithContactorCount(ObservedEvse, Protocol):
    """The members of `Evse` that are needed to keep its contactor count on disk."""

    contactor: ContactorCount
    """operations of its contactor in its lifetime; loaded from disk at startup"""


class ContactorCountStore:
    """Keeps the contactor counts of all EVSEs on disk; the counting itself is done by each EVSE."""

    def __init__(self, evses: Mapping[int, EvseWithContactorCount], facts: FactStore) -> None:
        self._facts = EvseFacts(evses, facts, _count_text)

    async def load(self) -> None:
        """Set the contactor count of each EVSE to the stored one, at startup; an unreadable one restarts at 0.

        Raises:
            StorageError: the disk cannot be read.
        """
        for evse, text in await self._facts.load():
            if (count := self._facts.read(evse, _from_text, text)) is not None:
                evse.contactor = count
            else:
                _log.error("EVSE %d: the stored contactor count cannot be read; counting restarts at 0", evse.id)

    async def run(self) -> None:
        """Task until cancelled: write each changed count to disk.

        Raises:
            StorageError: a change was not stored; run again to retry.
        """
        await self._facts.run()


def _from_text(text: str) -> ContactorCount:
    return COUNTS.from_dict(json.loads(text))


def _count_text(evse: EvseWithContactorCount) -> str | None:
    return json.dumps(COUNTS.to_dict(evse.contactor)) if evse.contactor != ContactorCount() else None
