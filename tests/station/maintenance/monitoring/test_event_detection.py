"""Which events follow when values change, time passes, the link is lost and the station reboots (N05, N07, N08)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from ocpp_handlers.variables.variable import Component, Variable
from station.maintenance.monitoring.event_detection import SAMPLING_S, SETTLING_S
from station.maintenance.monitoring.monitor import EventNotificationType, EventTrigger
from station.maintenance.monitoring.monitoring_settings import MonitoringSettings
from tests.station.maintenance.monitoring.monitored import (
    ALIGNED,
    AVAILABILITY,
    DELTA,
    HARD_WIRED,
    LEVEL,
    LIVE,
    LOWER,
    PERIODIC,
    POWER,
    PRECONFIGURED,
    SECRET,
    STATE,
    UPPER,
    Environment,
    running,
    values_and_cleared,
)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path)


async def test_an_event_names_its_monitor_variable_value_and_transaction(environment: Environment) -> None:
    """N07.FR.06, N07.FR.16."""
    async with running(environment) as station:
        result = await station.set(POWER, UPPER, 100.0)
        await station.begin_transaction()
        await station.set_values(Power="150.0")
        (event,) = station.waiting()
        assert (event.monitor_id, event.address, event.value) == (result.id, POWER, "150.0")
        assert (event.trigger, event.cleared) == (EventTrigger.ALERTING, False)
        assert (event.transaction_id, event.severity) == ("tx-1", 5)
        assert event.notification_type is EventNotificationType.CUSTOM_MONITOR
        assert event.occurred_at == environment.clock.now()


async def test_a_threshold_that_is_exceeded_when_it_is_set_is_reported_at_once(environment: Environment) -> None:
    """N07.FR.16, N07.FR.17."""
    async with running(environment) as station:
        await station.set(LEVEL, UPPER, 40.0)
        await station.set(LEVEL, LOWER, 60.0)
        assert values_and_cleared(station.waiting()) == [("Level", "50", False), ("Level", "50", False)]


async def test_returning_within_the_threshold_is_reported_as_cleared(environment: Environment) -> None:
    """N07.FR.02"""
    async with running(environment) as station:
        await station.set(LEVEL, UPPER, 60.0)
        for level in ("61", "70", "60", "59", "61"):
            await station.set_values(Level=level)
        assert values_and_cleared(station.delivered()) == [
            ("Level", "61", False),
            ("Level", "60", True),
            ("Level", "61", False),
        ]


async def test_a_short_excursion_between_two_wake_ups_is_not_lost(environment: Environment) -> None:
    """No event is suppressed, however close two changes are."""
    async with running(environment) as station:
        await station.set(LEVEL, UPPER, 60.0)
        for level in ("70", "50", "71", "51"):
            environment.values["Level"] = level
            station.moved.publish(None)  # without giving the detection a turn
        await environment.clock.settle()
        assert [event.value for event in station.waiting()] == ["70", "50", "71", "51"]


async def test_replacing_a_threshold_evaluates_it_again(environment: Environment) -> None:
    """N07.FR.11"""
    async with running(environment) as station:
        first = await station.set(LEVEL, UPPER, 60.0)
        assert first.id is not None
        assert station.waiting() == []
        await station.set(LEVEL, UPPER, 40.0, id=first.id)
        await station.set(LEVEL, UPPER, 70.0, id=first.id)
        assert values_and_cleared(station.delivered()) == [("Level", "50", False), ("Level", "50", True)]


async def test_a_replacement_that_is_not_reported_now_is_reported_later(environment: Environment) -> None:
    """N07.FR.11 while offline, and what is known of it after a reboot."""
    async with running(environment) as station:
        first = await station.set(LEVEL, UPPER, 60.0, 8)
        assert first.id is not None
        await station.go_offline()
        await station.set(LEVEL, UPPER, 40.0, 8, id=first.id)
        assert values_and_cleared(station.events) == [("Level", "50", False)]
        assert station.waiting() == []
        await station.go_online()
        assert values_and_cleared(station.delivered()) == [("Level", "50", False)]
        await station.set(LEVEL, UPPER, 60.0, 8, id=first.id)
        assert values_and_cleared(station.delivered()) == [("Level", "50", True)]
        await station.save_due_events()
    async with running(environment) as station:
        assert station.waiting() == []


async def test_removing_an_exceeded_threshold_sends_no_clear(environment: Environment) -> None:
    """N07.FR.12"""
    async with running(environment) as station:
        first = await station.set(LEVEL, UPPER, 40.0)
        assert first.id is not None
        assert len(station.delivered()) == 1
        await station.monitoring.clear([first.id])
        await station.set_values(Level="30")
        assert station.waiting() == []


async def test_a_change_of_a_write_only_variable_is_reported_without_its_value(environment: Environment) -> None:
    """N07.FR.10"""
    async with running(environment) as station:
        assert (await station.set(SECRET, DELTA, 1.0)).id is not None
        secret = station.model.find(Component("Thing"), "Secret")
        assert isinstance(secret, Variable)
        await station.model.write(secret, "s3cr3t")
        await station.model.write(secret, "s3cr3t2")
        await environment.clock.settle()
        assert [(event.value, event.trigger) for event in station.waiting()] == [("", EventTrigger.DELTA)] * 2
        assert len(station.delivered()) == 2
    async with running(environment) as station:
        assert station.waiting() == []


async def test_a_variable_of_a_live_part_is_sampled_while_it_is_monitored(environment: Environment) -> None:
    async with running(environment) as station:
        first = await station.set(LIVE, DELTA, 1.0)
        assert first.id is not None
        environment.values["Live"] = "9"
        await station.wait(SAMPLING_S)
        assert values_and_cleared(station.delivered()) == [("Live", "9", None)]
        await station.monitoring.clear([first.id])
        assert station.registry.sampled == {}


async def test_a_periodic_monitor_reports_every_interval(environment: Environment) -> None:
    """N08.FR.05, N08.FR.06."""
    async with running(environment) as station:
        await station.wait(3.0)
        first = await station.set(LEVEL, PERIODIC, 60.0)
        began = environment.clock.now()
        for _ in range(3):
            await station.wait(60.0)
        events = station.delivered()
        assert [(event.occurred_at - began).total_seconds() for event in events] == [60.0, 120.0, 180.0]
        assert {(event.trigger, event.monitor_id, event.value, event.cleared) for event in events} == {
            (EventTrigger.PERIODIC, first.id, "50", None)
        }


async def test_a_clock_aligned_monitor_reports_at_whole_intervals_of_the_day(environment: Environment) -> None:
    """N08.FR.07: also after the clock was set."""
    async with running(environment) as station:
        await station.wait(100.0)
        await station.set(LEVEL, ALIGNED, 900.0)
        await station.wait(1_000.0)
        await station.wait(900.0)
        assert [event.occurred_at.strftime("%H:%M:%S") for event in station.delivered()] == ["12:15:00", "12:30:00"]
        environment.clock.adjust(timedelta(minutes=9))
        station.detection.reschedule()
        await station.wait(900.0)
        assert [event.occurred_at.strftime("%H:%M:%S") for event in station.delivered()] == ["12:45:00"]


async def test_a_monitor_of_transactions_sleeps_without_one(environment: Environment) -> None:
    """SetMonitoringDataType.transaction"""
    async with running(environment) as station:
        await station.set(POWER, UPPER, 100.0, transaction=True)
        await station.set(POWER, PERIODIC, 60.0, transaction=True)
        await station.set(LEVEL, UPPER, 40.0, transaction=True)
        await station.set_values(Power="200.0")
        await station.wait(120.0)
        assert station.waiting() == []
        await station.begin_transaction()
        assert [event.address.variable for event in station.delivered()] == ["Power", "Level"]
        await station.wait(60.0)
        (periodic,) = station.delivered()
        assert (periodic.trigger, periodic.transaction_id) == (EventTrigger.PERIODIC, "tx-1")
        await station.end_transaction()
        await station.set_values(Power="0.0")
        await station.wait(60.0)
        assert station.waiting() == []


async def test_only_events_within_the_level_are_reported(environment: Environment) -> None:
    """N05.FR.03, N07.FR.15: the page shows them all."""
    async with running(environment) as station:
        await station.set(LEVEL, UPPER, 60.0, 5)
        await station.set(LEVEL, UPPER, 60.0, 6)
        await station.monitoring.set_level(5)
        await station.set_values(Level="70")
        assert [event.severity for event in station.delivered()] == [5]
        assert [event.severity for event in station.events] == [5, 6]
        await station.set_values(Level="50")
        await station.monitoring.set_level(9)
        await station.set_values(Level="50")
        assert [event.severity for event in station.delivered()] == [5]


async def test_what_the_level_has_hidden_is_reported_once_it_is_allowed_if_it_still_lasts(
    environment: Environment,
) -> None:
    async with running(environment) as station:
        await station.set(LEVEL, UPPER, 60.0, 8)
        await station.monitoring.set_level(5)
        await station.set_values(Level="70")
        assert station.waiting() == []
        await station.monitoring.set_level(8)
        await environment.clock.settle()
        assert values_and_cleared(station.delivered()) == [("Level", "70", False)]
        await station.set_values(Level="50")
        assert values_and_cleared(station.delivered()) == [("Level", "50", True)]
        assert len(station.events) == 2


async def test_offline_events_wait_on_disk_up_to_their_severity(environment: Environment) -> None:
    """N07.FR.04, N08.FR.03: in order, over a reboot; others are not queued."""
    environment.settings.override(MonitoringSettings.offline_queuing_severity, 5)
    async with running(environment) as station:
        await station.set(LEVEL, UPPER, 60.0, 5)
        await station.set(LEVEL, UPPER, 60.0, 6)
        await station.set(LEVEL, PERIODIC, 60.0, 5)
        await station.set(LEVEL, PERIODIC, 60.0, 6)
        await station.go_offline()
        await station.set_values(Level="70")
        await station.wait(60.0)
        await station.set_values(Level="50")
        await station.save_due_events()
    expected = [("Level", "70", False), ("Level", "70", None), ("Level", "50", True)]
    async with running(environment, settled=False) as station:
        assert values_and_cleared(station.waiting()) == expected
        assert {event.severity for event in station.waiting()} == {5}
        await station.go_online()
        assert values_and_cleared(station.delivered()) == expected
        await station.save_due_events()
    async with running(environment) as station:
        assert station.waiting() == []


async def test_monitors_above_the_severity_are_reported_as_they_are_when_the_link_is_back(
    environment: Environment,
) -> None:
    """N07, remark: what was triggered and cleared offline is not reported, what still lasts is (TC_N_23_CS)."""
    environment.settings.override(MonitoringSettings.offline_queuing_severity, 5)
    async with running(environment) as station:
        await station.monitoring.clear([PRECONFIGURED.id])
        await station.set(STATE, DELTA, 1.0, 8)
        await station.set(LEVEL, UPPER, 60.0, 8)
        await station.go_offline()
        await station.set_values(State="Busy", Level="70")
        await station.set_values(State="Idle", Level="50")
        await station.go_online()
        assert station.waiting() == []
        await station.go_offline()
        await station.set_values(State="Busy", Level="70")
        await station.go_online()
        assert values_and_cleared(station.delivered()) == [("State", "Busy", None), ("Level", "70", False)]
        await station.set_values(Level="50")
        assert values_and_cleared(station.delivered()) == [("Level", "50", True)]


async def test_an_event_that_was_not_sent_before_the_link_was_lost_is_not_forgotten(environment: Environment) -> None:
    environment.settings.override(MonitoringSettings.offline_queuing_severity, 5)
    async with running(environment) as station:
        await station.set(LEVEL, UPPER, 60.0, 5)
        await station.set(LEVEL, UPPER, 60.0, 6)
        await station.set_values(Level="70")
        assert len(station.waiting()) == 2
        await station.go_offline()
        assert [event.severity for event in station.waiting()] == [5]
        await station.go_online()
        assert [event.severity for event in station.delivered()] == [5, 6]


async def test_a_threshold_that_is_within_again_after_a_reboot_is_cleared(environment: Environment) -> None:
    """N07.FR.14"""
    async with running(environment) as station:
        await station.set(LEVEL, UPPER, 60.0)
        await station.set_values(Level="70")
        assert values_and_cleared(station.delivered()) == [("Level", "70", False)]
        await station.save_due_events()
    async with running(environment) as station:
        assert station.waiting() == []  # still exceeded: no second event
    environment.values["Level"] = "50"
    async with running(environment) as station:
        assert values_and_cleared(station.delivered()) == [("Level", "50", True)]
        await station.save_due_events()
    async with running(environment) as station:
        assert station.waiting() == []


async def test_an_event_that_a_power_cut_has_lost_is_triggered_again(environment: Environment) -> None:
    async with running(environment) as station:
        await station.set(LEVEL, UPPER, 60.0)
        await station.set_values(Level="70")
        assert len(station.waiting()) == 1  # not answered yet
    async with running(environment) as station:
        assert values_and_cleared(station.waiting()) == [("Level", "70", False)]


async def test_a_change_during_a_reboot_is_reported_by_a_delta_monitor(environment: Environment) -> None:
    """N07.FR.19: since the monitor was set, or its last event."""
    async with running(environment) as station:
        await station.set(STATE, DELTA, 1.0)
    environment.values["State"] = "Busy"
    async with running(environment) as station:
        assert ("State", "Busy", None) in values_and_cleared(station.delivered())


async def test_hard_wired_and_preconfigured_monitors_say_what_they_are(environment: Environment) -> None:
    async with running(environment) as station:
        await station.set_values(Level="95", State="Busy")
        kinds = {event.monitor_id: event.notification_type for event in station.waiting()}
        assert kinds == {
            HARD_WIRED.id: EventNotificationType.HARD_WIRED_MONITOR,
            PRECONFIGURED.id: EventNotificationType.PRECONFIGURED_MONITOR,
        }


async def test_a_fault_is_notified_and_is_the_cause_of_what_it_brings_about(environment: Environment) -> None:
    """G05.FR.02, N07.FR.05: HardWiredNotification with techCode and techInfo."""
    async with running(environment) as station:
        await station.set(AVAILABILITY, DELTA, 1.0)
        await station.begin_transaction()
        await station.set_values(AvailabilityState="Faulted", Problem="true")
        fault, consequence = station.delivered()
        assert (fault.address.component, fault.value, fault.cleared) == ("Lock", "true", False)
        assert fault.notification_type is EventNotificationType.HARD_WIRED_NOTIFICATION
        assert (fault.tech_code, fault.tech_info) == ("lock-failure", "it is stuck")
        assert (fault.monitor_id, fault.transaction_id, fault.cause) == (None, "tx-1", None)
        assert fault.trigger is EventTrigger.DELTA
        assert (consequence.value, consequence.cause) == ("Faulted", fault.id)
        await station.set_values(AvailabilityState="Available", Problem="false")
        cleared, recovered = station.delivered()
        assert (cleared.value, cleared.cleared, cleared.tech_code) == ("false", True, None)
        assert recovered.cause is None
        assert len({event.id for event in station.events}) == 4


async def test_events_are_in_the_order_of_their_changes(environment: Environment) -> None:
    async with running(environment) as station:
        await station.set(AVAILABILITY, DELTA, 1.0)
        for state, problem in (("Faulted", "true"), ("Available", "false"), ("Faulted", "true")):
            environment.values.update(AvailabilityState=state, Problem=problem)
            station.moved.publish(None)
            await station.wait(0.5)
        times = [event.occurred_at for event in station.delivered()]
        assert len(times) == 6
        assert times == sorted(times)


async def test_a_fault_is_notified_though_monitoring_is_disabled_and_monitors_rest(environment: Environment) -> None:
    """MonitoringCtrlr.Enabled; G05.FR.02 does not depend on it."""
    async with running(environment) as station:
        await station.set(LEVEL, UPPER, 60.0)
        await station.set(LEVEL, PERIODIC, 60.0)
        environment.settings.override(MonitoringSettings.monitoring_enabled, False)
        await station.set_values(Level="70", Problem="true")
        await station.wait(60.0)
        assert values_and_cleared(station.delivered()) == [("Problem", "true", False)]
        environment.settings.override(MonitoringSettings.monitoring_enabled, True)
        await environment.clock.settle()
        assert values_and_cleared(station.delivered()) == [("Level", "70", False)]


async def test_another_csms_hears_of_present_faults_and_exceeded_thresholds(environment: Environment) -> None:
    """B10.FR.10"""
    async with running(environment) as station:
        await station.set(LEVEL, UPPER, 60.0)
        await station.set_values(Level="70", Problem="true", State="Busy")
        assert len(station.delivered()) == 3
        await station.go_offline()
        station.detection.forget_reported()
        await station.go_online()
        assert sorted(values_and_cleared(station.delivered()), key=str) == [
            ("Level", "70", False),
            ("Problem", "true", False),
        ]
        assert len(station.events) == 3


async def test_a_station_without_a_csms_publishes_events_and_queues_none(environment: Environment) -> None:
    environment.has_csms = environment.online = False
    async with running(environment) as station:
        await station.set_values(Problem="true", Level="95")
        assert sorted(event.address.variable for event in station.events) == ["Level", "Problem"]
        assert list(station.detection.recent) == station.events
        assert station.waiting() == []


async def test_values_before_boards_and_meters_have_answered_are_no_events(environment: Environment) -> None:
    async with running(environment) as station:
        await station.set(STATE, DELTA, 1.0)
    environment.observed.clear()
    async with running(environment) as station:
        await station.set_values(State="Unavailable")
        await station.set_values(State="Idle")
        environment.observed.set()
        await station.set_values(State="Idle")
        assert station.events == []
        await station.set_values(State="Busy")
        assert len(station.events) == 2


async def test_a_board_that_never_answers_does_not_hold_up_the_others(environment: Environment) -> None:
    environment.observed.clear()
    async with running(environment) as station:
        await station.set_values(Problem="true")
        assert station.events == []
        await station.wait(SETTLING_S)
        assert values_and_cleared(station.events) == [("Problem", "true", False)]


async def test_ids_of_events_are_not_used_again_after_a_reboot(environment: Environment) -> None:
    ids: list[int] = []
    for level in ("70", "50", "70"):
        async with running(environment) as station:
            await station.set(LEVEL, UPPER, 60.0)
            await station.set_values(Level=level)
            await station.set_values(Problem="true")
            await station.set_values(Problem="false")
            ids += [event.id for event in station.events]
    assert len(ids) > 5
    assert sorted(set(ids)) == ids


async def test_replacing_a_slow_periodic_monitor_a_thousand_times_leaves_no_trace(environment: Environment) -> None:
    async with running(environment) as station:
        first = await station.set(LEVEL, PERIODIC, 86_400.0)
        assert first.id is not None
        for _ in range(1_000):
            await station.set(LEVEL, PERIODIC, 86_400.0, id=first.id)
        assert len(vars(station.detection)["_due"]) < 300


async def test_the_event_of_a_replacement_that_a_power_cut_has_lost_is_triggered_again(
    environment: Environment,
) -> None:
    """N07.FR.11: the replacement is on disk before its event, which nobody has received yet."""
    async with running(environment) as station:
        first = await station.set(LEVEL, UPPER, 60.0)
        await station.set(LEVEL, UPPER, 40.0, id=first.id or 0)
        assert values_and_cleared(station.waiting()) == [("Level", "50", False)]
    async with running(environment) as station:
        assert values_and_cleared(station.delivered()) == [("Level", "50", False)]
        await station.save_due_events()
        await station.set(LEVEL, UPPER, 60.0, id=first.id or 0)
        assert values_and_cleared(station.waiting()) == [("Level", "50", True)]
    async with running(environment) as station:
        assert values_and_cleared(station.waiting()) == [("Level", "50", True)]


async def test_changes_keep_their_order_though_the_clock_is_set_back_between_them(environment: Environment) -> None:
    async with running(environment) as station:
        await station.set(LEVEL, UPPER, 60.0)
        for level, correction in (("70", -timedelta(minutes=5)), ("50", timedelta())):  # before they are evaluated
            environment.values["Level"] = level
            station.moved.publish(None)
            environment.clock.adjust(correction)
        await environment.clock.settle()
        assert values_and_cleared(station.delivered()) == [("Level", "70", False), ("Level", "50", True)]


async def test_a_periodic_monitor_reports_once_after_a_pause_and_stays_in_step(environment: Environment) -> None:
    async with running(environment) as station:
        await station.set(LEVEL, PERIODIC, 10.0)
        vars(environment.clock)["_elapsed_s"] += 35.0  # nothing ran meanwhile
        await station.wait(0.0)
        assert len(station.delivered()) == 1
        await station.wait(4.5)
        assert station.delivered() == []
        await station.wait(0.5)
        assert len(station.delivered()) == 1
