"""The holders of locked cables, stored across power cuts, so that nobody else can unlock them."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from station.charging.evse_facts import EvseFacts
from station.core.model import IdToken

if TYPE_CHECKING:
    from station.charging.evse import Evse
    from station.storage.fact_store import FactStore

_log = logging.getLogger(__name__)


class RetainedCables:
    """Keeps on disk for whom each EVSE has locked a cable in its socket, for a restart (E05.FR.11, E09.FR.03)."""

    def __init__(self, evses: Mapping[int, Evse], facts: FactStore) -> None:
        self._facts = EvseFacts(evses, facts, _holder_text)

    async def load(self) -> None:
        """Give each EVSE the stored holder of its cable, before it runs; a cable with an unreadable holder is unlocked.

        Raises:
            StorageError: the disk cannot be read.
        """
        for evse, text in await self._facts.load():
            if (holder := self._facts.read(evse, _parse_holder, text)) is not None:
                evse.retain_cable(holder)
            else:
                _log.error("EVSE %d: the stored holder of its cable cannot be read; the cable is unlocked", evse.id)

    async def run(self) -> None:
        """Task until cancelled: write each changed holder to disk.

        Raises:
            StorageError: a change was not stored; run again to retry.
        """
        await self._facts.run()


def _holder_text(evse: Evse) -> str | None:
    holder = evse.state.lock_held_for or evse.state.retained_for
    return json.dumps([holder.value, holder.type]) if holder is not None else None


def _parse_holder(text: str) -> IdToken:
    match json.loads(text):
        case [str(value), str(kind)]:
            return IdToken(value, kind)
        case _:
            raise ValueError("must be a token and its type")
