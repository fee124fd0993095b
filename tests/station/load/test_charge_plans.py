"""The owner's charge plans: for all EVSEs, and for one."""

from __future__ import annotations

from datetime import time
from pathlib import Path

import pytest

from energy.tariff import ChargePlan, TariffMode
from station.core.setting_groups import SettingGroups
from station.load.charge_plan_settings import ChargePlanSettings
from station.load.charge_plans import ChargePlans
from station.storage.database import Database, StorageError
from station.storage.fact_store import FactStore
from station.storage.settings_table import SettingsTable
from tests import fakes
from tests.databases import open_database

NIGHT = ChargePlan(TariffMode.OFF_PEAK, time(7, 30), 20_000.0)
NO_PEAKS = ChargePlan(TariffMode.AVOID_PEAKS)


async def load_charge_plans(database: Database) -> ChargePlans:
    """The plans of two EVSEs, as after a restart."""
    settings = ChargePlanSettings(SettingsTable(database))
    await SettingGroups((settings,)).load(SettingsTable(database))
    plans = ChargePlans([1, 2], settings, FactStore(database, "charge-plan"))
    await plans.load()
    return plans


async def test_an_evse_has_its_own_plan_or_that_of_all_also_after_a_restart(tmp_path: Path) -> None:
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        plans = await load_charge_plans(database)
        assert plans.of(1) == plans.of(2) == ChargePlan()
        await plans.change(None, NO_PEAKS)
        await plans.change(2, NIGHT)
        for known in (plans, await load_charge_plans(database)):
            assert (known.of(1), known.of(2), known.of_all) == (NO_PEAKS, NIGHT, NO_PEAKS)


async def test_a_plan_for_all_ends_those_of_single_evses(tmp_path: Path) -> None:
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        plans = await load_charge_plans(database)
        await plans.change(2, NIGHT)
        await plans.change(None, NO_PEAKS)
        for known in (plans, await load_charge_plans(database)):
            assert (known.of(1), known.of(2)) == (NO_PEAKS, NO_PEAKS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"mode": "never"}',
        '{"mode": "none", "energy_wh": 1e99}',
        '{"mode": "none", "energy_wh": true}',
        '{"mode": "none", "energy_wh": NaN}',
        '{"mode": "none", "departure": "07:30+02:00"}',
        '{"mode": "none", "departure": "07+02"}',
        '{"mode": "none", "departure": "07:30:15"}',
    ],
)
async def test_a_plan_that_cannot_be_read_does_not_apply_and_is_listed(tmp_path: Path, text: str) -> None:
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        await FactStore(database, "charge-plan").save("1", text)
        plans = await load_charge_plans(database)
        assert plans.of(1) == ChargePlan()
        assert [str(row.address) for row in database.unreadable.all()] == ["facts charge-plan/1"]


async def test_a_plan_for_all_also_ends_those_of_evses_that_are_not_installed_now(tmp_path: Path) -> None:
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        facts = FactStore(database, "charge-plan")
        await (await load_charge_plans(database)).change(2, NIGHT)
        await facts.save("7", '{"mode": "off-peak"}')
        plans = await load_charge_plans(database)
        assert database.unreadable.all() == [], "it is no damaged row"
        await plans.forget_own()
        assert await facts.load() == {}


async def test_a_plan_that_cannot_be_stored_does_not_apply_and_one_that_cannot_be_deleted_is_deleted_later(
    tmp_path: Path,
) -> None:
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        plans = await load_charge_plans(database)
        await plans.change(2, NIGHT)
        await database.rows("PRAGMA query_only=1")
        with pytest.raises(StorageError):
            await plans.change(1, NIGHT)
        with pytest.raises(StorageError):
            await plans.forget_own()
        assert (plans.of(1), plans.of(2)) == (ChargePlan(), NIGHT)
        await database.rows("PRAGMA query_only=0")
        await plans.forget_own()
        assert (await load_charge_plans(database)).of(2) == plans.of(2) == ChargePlan()
