"""The garbage collector of a process whose stations live as long as it does."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Generator
from pathlib import Path

import pytest

from borne.garbage_collection import GarbageCollection
from station.core.model import BootReason
from tests.walk import walking


@pytest.fixture(autouse=True)
def _collector_restored() -> Generator[None]:
    """Leave the collector as the test run has set it: enabled, with the collected tests excluded."""
    yield
    gc.enable()
    gc.freeze()


async def test_it_rests_during_a_start_and_excludes_what_that_creates(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        with GarbageCollection([walk.application]):
            assert not gc.isenabled()
            frozen_before = gc.get_freeze_count()
            walk.application.reboot(BootReason.LOCAL_RESET)
            await walk.until(lambda: len(walk.csms.received("BootNotification")) == 2)
            assert gc.isenabled()
            assert gc.get_freeze_count() > 0
            assert gc.get_freeze_count() != frozen_before


async def test_what_an_ended_run_leaves_is_collected_before_the_next(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        with GarbageCollection([walk.application]):
            gc.freeze()  # as after the start of the run that ends
            former_station = weakref.ref(walk.parts.station)
            walk.application.reboot(BootReason.LOCAL_RESET)
            await walk.until(lambda: len(walk.csms.received("BootNotification")) == 2)
            await walk.settle()
            assert former_station() is None


async def test_it_is_enabled_again_if_no_station_starts(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        with GarbageCollection([walk.application]):
            assert not gc.isenabled()
        assert gc.isenabled()
