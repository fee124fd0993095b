"""When current passes from one EVSE to another, both pilots together never signal more than the shared limit."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from energy.controller import LoadController
from energy.profile_store import ProfileStore, no_selectable_phases
from energy.sharing import TURN_S
from station.charging.evse_state import Authorization
from station.core.evse_layout import EvseLayout
from station.core.hardware.board import Outputs
from station.core.model import PilotState, TriggerReason
from station.load.load_management import LoadManagement
from tests import fakes
from tests.databases import open_database
from tests.station.evse_fixture import EvseFixture
from tests.station.load.assembled_load import assemble

SELECTOR_A = 8.0


class Pair:
    """Two EVSEs behind one selector, and the highest sum that their pilots may have signalled at any moment."""

    def __init__(self, first: EvseFixture, second: EvseFixture, load: LoadManagement) -> None:
        self.fixtures = (first, second)
        self.load = load
        self.most_a = 0.0
        for fixture in self.fixtures:
            fixture.board.command_changed.subscribe(lambda _: self.measure())

    def measure(self) -> None:
        """Update the highest sum; a board that carries out a command may signal its previous or its new current."""
        self.most_a = max(self.most_a, sum(signalled_a(fixture) for fixture in self.fixtures))

    async def advance(self, seconds: int) -> None:
        """Advance the time; contactors follow, and vehicles draw what they are offered."""
        for _ in range(seconds):
            for fixture in self.fixtures:
                if fixture.board.commands[-1].contactor is not fixture.board.observation.contactor_closed:
                    await fixture.switch_contactor()
                offered_a = fixture.board.commands[-1].pilot_a or 0.0
                fixture.meter.reading = fakes.reading(
                    1000.0, offered_a if fixture.board.observation.contactor_closed else 0.0
                )
            await self.fixtures[0].clock.advance(1)

    async def arrive(self, number: int) -> None:
        """A vehicle is plugged in at an EVSE, and its card is presented."""
        fixture = self.fixtures[number - 1]
        await fixture.observe(pilot=PilotState.B, cable_plugged=True)
        fixture.evse.authorize(Authorization(fakes.CARD), TriggerReason.AUTHORIZED)
        await fixture.clock.advance(0)
        await fixture.observe(pilot=PilotState.C)

    async def leave(self, number: int) -> None:
        """The vehicle is unplugged."""
        await self.fixtures[number - 1].observe(pilot=PilotState.A, cable_plugged=False)

    @property
    def charging(self) -> list[bool]:
        """Whether each vehicle is offered current."""
        return [fixture.board.commands[-1].pilot_a is not None for fixture in self.fixtures]


def signalled_a(fixture: EvseFixture) -> float:
    commands: list[Outputs | None] = [fixture.board.commands[-1], fixture.board.in_progress]
    return max(command.pilot_a or 0.0 for command in commands if command is not None)


@contextlib.asynccontextmanager
async def pair(path: Path, takes_s: tuple[float, float]) -> AsyncGenerator[Pair]:
    clock = fakes.clock()
    async with open_database(path / "db", clock) as database:
        fixtures = [EvseFixture(database, clock, EvseLayout(number), None) for number in (1, 2)]
        for fixture, board_takes_s in zip(fixtures, takes_s, strict=True):
            fixture.board.clock, fixture.board.command_duration_s = clock, board_takes_s
        evses = {fixture.evse.id: fixture.evse for fixture in fixtures}
        store = ProfileStore({1: 3, 2: 3}, no_selectable_phases)
        controller = LoadController(clock, store, None, station_limit_a=SELECTOR_A)
        load = assemble(controller, store, evses, database)
        tasks = [asyncio.create_task(work) for work in (load.run(), *(fixture.assembly.run() for fixture in fixtures))]
        try:
            await clock.advance(10)
            yield Pair(fixtures[0], fixtures[1], load)
        finally:
            for task in tasks:
                task.cancel()
            await clock.advance(10)
            await asyncio.wait(tasks)


@pytest.mark.parametrize("takes_s", [(0.0, 0.0), (0.3, 0.0), (0.0, 0.3), (1.2, 0.3), (0.3, 1.2)])
async def test_a_turn_passes_without_both_pilots_above_the_selector_for_an_instant(
    tmp_path: Path, takes_s: tuple[float, float]
) -> None:
    async with pair(tmp_path, takes_s) as both:
        await both.arrive(1)
        await both.advance(20)
        assert both.charging == [True, False]
        await both.arrive(2)
        turns: list[list[bool]] = []
        for _ in range(3):
            await both.advance(round(TURN_S) + 30)
            turns.append(both.charging)
        assert [True, False] in turns
        assert [False, True] in turns
        assert both.most_a == SELECTOR_A


@pytest.mark.parametrize("takes_s", [(0.0, 0.0), (1.2, 0.3)])
async def test_a_vehicle_that_waits_is_served_once_the_other_ones_pilot_is_withdrawn(
    tmp_path: Path, takes_s: tuple[float, float]
) -> None:
    async with pair(tmp_path, takes_s) as both:
        await both.arrive(1)
        await both.arrive(2)
        await both.advance(20)
        assert both.charging == [True, False]
        await both.leave(1)
        await both.advance(20)
        assert both.charging == [False, True]
        await both.arrive(1)
        await both.advance(20)
        assert both.charging == [False, True]
        assert both.most_a == SELECTOR_A


async def test_a_broken_board_keeps_the_other_vehicle_waiting_for_ten_seconds_only(tmp_path: Path) -> None:
    async with pair(tmp_path, (0.0, 0.0)) as both:
        await both.arrive(1)
        await both.arrive(2)
        await both.advance(20)
        both.fixtures[0].board.fails = True
        await both.leave(1)
        await both.advance(5)
        assert not both.charging[1]
        await both.advance(15)
        assert both.charging[1]
