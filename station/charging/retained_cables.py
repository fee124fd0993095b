"""Whom each cable is kept for, through power cuts: else whoever comes next would walk away with it."""

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
    """The holders of locked cables, on disk (E05.FR.11, E09.FR.03)."""

    def __init__(self, evses: Mapping[int, Evse], facts: FactStore) -> None:
        self._facts = EvseFacts(evses, facts, _text)

    async def load(self) -> None:
        """Tell each EVSE, before it runs, whom its cable is kept for; one that cannot be read is let go.

        Raises:
            StorageError: the disk cannot be read.
        """
        for evse, text in await self._facts.load():
            if (holder := self._facts.read(evse, _holder, text)) is not None:
                evse.retain_cable(holder)
            else:
                _log.error("EVSE %d: whom its cable is kept for cannot be read", evse.id)

    async def run(self) -> None:
        """Save each change, until cancelled.

        Raises:
            StorageError: a change is not saved; it is when this runs again.
        """
        await self._facts.run()


def _text(evse: Evse) -> str | None:
    holder = evse.state.lock_held_for or evse.state.retained_for
    return json.dumps([holder.value, holder.type]) if holder is not None else None


def _holder(text: str) -> IdToken:
    match json.loads(text):
        case [str(value), str(kind)]:
            return IdToken(value, kind)
        case _:
            raise ValueError("is not a token and its type")
