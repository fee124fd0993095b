"""Whom each cable is kept for, through power cuts: else whoever comes next would walk away with it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from station.model import IdToken

if TYPE_CHECKING:
    from station.evse import Evse
    from station.records.fact_store import FactStore

_log = logging.getLogger(__name__)


class KeptCables:
    """The holders of locked cables, on disk (E05.FR.11, E09.FR.03)."""

    def __init__(self, evses: Mapping[int, Evse], facts: FactStore) -> None:
        self._evses = evses
        self._facts = facts

    async def load(self) -> None:
        """Tell each EVSE, before it runs, whom its cable is kept for; one that cannot be read is let go.

        Raises:
            StorageError: the disk cannot be read.
        """
        for name, text in (await self._facts.load()).items():
            if name.isdecimal() and (evse := self._evses.get(int(name))) is not None:
                if (holder := _holder(text)) is not None:
                    evse.keep_cable(holder)
                else:
                    _log.error("EVSE %d: whom its cable is kept for cannot be read", evse.id)

    async def run(self) -> None:
        """Save each change, until cancelled.

        Raises:
            StorageError: a change is not saved; it is with the next one.
        """
        async with asyncio.TaskGroup() as group:
            for evse in self._evses.values():
                group.create_task(self._follow(evse))

    async def _follow(self, evse: Evse) -> None:
        saved: IdToken | None = evse.state.kept_for
        while True:
            holder = evse.state.lock_held_for or evse.state.kept_for
            if holder == saved:
                await evse.changed.wait()
            elif holder is None:
                await self._facts.remove(str(evse.id))
                saved = holder
            else:
                await self._facts.save(str(evse.id), json.dumps([holder.value, holder.type]))
                saved = holder


def _holder(text: str) -> IdToken | None:
    try:
        match json.loads(text):
            case [str(value), str(kind)]:
                return IdToken(value, kind)
            case _:
                return None
    except ValueError:
        return None
