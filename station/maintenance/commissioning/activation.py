"""Activation of a station: an installer commissions it, then its owner activates it, before the public may charge."""

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
    """How far the activation of the station has come: who must act next before the public may charge."""

    NOT_COMMISSIONED = "not-commissioned"
    """an installer must commission it"""
    COMMISSIONED = "commissioned"
    """its owner must activate it"""
    ACTIVATED = "activated"
    """in operation"""


class StationActivation:
    """Stores whether the station is commissioned and activated, which decides who may charge.

    A station whose installation file does not require commissioning is activated from the start.
    """

    def __init__(self, facts: FactStore, clock: Clock, *, required: bool) -> None:
        self._facts = facts
        self._clock = clock
        self.required = required
        """whether the installation file requires commissioning and activation"""
        self.commissioned_at: datetime | None = None
        """when the installer finished; None: not commissioned"""
        self.activated_at: datetime | None = None
        """when the owner activated it; None: not activated"""
        self.changed: Event[ActivationStage] = Event()
        """published when the stage has changed"""

    async def load(self) -> None:
        """Load the stored stage from disk; what is unreadable must be done again.

        Raises:
            StorageError: the disk cannot be read.
        """
        stored = await self._facts.load()
        self.commissioned_at = self._stored_moment("commissioned", stored)
        self.activated_at = self._stored_moment("activated", stored)

    @property
    def stage(self) -> ActivationStage:
        """The present stage; ACTIVATED if the installation file does not require commissioning."""
        if not self.required or (self.commissioned_at is not None and self.activated_at is not None):
            return ActivationStage.ACTIVATED
        return ActivationStage.NOT_COMMISSIONED if self.commissioned_at is None else ActivationStage.COMMISSIONED

    @property
    def activated(self) -> bool:
        """Whether anyone may charge; before activation only the installer, in a test session."""
        return self.stage is ActivationStage.ACTIVATED

    async def commission(self) -> None:
        """Store that the installer has commissioned the station, and publish the stage; the steps are not checked.

        No effect on an activated station.

        Raises:
            StorageError: not saved, and unchanged.
        """
        if self.commissioned_at is None or self.activated_at is None:
            self.commissioned_at = await self._store_now("commissioned")
            self._publish()

    async def activate(self) -> bool:
        """Store that the owner has activated the station, and publish the stage; False if it is not commissioned yet.

        Raises:
            StorageError: not saved, and unchanged.
        """
        if self.stage is ActivationStage.NOT_COMMISSIONED:
            return False
        if self.activated_at is None:
            self.activated_at = await self._store_now("activated")
            self._publish()
        return True

    async def reset(self) -> None:
        """Store that the station is neither activated nor commissioned, and publish the stage; stops no charging.

        Raises:
            StorageError: not saved, or only in part.
        """
        await self._facts.save("activated", "")
        self.activated_at = None
        await self._facts.save("commissioned", "")
        self.commissioned_at = None
        self._publish()

    async def _store_now(self, name: str) -> datetime:
        now = self._clock.now()
        await self._facts.save(name, now.isoformat())
        return now

    def _stored_moment(self, name: str, stored: Mapping[str, str]) -> datetime | None:
        if not (text := stored.get(name)):
            return None
        if (moment := self._facts.read(name, datetime.fromisoformat, text)) is None:
            _log.error("the time when the station was %s cannot be read: this must be done again", name)
        return moment

    def _publish(self) -> None:
        _log.info("activation state of the station: %s", self.stage)
        self.changed.publish(self.stage)
