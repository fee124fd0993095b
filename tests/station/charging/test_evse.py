"""One EVSE at work with a board, a meter and a record: what it orders, what it records, what it survives."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from energy.demand import Decision
from foundation.monitored_task import MonitoredTask
from metering.reading import Reading
from station.charging.contactor_count import ContactorCount
from station.charging.evse import EvseBehaviour
from station.charging.evse_state import WIND_DOWN_S, Authorization, offers_energy
from station.charging.transaction_settings import TransactionSettings
from station.core.evse_layout import EvseLayout
from station.core.hardware.board import SAFE_OUTPUTS
from station.core.model import ChargingState, ConnectorStatus, Fault, PilotState, StoppedReason, TriggerReason
from tests import fakes
from tests.databases import open_database
from tests.station.evse_fixture import PLUGGED, EvseFixture, evse_fixture


async def test_a_charge_from_the_card_to_the_end_is_recorded_in_order(tmp_path: Path) -> None:
    async with evse_fixture(tmp_path) as fixture:
        await fixture.charge()
        fixture.meter.reading = fakes.reading(3000.0, 16.0)
        await fixture.clock.advance(60)
        fixture.evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL, id_token=fakes.CARD)
        await fixture.clock.advance(0)
        assert fixture.board.commands[-1].pilot_a is None
        assert fixture.board.commands[-1].contactor, "not under load"
        await fixture.observe(pilot=PilotState.B)
        assert not fixture.board.commands[-1].contactor
        await fixture.switch_contactor()
        assert fixture.types_and_triggers == [
            ("Started", "CablePluggedIn"),
            ("Updated", "Authorized"),
            ("Updated", "ChargingStateChanged"),
            ("Ended", "StopAuthorized"),
        ]
        assert [event.seq_no for event in fixture.recorded] == [0, 1, 2, 3]
        assert fixture.recorded[-1].time_spent_charging_s == 61
        assert fixture.recorded[-1].meter_values[-1].samples[0].value == 3000.0
        assert fixture.evse.transaction_id is None


async def test_no_energy_before_the_start_is_on_disk(tmp_path: Path) -> None:
    async with evse_fixture(tmp_path, behaviour=EvseBehaviour(stop_on_storage_failure=False)) as fixture:
        await fixture.database.rows("PRAGMA query_only=1")
        fixture.evse.apply_decision(Decision(16.0, ()))
        await fixture.observe(pilot=PilotState.B, cable_plugged=True)
        fixture.evse.authorize(Authorization(fakes.CARD), TriggerReason.AUTHORIZED)
        await fixture.observe(pilot=PilotState.C)
        await fixture.clock.advance(60)
        assert all(command.pilot_a is None and not command.contactor for command in fixture.board.commands)
        await fixture.database.rows("PRAGMA query_only=0")
        await fixture.clock.advance(11)
        assert any(command.contactor for command in fixture.board.commands)


@pytest.mark.parametrize("stop", [True, False])
async def test_a_full_disk_stops_the_charge_where_it_is_configured_so(tmp_path: Path, stop: bool) -> None:
    async with evse_fixture(tmp_path, behaviour=EvseBehaviour(stop_on_storage_failure=stop)) as fixture:
        await fixture.charge()
        await fixture.database.rows("PRAGMA query_only=1")
        await fixture.observe(pilot=PilotState.B)
        await fixture.switch_contactor()
        await fixture.clock.advance(1)
        assert (Fault.STORAGE in fixture.evse.state.faults) is stop
        assert (fixture.evse.connector_status is ConnectorStatus.FAULTED) is stop
        await fixture.database.rows("PRAGMA query_only=0")
        await fixture.clock.advance(11)
        assert fixture.evse.state.faults == frozenset()


async def test_a_board_that_does_not_follow_its_outputs_is_commanded_again_until_it_does(tmp_path: Path) -> None:
    async with evse_fixture(tmp_path) as fixture:
        await fixture.charge()
        fixture.board.fails = True
        fixture.evse.apply_decision(Decision(10.0, ()))
        await fixture.clock.advance(5)
        assert Fault.BOARD in fixture.evse.state.faults
        fixture.board.fails = False
        await fixture.clock.advance(2)
        assert Fault.BOARD not in fixture.evse.state.faults
        assert fixture.board.commands[-1].pilot_a == 10.0


async def test_an_authorization_that_nobody_uses_ends_after_the_timeout(tmp_path: Path) -> None:
    """E03.FR.05"""
    async with evse_fixture(tmp_path) as fixture:
        fixture.evse.apply_decision(Decision(16.0, ()))
        fixture.evse.authorize(Authorization(fakes.CARD), TriggerReason.AUTHORIZED)
        await fixture.clock.advance(fixture.settings.transactions.ev_connection_timeout_s - 1)
        assert fixture.evse.authorized_token == fakes.CARD
        await fixture.clock.advance(1)
        assert fixture.evse.authorized_token is None
        assert fixture.types_and_triggers[-1] == ("Ended", "EVConnectTimeout")
        assert fixture.recorded[-1].stopped_reason is StoppedReason.TIMEOUT


async def test_a_contactor_that_does_not_open_is_called_welded_and_the_transaction_ends(tmp_path: Path) -> None:
    async with evse_fixture(tmp_path) as fixture:
        await fixture.charge()
        fixture.evse.end_authorization(TriggerReason.REMOTE_STOP, StoppedReason.REMOTE)
        await fixture.clock.advance(WIND_DOWN_S)
        assert not fixture.board.commands[-1].contactor
        assert fixture.evse.state.faults == frozenset()
        await fixture.clock.advance(10)
        assert fixture.evse.state.faults == {Fault.CONTACTOR_WELDED}
        assert fixture.types_and_triggers[-1] == ("Ended", "RemoteStop")
        assert fixture.evse.connector_status is ConnectorStatus.FAULTED


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault.GROUND_FAULT, StoppedReason.GROUND_FAULT),
        (Fault.DC_RESIDUAL_CURRENT, StoppedReason.GROUND_FAULT),
        (Fault.OVER_CURRENT, StoppedReason.OVERCURRENT_FAULT),
        (Fault.EMERGENCY_STOP, StoppedReason.EMERGENCY_STOP),
        (Fault.RESIDUAL_MONITOR, None),
    ],
)
async def test_an_emergency_opens_the_contactor_at_once_and_some_end_the_transaction(
    tmp_path: Path, fault: Fault, reason: StoppedReason | None
) -> None:
    """E06.FR.16"""
    async with evse_fixture(tmp_path) as fixture:
        await fixture.charge()
        await fixture.observe(faults=frozenset({fault}))
        assert not fixture.board.commands[-1].contactor
        assert fixture.board.commands[-1].pilot_a is None
        await fixture.switch_contactor()
        assert (fixture.recorded[-1].stopped_reason, fixture.evse.transaction_id is None) == (
            reason,
            reason is not None,
        )
        await fixture.observe(faults=frozenset[Fault]())
        assert fixture.board.commands[-1].contactor is (reason is None)


async def test_a_contactor_that_does_not_close_is_called_stuck_until_a_reset(tmp_path: Path) -> None:
    """E06.FR.16: distinguished from one that is welded; the transaction ends."""
    async with evse_fixture(tmp_path) as fixture:
        await fixture.charge()
        await fixture.observe(contactor_closed=False)
        await fixture.clock.advance(2)
        assert fixture.evse.state.faults == frozenset()
        await fixture.clock.advance(2)
        assert fixture.evse.state.faults == {Fault.CONTACTOR_STUCK_OPEN}
        assert not fixture.board.commands[-1].contactor
        assert fixture.recorded[-1].stopped_reason is StoppedReason.OTHER
        fixture.evse.reset()
        assert fixture.evse.state.faults == frozenset()


async def test_a_dc_residual_current_stays_when_its_cause_is_gone_and_after_a_reset(tmp_path: Path) -> None:
    async with evse_fixture(tmp_path) as fixture:
        await fixture.charge()
        await fixture.observe(faults=frozenset({Fault.DC_RESIDUAL_CURRENT}))
        await fixture.switch_contactor()
        await fixture.observe(faults=frozenset[Fault]())
        fixture.evse.reset()
        assert fixture.evse.state.faults == {Fault.DC_RESIDUAL_CURRENT}
        assert fixture.evse.connector_status is ConnectorStatus.FAULTED


async def test_the_operations_of_a_contactor_are_counted_and_those_under_load(tmp_path: Path) -> None:
    async with evse_fixture(tmp_path) as fixture:
        await fixture.charge()
        fixture.meter.reading = fakes.reading(1000.0, 16.0)
        await fixture.clock.advance(2)
        await fixture.observe(faults=frozenset({Fault.EMERGENCY_STOP}))
        await fixture.switch_contactor()
        assert fixture.evse.contactor == ContactorCount(closed=1, opened_under_load=1)


async def test_the_energy_that_a_refused_id_may_still_have_is_counted_by_the_register(tmp_path: Path) -> None:
    """E05.FR.03"""
    async with evse_fixture(tmp_path) as fixture:
        await fixture.charge()
        fixture.evse.refuse_energy(beyond_wh=500.0)
        for register_wh, flows in ((1499.0, True), (1500.0, False)):
            fixture.meter.reading = fakes.reading(register_wh, 16.0)
            await fixture.clock.advance(1)
            assert (fixture.board.commands[-1].pilot_a is not None) is flows
        assert fixture.evse.transaction_id is not None


async def test_a_refused_id_without_grace_has_no_energy_at_once(tmp_path: Path) -> None:
    """E05.FR.02"""
    async with evse_fixture(tmp_path) as fixture:
        await fixture.charge()
        fixture.evse.refuse_energy(beyond_wh=0.0)
        await fixture.clock.advance(0)
        assert fixture.board.commands[-1].pilot_a is None


async def test_the_offer_never_passes_the_rating_of_the_evse(tmp_path: Path) -> None:
    async with evse_fixture(tmp_path, EvseLayout(1, max_current_a=16.0)) as fixture:
        await fixture.charge(current_a=32.0)
        assert {command.pilot_a for command in fixture.board.commands} == {None, 16.0}


async def test_a_halt_ends_the_transaction_on_disk_before_it_returns(tmp_path: Path) -> None:
    async with evse_fixture(tmp_path) as fixture:
        await fixture.charge()
        halting = asyncio.create_task(fixture.evse.halt())
        await fixture.clock.advance(2)
        assert not fixture.board.commands[-1].contactor
        await fixture.switch_contactor()
        await fixture.clock.advance(1)
        assert halting.done()
        assert fixture.types_and_triggers[-1] == ("Ended", "AbnormalCondition")
        assert fixture.recorded[-1].stopped_reason is StoppedReason.REBOOT


async def test_a_meter_that_is_lost_stops_the_energy_until_it_is_back(tmp_path: Path) -> None:
    """No energy that nobody counts."""
    async with evse_fixture(tmp_path) as fixture:
        await fixture.charge()
        fixture.meter.reading = None
        await fixture.until_open(within_s=18)
        assert Fault.METER in fixture.evse.state.faults
        await fixture.switch_contactor()
        fixture.meter.reading = fakes.reading(1000.0)
        await fixture.clock.advance(1)
        assert fixture.board.commands[-1].contactor


async def test_a_blind_board_keeps_the_contactor_open_until_it_sees_again(tmp_path: Path) -> None:
    async with evse_fixture(tmp_path) as fixture:
        await fixture.charge()
        fixture.evse.report_fault(Fault.BOARD_SILENT, True)
        await fixture.clock.advance(30)
        orders = [command.contactor for command in fixture.board.commands]
        assert orders[orders.index(True) :].count(True) == 1, "closed again without seeing anything"
        assert not orders[-1]


async def test_a_pilot_at_minus_12_v_that_nobody_ordered_opens_the_contactor_and_is_a_fault(tmp_path: Path) -> None:
    """The stage that makes the pilot is dead. No −12 V is ordered then: behind those nobody would see it return."""
    async with evse_fixture(tmp_path) as fixture:
        await fixture.charge()
        await fixture.observe(pilot=PilotState.F)
        assert not fixture.board.commands[-1].contactor
        await fixture.switch_contactor()
        await fixture.clock.advance(2)
        assert fixture.evse.state.faults == {Fault.PILOT}
        assert not fixture.board.commands[-1].pilot_fault
        await fixture.observe(pilot=PilotState.C)
        assert fixture.evse.state.faults == frozenset()
        assert fixture.board.commands[-1].contactor
        assert fixture.evse.state.transaction is not None


async def test_minus_12_v_that_were_ordered_are_no_fault_until_the_board_had_time_to_end_them(tmp_path: Path) -> None:
    async with evse_fixture(tmp_path) as fixture:
        await fixture.charge()
        fixture.evse.report_fault(Fault.GROUND_FAULT, True)
        await fixture.clock.advance(0)
        await fixture.observe(pilot=PilotState.F, contactor_closed=False)
        await fixture.clock.advance(60)
        assert fixture.evse.state.faults == {Fault.GROUND_FAULT}
        fixture.evse.report_fault(Fault.GROUND_FAULT, False)
        await fixture.clock.advance(1.9)
        assert fixture.evse.state.faults == frozenset()
        assert not fixture.board.commands[-1].contactor, "nobody has seen the vehicle yet"
        await fixture.clock.advance(0.2)
        assert fixture.evse.state.faults == {Fault.PILOT}


async def test_a_contactor_that_is_closed_without_an_order_is_welded_in_a_transaction_or_not(tmp_path: Path) -> None:
    async with evse_fixture(tmp_path) as fixture:
        await fixture.observe(contactor_closed=True)
        await fixture.clock.advance(5)
        assert fixture.evse.state.faults == {Fault.CONTACTOR_WELDED}
        assert fixture.evse.connector_status is ConnectorStatus.FAULTED


async def test_a_contactor_that_is_welded_at_the_start_is_found_before_anybody_may_close_it(
    tmp_path: Path,
) -> None:
    async with evse_fixture(tmp_path) as fixture:
        await fixture.observe(contactor_closed=True)
        await fixture.assembly.driver.make_safe(within_s=0.02)
        assert fixture.evse.state.faults == {Fault.CONTACTOR_WELDED}
        fixture.evse.authorize(Authorization(fakes.CARD), TriggerReason.AUTHORIZED)
        fixture.evse.apply_decision(Decision(16.0, ()))
        await fixture.observe(pilot=PilotState.C, cable_plugged=True)
        await fixture.clock.advance(10)
        assert not any(order.contactor or order.pilot_a for order in fixture.board.commands)


async def test_a_vehicle_that_draws_more_than_offered_is_cut_off_until_it_leaves(tmp_path: Path) -> None:
    """IEC 61851-1: a vehicle follows the pilot within 5 s."""
    async with evse_fixture(tmp_path) as fixture:
        await fixture.charge(16.0)
        fixture.meter.reading = fakes.reading(1100.0, 30.0)
        await fixture.clock.advance(9)
        assert fixture.board.commands[-1].contactor
        await fixture.until_open(within_s=5)
        await fixture.switch_contactor()
        assert fixture.evse.state.faults == {Fault.OVER_CURRENT}
        assert fixture.recorded[-1].stopped_reason is StoppedReason.OVERCURRENT_FAULT
        await fixture.observe(pilot=PilotState.A, cable_plugged=False)
        assert fixture.evse.state.faults == frozenset()


@pytest.mark.parametrize("follows", [True, False])
async def test_an_offer_that_falls_again_and_again_makes_no_fault_of_a_vehicle_that_takes_its_5_s(
    tmp_path: Path, follows: bool
) -> None:
    """IEC 61851-1; one load of the house comes after the other, or its meter is silent."""
    async with evse_fixture(tmp_path) as fixture:
        await fixture.charge(32.0)
        offered = [32.0] * 6
        for second in range(24):
            offered.append(max(6.0, 31.0 - second))
            fixture.evse.apply_decision(Decision(offered[-1], ()))
            fixture.meter.reading = fakes.reading(1100.0, offered[-6] if follows else 32.0)
            await fixture.clock.advance(1)
        assert (Fault.OVER_CURRENT in fixture.evse.state.faults) is not follows


async def test_a_vehicle_that_does_not_follow_one_step_is_cut_off_as_soon_as_ever(tmp_path: Path) -> None:
    async with evse_fixture(tmp_path) as fixture:
        await fixture.charge(32.0)
        fixture.evse.apply_decision(Decision(16.0, ()))
        fixture.meter.reading = fakes.reading(1100.0, 32.0)
        await fixture.clock.advance(9)
        assert fixture.board.commands[-1].contactor
        await fixture.until_open(within_s=3)


async def test_a_vehicle_without_a_diode_gets_nothing_until_it_leaves(tmp_path: Path) -> None:
    """The diode shows only while the pilot waves: an end of that is no mend, and closing again would never end."""
    async with evse_fixture(tmp_path) as fixture:
        await fixture.charge()
        closed = len(fixture.board.commands)
        await fixture.observe(faults=frozenset({Fault.DIODE}))
        await fixture.switch_contactor()
        await fixture.observe(faults=frozenset[Fault]())
        await fixture.clock.advance(60)
        assert fixture.evse.state.faults == {Fault.DIODE}
        assert fixture.evse.connector_status is ConnectorStatus.FAULTED
        since = fixture.board.commands[closed:]
        assert not any(order.contactor or order.pilot_a for order in since)
        assert not any(order.pilot_fault for order in since), "behind −12 V nobody sees an attached cable leave"
        await fixture.observe(pilot=PilotState.A, cable_plugged=False)
        assert fixture.evse.state.faults == frozenset()


async def test_the_watchdog_knows_of_a_look_at_the_board(tmp_path: Path) -> None:
    async with evse_fixture(tmp_path) as fixture:
        fixture.board.observation_task = MonitoredTask("a look", fixture.clock, 10.0)
        with fixture.board.observation_task:
            await fixture.clock.advance(11)
            assert [task.name for task in fixture.assembly.monitored_tasks if task.overdue] == ["a look"]


async def test_a_thin_cable_limits_the_offer_at_once(tmp_path: Path) -> None:
    async with evse_fixture(tmp_path) as fixture:
        fixture.evse.apply_decision(Decision(32.0, ()))
        await fixture.observe(pilot=PilotState.B, cable_plugged=True, cable_max_a=13.0)
        fixture.evse.authorize(Authorization(fakes.CARD), TriggerReason.AUTHORIZED)
        await fixture.clock.advance(1)
        assert fixture.board.commands[-1].pilot_a == 13.0


async def test_a_second_card_with_the_cable_still_in_begins_a_transaction_of_its_own(tmp_path: Path) -> None:
    """E01.FR.02: nothing is given without a record."""
    async with evse_fixture(tmp_path) as fixture:
        fixture.settings.transactions.override(TransactionSettings.tx_start_points, ("EVConnected",))
        await fixture.charge()
        fixture.evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL)
        await fixture.until_open(within_s=8)
        await fixture.switch_contactor()
        assert fixture.types_and_triggers[-1] == ("Ended", "StopAuthorized")
        fixture.evse.authorize(Authorization(fakes.CARD), TriggerReason.AUTHORIZED)
        await fixture.clock.advance(1)
        assert fixture.types_and_triggers[-1] == ("Started", "Authorized")
        assert fixture.recorded[-1].transaction_id != fixture.recorded[0].transaction_id


async def test_before_the_meter_was_read_there_is_no_energy(tmp_path: Path) -> None:
    async with evse_fixture(tmp_path) as fixture:
        unread = replace(fixture.evse.state, metered=False)
        assert fixture.evse.state.metered
        assert not offers_energy(
            replace(unread, offered_a=16.0, observation=PLUGGED, authorization=Authorization(fakes.CARD))
        )


async def test_a_lock_that_does_not_close_is_broken_and_no_charge_starts(tmp_path: Path) -> None:
    """G05.FR.01: the station finds out itself; once the lock follows, all is well."""
    async with evse_fixture(tmp_path) as fixture:
        fixture.board.lock_follows = False
        fixture.evse.apply_decision(Decision(16.0, ()))
        await fixture.observe(pilot=PilotState.B, cable_plugged=True)
        fixture.evse.authorize(Authorization(fakes.CARD), TriggerReason.AUTHORIZED)
        await fixture.observe(pilot=PilotState.C)
        await fixture.clock.advance(2)
        assert fixture.board.commands[-1].lock
        assert fixture.evse.state.charging_state is ChargingState.EV_CONNECTED
        assert Fault.LOCK not in fixture.evse.state.faults
        await fixture.clock.advance(2)
        assert Fault.LOCK in fixture.evse.state.faults
        assert fixture.evse.state.charging_state is ChargingState.SUSPENDED_EVSE
        assert not any(command.contactor or command.pilot_a for command in fixture.board.commands)
        await fixture.observe(locked=True)
        assert Fault.LOCK not in fixture.evse.state.faults
        assert fixture.board.commands[-1].contactor


async def test_to_unlock_is_ordered_again_although_the_lock_seems_open(tmp_path: Path) -> None:
    """F05.FR.06: the order goes out without a cable, too, and its result is reported."""
    async with evse_fixture(tmp_path) as fixture:
        before = len(fixture.board.commands)
        assert await fixture.evse.unlock()
        await fixture.clock.advance(0)
        assert len(fixture.board.commands) == before + 1
        assert not fixture.board.commands[-1].lock
        await fixture.observe(faults=frozenset({Fault.LOCK}))
        assert not await fixture.evse.unlock()


async def test_an_unlock_is_reported_within_a_transaction_that_nobody_is_authorized_for(tmp_path: Path) -> None:
    """E02.FR.17, F05.FR.04"""
    async with evse_fixture(tmp_path) as fixture:
        await fixture.observe(pilot=PilotState.B, cable_plugged=True)
        await fixture.clock.advance(0)
        assert await fixture.evse.unlock()
        await fixture.clock.advance(0)
        assert fixture.types_and_triggers == [("Started", "CablePluggedIn"), ("Updated", "UnlockCommand")]


async def test_a_listener_that_fails_ends_the_evse_with_its_contactor_open(tmp_path: Path) -> None:
    """Whoever listens to its meter: the error is not lost, and no energy flows past it."""

    def fail(_: Reading) -> None:
        raise LookupError("a listener")

    clock = fakes.clock()
    async with open_database(tmp_path / "db", clock) as database:
        fixture = EvseFixture(database, clock, EvseLayout(1), None)
        running = asyncio.create_task(fixture.assembly.run())
        await clock.advance(0)
        await fixture.charge()
        assert fixture.board.commands[-1].contactor
        fixture.evse.meter.reading_taken.subscribe(fail)
        await clock.advance(2)
        (finished,), _ = await asyncio.wait({running}, timeout=10)
        assert isinstance(finished.exception(), ExceptionGroup)
        assert fixture.board.commands[-1] == SAFE_OUTPUTS
