"""Monitors are set, replaced, cleared and kept; the monitors of the program return with their base (N03 to N06)."""

from __future__ import annotations

from pathlib import Path

import pytest

from station.maintenance.monitoring.monitor import (
    EventNotificationType,
    Monitor,
    MonitoringBase,
    MonitorState,
    VariableAddress,
)
from station.maintenance.monitoring.monitor_request import MonitorRequest, SetMonitorStatus
from station.maintenance.monitoring.variable_monitoring import MAX_MONITORS, ClearMonitorStatus
from tests.station.maintenance.monitoring.monitored import (
    AVAILABILITY,
    DELTA,
    HARD_WIRED,
    LEVEL,
    LOWER,
    NOTIFICATION,
    PERIODIC,
    POWER,
    PRECONFIGURED,
    STATE,
    UPPER,
    Environment,
    Monitored,
    running,
)

ACCEPTED, REJECTED, DUPLICATE = SetMonitorStatus.ACCEPTED, SetMonitorStatus.REJECTED, SetMonitorStatus.DUPLICATE
CUSTOM = EventNotificationType.CUSTOM_MONITOR


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path)


def find(station: Monitored, monitor_id: int | None) -> Monitor | None:
    return next((monitor for monitor in station.monitoring.monitors() if monitor.id == monitor_id), None)


async def test_each_request_has_its_result_and_an_id_that_no_other_monitor_has(environment: Environment) -> None:
    """N04.FR.01, N04.FR.02, N04.FR.03, N04.FR.04, N04.FR.08, N04.FR.11."""
    async with running(environment) as station:
        results = await station.monitoring.set_monitors(
            [
                MonitorRequest(LEVEL, UPPER, 80.0, 5),
                MonitorRequest(VariableAddress("Nowhere", "Level"), UPPER, 80.0, 5),
                MonitorRequest(VariableAddress("Thing", "Nothing"), UPPER, 80.0, 5),
                MonitorRequest(LEVEL, LOWER, 10.0, 5),
            ]
        )
        assert [result.status for result in results] == [
            ACCEPTED,
            SetMonitorStatus.UNKNOWN_COMPONENT,
            SetMonitorStatus.UNKNOWN_VARIABLE,
            ACCEPTED,
        ]
        ids = [monitor.id for monitor in station.monitoring.monitors()]
        assert len(set(ids)) == len(ids)
        first, second = find(station, results[0].id), find(station, results[3].id)
        assert first is not None
        assert second is not None
        assert (first.address, first.type, first.value, first.severity) == (LEVEL, UPPER, 80.0, 5)
        assert first.notification_type is CUSTOM
        assert [results[1].id, results[2].id] == [None, None]


async def test_a_second_monitor_of_the_same_type_and_severity_is_a_duplicate(environment: Environment) -> None:
    """N04.FR.10: also within one message, and of the program's own monitors."""
    async with running(environment) as station:
        same = MonitorRequest(LEVEL, UPPER, 80.0, 5)
        duplicate = MonitorRequest(VariableAddress("tHING", "lEVEL"), UPPER, 70.0, 5)
        results = await station.monitoring.set_monitors([same, duplicate, MonitorRequest(LEVEL, UPPER, 80.0, 6)])
        assert [result.status for result in results] == [ACCEPTED, DUPLICATE, ACCEPTED]
        assert (await station.set(LEVEL, UPPER, 75.0)).status is DUPLICATE
        assert (await station.set(LEVEL, LOWER, 5.0)).status is ACCEPTED
        assert (await station.set(LEVEL, UPPER, 50.0, HARD_WIRED.severity)).status is DUPLICATE
        assert (await station.set(STATE, DELTA, 1.0, PRECONFIGURED.severity)).status is DUPLICATE


async def test_a_monitor_is_replaced_by_its_id_on_its_own_variable_only(environment: Environment) -> None:
    """N04.FR.12, N04.FR.13, N04.FR.16, N04.FR.18, N04.FR.10."""
    async with running(environment) as station:
        first, second = await station.set(LEVEL, UPPER, 80.0), await station.set(LEVEL, UPPER, 80.0, 6)
        assert first.id is not None
        assert second.id is not None
        replaced = await station.set(LEVEL, LOWER, 20.0, 7, id=first.id)
        assert (replaced.status, replaced.id) == (ACCEPTED, first.id)
        now = find(station, first.id)
        assert now is not None
        assert (now.type, now.value, now.severity) == (LOWER, 20.0, 7)
        assert (await station.set(LEVEL, UPPER, 81.0, 6, id=first.id)).status is DUPLICATE
        assert (await station.set(LEVEL, UPPER, 81.0, 6, id=second.id)).status is ACCEPTED
        assert (await station.set(POWER, UPPER, 81.0, 5, id=first.id)).status is REJECTED
        assert (await station.set(LEVEL, UPPER, 81.0, 5, id=999_999)).status is REJECTED
        assert (await station.set(LEVEL, UPPER, 81.0, 5, id=HARD_WIRED.id)).status is REJECTED
        assert (await station.set(NOTIFICATION.address, DELTA, 1.0, 5, id=NOTIFICATION.id)).status is REJECTED
        assert find(station, first.id) == now
        assert find(station, HARD_WIRED.id) == HARD_WIRED


async def test_a_refused_replacement_and_a_refused_value_leave_the_monitor(environment: Environment) -> None:
    """N04.FR.06, N04.FR.14."""
    async with running(environment) as station:
        first = await station.set(LEVEL, UPPER, 80.0)
        assert first.id is not None
        assert (await station.set(LEVEL, UPPER, 101.0, 5, id=first.id)).reason == "ValueOutOfRange"
        assert (await station.set(LEVEL, DELTA, -1.0, 5, id=first.id)).reason == "ValuePositiveOnly"
        now = find(station, first.id)
        assert now is not None
        assert (now.type, now.value) == (UPPER, 80.0)


async def test_monitors_are_cleared_but_not_hard_wired_ones(environment: Environment) -> None:
    """N06.FR.01, N06.FR.02, N06.FR.03, N06.FR.05."""
    async with running(environment) as station:
        first = await station.set(LEVEL, UPPER, 80.0)
        assert first.id is not None
        ids = [first.id, 999_999, HARD_WIRED.id, PRECONFIGURED.id, first.id, NOTIFICATION.id]
        assert await station.monitoring.clear(ids) == [
            ClearMonitorStatus.ACCEPTED,
            ClearMonitorStatus.NOT_FOUND,
            ClearMonitorStatus.REJECTED,
            ClearMonitorStatus.ACCEPTED,
            ClearMonitorStatus.NOT_FOUND,
            ClearMonitorStatus.NOT_FOUND,
        ]
        assert [monitor.id for monitor in station.monitoring.monitors()] == [HARD_WIRED.id]
    async with running(environment) as station:
        assert [monitor.id for monitor in station.monitoring.monitors()] == [HARD_WIRED.id]


async def test_monitors_survive_a_reboot(environment: Environment) -> None:
    """N07.FR.13"""
    async with running(environment) as station:
        await station.set(LEVEL, UPPER, 80.5, 3)
        await station.set(POWER, PERIODIC, 60.0, 4, transaction=True)
        before = station.monitoring.monitors()
    async with running(environment) as station:
        assert station.monitoring.monitors() == before
        third = await station.set(POWER, UPPER, 1.0)
        assert third.id not in {monitor.id for monitor in before}


async def test_a_monitor_of_a_variable_that_an_update_has_removed_is_removed(environment: Environment) -> None:
    """N04, remark."""
    async with running(environment) as station:
        stored = await station.set(LEVEL, UPPER, 80.0)
        old = Monitor(12_345, VariableAddress("Old", "Thing"), UPPER, 1.0, 5)
        await station.store.save_monitors({old: MonitorState()})
    async with running(environment) as station:
        assert find(station, 12_345) is None
        assert find(station, stored.id) is not None


@pytest.mark.parametrize("base", list(MonitoringBase))
async def test_a_base_decides_which_monitors_there_are(environment: Environment, base: MonitoringBase) -> None:
    """N03.FR.01, N03.FR.03, N03.FR.04, N03.FR.05, N04.FR.15; it is kept over a reboot."""
    async with running(environment) as station:
        custom = await station.set(LEVEL, UPPER, 80.0)
        overruled = await station.set(STATE, DELTA, 1.0, 8, id=PRECONFIGURED.id)
        assert overruled.status is ACCEPTED
        now = find(station, PRECONFIGURED.id)
        assert now is not None
        assert (now.severity, now.notification_type) == (8, CUSTOM)
        await station.monitoring.set_base(base)
        left = station.monitoring.monitors()
        expected = {
            MonitoringBase.ALL: [HARD_WIRED, now, find(station, custom.id)],
            MonitoringBase.FACTORY_DEFAULT: [HARD_WIRED, PRECONFIGURED],
            MonitoringBase.HARD_WIRED_ONLY: [HARD_WIRED],
        }
        assert left == expected[base]
    async with running(environment) as station:
        assert station.monitoring.monitors() == left
        assert station.monitoring.base is base


async def test_all_brings_back_a_preconfigured_monitor_that_was_cleared(environment: Environment) -> None:
    """N03.FR.03"""
    async with running(environment) as station:
        custom = await station.set(LEVEL, UPPER, 80.0)
        await station.monitoring.set_base(MonitoringBase.HARD_WIRED_ONLY)
        assert find(station, PRECONFIGURED.id) is None
        assert (await station.set(STATE, DELTA, 1.0, 6, id=PRECONFIGURED.id)).status is REJECTED
        custom = await station.set(LEVEL, UPPER, 80.0)
        await station.monitoring.set_base(MonitoringBase.ALL)
        assert find(station, PRECONFIGURED.id) == PRECONFIGURED
        assert find(station, custom.id) is not None
        await station.set_values(State="Busy")
        assert station.events[-1].monitor_id == PRECONFIGURED.id
        assert station.events[-1].notification_type is EventNotificationType.PRECONFIGURED_MONITOR


async def test_the_level_is_kept_and_out_of_range_refused(environment: Environment) -> None:
    """N05.FR.01, N05.FR.02."""
    async with running(environment) as station:
        assert await station.monitoring.set_level(3)
        assert not await station.monitoring.set_level(10)
        assert not await station.monitoring.set_level(-1)
    async with running(environment) as station:
        assert station.rules.level == 3


async def test_monitors_are_bounded(environment: Environment) -> None:
    """A CSMS cannot fill memory or disk; replacing still works at the bound."""
    async with running(environment) as station:
        await station.monitoring.clear([PRECONFIGURED.id])
        added = 0
        for address, kinds in ((POWER, (UPPER, LOWER, DELTA, PERIODIC)), (AVAILABILITY, (DELTA, PERIODIC))):
            for kind in kinds:
                for severity in range(10):
                    added += (await station.set(address, kind, 100.0, severity)).status is ACCEPTED
        assert station.registry.custom_count == added == 60
        station.registry.custom_count = MAX_MONITORS - 1  # the model has too few variables
        assert (await station.set(STATE, DELTA, 1.0, 1)).status is ACCEPTED
        assert (await station.set(STATE, DELTA, 1.0, 2)).reason == "OutOfMemory"
        existing = station.monitoring.monitors()[-1]
        assert (await station.set(existing.address, existing.type, 50.0, existing.severity, id=existing.id)).id


async def test_only_variables_with_a_monitor_are_observed(environment: Environment) -> None:
    async with running(environment) as station:
        await station.monitoring.set_base(MonitoringBase.HARD_WIRED_ONLY)
        changes: list[str] = []
        station.model.changed.subscribe(lambda change: changes.append(change.variable.name))
        await station.set_values(State="Busy", Power="5.0", Level="51", Problem="true")
        assert sorted(changes) == ["Level", "Problem"]
        first = await station.set(POWER, UPPER, 80.0)
        assert first.id is not None
        await station.set_values(Power="6.0")
        await station.monitoring.clear([first.id])
        await station.set_values(Power="7.0")
        assert changes.count("Power") == 1
