"""The life of a station before it serves the public: to be commissioned, commissioned, activated by its owner."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from foundation.events import Event

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.storage.fact_store import FactStore

_log = logging.getLogger(__name__)


class ActivationStage(StrEnum):
    """How far a station is."""

    NOT_COMMISSIONED = "not-commissioned"
    """an installer has yet to set it up"""
    COMMISSIONED = "commissioned"
    """its owner has yet to take it over"""
    ACTIVATED = "activated"
    """it serves whoever may charge"""


class StationActivation:
    """What has been done of that, across power cuts.

    A station whose installation file does not require commissioning is activated from the first moment on.
    """

    def __init__(self, facts: FactStore, clock: Clock, *, required: bool) -> None:
        self._facts = facts
        self._clock = clock
        self.required = required
        """whether the installation file wants an installer and an owner to do something"""
        self.commissioned_at: datetime | None = None
        self.activated_at: datetime | None = None
        self.changed = Event[ActivationStage]()
        """the station is at another stage"""

    async def load(self) -> None:
        """Take what is on disk; what cannot be read is to be done again.

        Raises:
            StorageError: the disk cannot be read.
        """
        known = await self._facts.load()
        self.commissioned_at = self._moment("commissioned", known)
        self.activated_at = self._moment("activated", known)

    @property
    def stage(self) -> ActivationStage:
        """How far it is."""
        if not self.required or (self.commissioned_at is not None and self.activated_at is not None):
            return ActivationStage.ACTIVATED
        return ActivationStage.NOT_COMMISSIONED if self.commissioned_at is None else ActivationStage.COMMISSIONED

    @property
    def activated(self) -> bool:
        """Whether anybody but the installer may charge."""
        return self.stage is ActivationStage.ACTIVATED

    async def commission(self) -> None:
        """The installer is done, or done once more; the owner is next. A station that is activated stays so.

        Raises:
            StorageError: it is not saved, and not done.
        """
        if self.commissioned_at is None or self.activated_at is None:
            self.commissioned_at = await self._save("commissioned")
            self._tell()

    async def activate(self) -> bool:
        """The owner takes the station over; False before it is commissioned.

        Raises:
            StorageError: it is not saved, and not done.
        """
        if self.stage is ActivationStage.NOT_COMMISSIONED:
            return False
        if self.activated_at is None:
            self.activated_at = await self._save("activated")
            self._tell()
        return True

    async def reset(self) -> None:
        """As it left the factory: to be commissioned. For service; what charges meanwhile is let finish.

        Raises:
            StorageError: it is not saved, and not all of it is done.
        """
        await self._facts.save("activated", "")
        self.activated_at = None
        await self._facts.save("commissioned", "")
        self.commissioned_at = None
        self._tell()

    async def _save(self, name: str) -> datetime:
        now = self._clock.now()
        await self._facts.save(name, now.isoformat())
        return now

    def _moment(self, name: str, known: Mapping[str, str]) -> datetime | None:
        if not (text := known.get(name)):
            return None
        if (moment := self._facts.read(name, datetime.fromisoformat, text)) is None:
            _log.error("when the station was %s cannot be read: it is to be done again", name)
        return moment

    def _tell(self) -> None:
        _log.info("the station is %s", self.stage)
        self.changed.publish(self.stage)
