"""A month of a station with all disturbances, and which errors the soak test notices."""

from __future__ import annotations

from pathlib import Path

import pytest

from borne.life.checking_csms import CheckingCsms, ReceivedTransaction
from borne.life.invariants import InvariantError
from borne.life.life_plan import LifeFailedError, LifePlan
from borne.life.life_run import LifeRun
from borne.life.played_days import play_days, started_life

SHORT_H = 1.0
"""length of a day of these tests: it has all the events of a day, but less time without any"""


def checking(run: LifeRun) -> CheckingCsms:
    """The CSMS of a run without another one."""
    assert isinstance(run.csms, CheckingCsms)
    return run.csms


async def test_thirty_days_pass_and_each_bill_equals_the_register(tmp_path: Path) -> None:
    days: list[int] = []
    figures = await play_days(LifePlan(days=30, seed=1, day_hours=SHORT_H), tmp_path, days.append)
    assert days == list(range(1, 31))
    assert figures.transactions is not None
    assert figures.transactions >= 20
    assert figures.billed_wh > 10_000.0
    assert figures.unbilled <= 3


async def test_two_days_with_a_linky_pass(tmp_path: Path) -> None:
    figures = await play_days(LifePlan(days=2, seed=2, linky=True, day_hours=SHORT_H), tmp_path, lambda _: None)
    assert figures.transactions


async def test_a_wrong_bill_is_noticed_on_its_day(tmp_path: Path) -> None:
    async with started_life(LifePlan(days=2, day_hours=SHORT_H), tmp_path) as run:
        await run.play_day(1)
        checking(run).billed_wh += 1.0
        with pytest.raises(InvariantError, match="are billed"):
            await run.play_day(2)


async def test_a_wrong_bill_is_noticed_after_a_transaction_without_a_register_too(tmp_path: Path) -> None:
    async with started_life(LifePlan(days=3, day_hours=SHORT_H), tmp_path) as run:
        await run.play_day(1)
        checking(run).unbilled += 1
        checking(run).billed_wh -= 1000.0
        await run.play_day(2)
        checking(run).billed_wh += 1.0
        with pytest.raises(InvariantError, match="are billed"):
            await run.play_day(3)


async def test_a_contactor_that_stays_closed_is_noticed(tmp_path: Path) -> None:
    async with started_life(LifePlan(days=1, day_hours=SHORT_H), tmp_path) as run:
        run.world.boards[1].welded = True
        with pytest.raises(InvariantError, match="the contactor is closed"):
            await run.play_day(1)


def test_a_failure_says_how_to_repeat_the_shortest_prefix() -> None:
    error = LifeFailedError(LifePlan(days=300, seed=7, linky=True), 12, "a reason")
    assert str(error).endswith("borne life --days 12 --seed 7 --linky")


@pytest.mark.parametrize(
    ("registers", "last", "message"),
    [
        ({0: [1.0], 2: [3.0]}, 2, "gaps"),
        ({0: [1.0], 1: [3.0], 2: [2.0]}, 2, "backwards"),
    ],
)
def test_a_gap_and_a_register_that_falls_are_noticed(
    registers: dict[int, list[float]], last: int, message: str
) -> None:
    with pytest.raises(InvariantError, match=message):
        ReceivedTransaction(registers, last).billed_wh()
