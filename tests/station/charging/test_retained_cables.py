"""The holder of a retained cable: stored on disk, also after writes that the disk has refused."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from foundation.change_signal import ChangeSignal
from station.charging.retained_cables import RetainedCables
from station.core.model import IdToken
from station.storage.database import StorageError
from station.storage.fact_store import FactStore
from tests import fakes
from tests.databases import open_database
from tests.patience import until

if TYPE_CHECKING:
    from station.charging.evse import Evse


@dataclass
class Socket:
    """The part of an EVSE that a retained cable needs."""

    id: int = 1
    changed: ChangeSignal = field(default_factory=ChangeSignal)
    state: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(lock_held_for=None, retained_for=None))

    def retain_cable(self, holder: IdToken) -> None:
        self.state.retained_for = holder

    def hold(self, holder: IdToken | None) -> None:
        self.state = SimpleNamespace(lock_held_for=holder, retained_for=None)
        self.changed.notify()


@contextlib.asynccontextmanager
async def running(socket: Socket, facts: FactStore, *, unplugged: bool = False) -> AsyncGenerator[asyncio.Task[None]]:
    """One run of the station; `unplugged`: the cable was removed before the cables were followed."""
    cables = RetainedCables({1: cast("Evse", socket)}, facts)
    await cables.load()
    if unplugged:
        socket.hold(None)
    task = asyncio.create_task(cables.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def wait_stored(facts: FactStore, count: int) -> None:
    async def is_stored() -> bool:
        return len(await facts.load()) == count

    await until(is_stored)


@pytest.mark.parametrize("text", ['["CARD", "ISO14443"]', "spoilt"])
async def test_a_cable_that_was_removed_before_it_is_followed_is_retained_for_nobody(tmp_path: Path, text: str) -> None:
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        facts = FactStore(database, "cable")
        await facts.save("1", text)
        async with running(Socket(), facts, unplugged=True):
            await wait_stored(facts, 0)


async def test_a_holder_that_a_disk_would_not_forget_is_forgotten_when_it_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the cable of the next one would be locked for somebody who left long ago."""

    async def refuse(name: str) -> None:
        raise StorageError(name)

    async with open_database(tmp_path / "db", fakes.clock()) as database:
        facts, socket = FactStore(database, "cable"), Socket()
        cables = RetainedCables({1: cast("Evse", socket)}, facts)
        await cables.load()
        first = asyncio.create_task(cables.run())
        socket.hold(fakes.CARD)
        await wait_stored(facts, 1)
        with monkeypatch.context() as full:
            full.setattr(facts, "remove", refuse)
            socket.hold(None)
            with pytest.raises(StorageError):
                await first
        again = asyncio.create_task(cables.run())
        await wait_stored(facts, 0)
        again.cancel()
        await asyncio.wait([again])
