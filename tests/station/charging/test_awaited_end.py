"""A meter that is silent at the end of a transaction is waited for, also over power cuts, and not for ever."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from datetime import datetime
from pathlib import Path

import pytest

from energy.demand import Decision
from metering import ocmf
from metering.reading import RegisterReading
from station.charging.billing_meters import BillingMeters, ExchangeRefusedError
from station.charging.evse_state import Authorization
from station.charging.recovery import end_open_transactions
from station.charging.transaction_settings import TransactionSettings
from station.core.model import EventType, PilotState, StoppedReason, TransactionEvent, TriggerReason
from station.core.sampling import ReadingContext
from station.security.security_events import SecurityEvents
from station.storage.fact_store import FactStore
from tests import fakes
from tests.station.charging.signing.test_signing_power_cut import evse_on_failing_disk
from tests.station.evse_fixture import EvseFixture, evse_fixture

WAIT_S = 60
"""the default of EndRegisterWait"""


async def silent_end(fixture: EvseFixture) -> datetime:
    """Charge, and stop while the meter is silent; the register has counted on since its last answer."""
    await fixture.charge()
    fixture.meter.reading = None
    await fixture.clock.advance(2)
    fixture.evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL, id_token=fakes.CARD)
    ended_at = fixture.clock.now()
    await fixture.observe(pilot=PilotState.B)
    await fixture.switch_contactor()
    await fixture.clock.advance(1)
    return ended_at


async def ended_events(fixture: EvseFixture) -> list[TransactionEvent]:
    """The Ended events in the outbox."""
    events = [
        event
        for identity in await fakes.transaction_ids(fixture.outbox)
        for event in await fixture.outbox.events(identity)
    ]
    return [event for event in events if event.event_type is EventType.ENDED]


def last_register(event: TransactionEvent) -> tuple[float, ReadingContext | None]:
    """Value and context of the last register reading in an event."""
    sample = event.meter_values[-1].samples[0]
    return sample.value, sample.context


@contextlib.asynccontextmanager
async def restarted(path: Path) -> AsyncGenerator[EvseFixture]:
    """The station restarted after a power cut; its meter is still silent."""
    async with evse_fixture(path) as fixture:
        fixture.meter.reading = None
        await end_open_transactions(fixture.outbox, {1: fixture.assembly}, fixture.settings.sampling, fixture.clock)
        await fixture.clock.advance(1)
        yield fixture


def check_end(event: TransactionEvent, ended_at: datetime) -> None:
    """Check the Ended event of `silent_end`, with the register of the meter's first answer."""
    assert event.occurred_at == ended_at
    assert (event.trigger, event.stopped_reason) == (TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL)
    assert event.id_token == fakes.CARD
    assert event.register is not None
    assert (event.register.energy_import_wh, event.register.substitute) == (1700.0, False)
    assert last_register(event) == (1700.0, ReadingContext.TRANSACTION_END)


async def test_the_end_has_the_register_of_a_meter_that_is_back_in_time(tmp_path: Path) -> None:
    async with evse_fixture(tmp_path) as fixture:
        ended_at = await silent_end(fixture)
        await fixture.clock.advance(WAIT_S - 10)
        assert await ended_events(fixture) == []
        fixture.meter.reading = fakes.reading(1700.0)
        await fixture.clock.advance(1)
        (event,) = await ended_events(fixture)
        check_end(event, ended_at)


async def test_a_meter_that_stays_silent_makes_an_end_that_says_so(tmp_path: Path) -> None:
    async with evse_fixture(tmp_path) as fixture:
        await silent_end(fixture)
        await fixture.clock.advance(WAIT_S - 5)
        assert await ended_events(fixture) == []
        await fixture.clock.advance(5)
        (event,) = await ended_events(fixture)
        assert event.register == RegisterReading(1000.0, fakes.NOON, fixture.evse.time_status, substitute=True)
        assert last_register(event) == (1000.0, ReadingContext.TRANSACTION_END)


async def test_how_long_it_is_waited_for_is_a_setting(tmp_path: Path) -> None:
    async with evse_fixture(tmp_path) as fixture:
        fixture.settings.transactions.override(TransactionSettings.end_register_wait_s, 0)
        await silent_end(fixture)
        assert len(await ended_events(fixture)) == 1


async def test_the_next_charge_begins_after_the_end_that_waits(tmp_path: Path) -> None:
    """Its energy would be counted in the wrong transaction."""
    async with evse_fixture(tmp_path) as fixture:
        await silent_end(fixture)
        await fixture.observe(pilot=PilotState.A, cable_plugged=False)
        await fixture.observe(pilot=PilotState.C, cable_plugged=True)
        fixture.evse.authorize(Authorization(fakes.CARD), TriggerReason.AUTHORIZED)
        await fixture.clock.advance(10)
        assert len(await fakes.transaction_ids(fixture.outbox)) == 1
        assert not fixture.board.commands[-1].contactor
        fixture.meter.reading = fakes.reading(1700.0)
        await fixture.clock.advance(2)
        assert fixture.board.commands[-1].contactor
        last_id, first_id = await fakes.transaction_ids(fixture.outbox)
        (end,), begin = await ended_events(fixture), (await fixture.outbox.events(last_id))[0]
        assert end.transaction_id == first_id
        assert end.register is not None
        assert begin.register is not None
        assert (end.register.energy_import_wh, begin.register.energy_import_wh) == (1700.0, 1700.0)


async def test_the_meter_is_not_exchanged_before_the_end_is_on_record(tmp_path: Path) -> None:
    async with evse_fixture(tmp_path) as fixture:
        await silent_end(fixture)
        meters = BillingMeters(
            FactStore(fixture.database, "meter"),
            fixture.outbox,
            SecurityEvents(fixture.database, fixture.clock),
            fixture.clock,
        )
        with pytest.raises(ExchangeRefusedError, match="waits for a reading of this meter"):
            await meters.exchange(fixture.evse, "installer", "it is silent")
        await fixture.clock.advance(WAIT_S)
        await meters.exchange(fixture.evse, "installer", "it is silent")


@pytest.mark.parametrize("cuts", [1, 2, 3])
async def test_power_cuts_do_not_forget_how_it_ended_nor_end_the_wait(tmp_path: Path, cuts: int) -> None:
    async with evse_fixture(tmp_path) as fixture:
        ended_at = await silent_end(fixture)
    for _ in range(cuts - 1):
        async with restarted(tmp_path) as fixture:
            await fixture.clock.advance(WAIT_S - 10)
            assert await ended_events(fixture) == []
    async with restarted(tmp_path) as fixture:
        assert await ended_events(fixture) == []
        fixture.meter.reading = fakes.reading(1700.0)
        await fixture.clock.advance(2)
        (event,) = await ended_events(fixture)
        check_end(event, ended_at)
        assert event.offline
        assert await fixture.database.rows("SELECT COUNT(*) FROM awaited_ends") == [(0,)]


async def test_a_meter_that_is_back_at_the_start_ends_it_at_once(tmp_path: Path) -> None:
    async with evse_fixture(tmp_path) as fixture:
        ended_at = await silent_end(fixture)
    async with evse_fixture(tmp_path) as fixture:
        fixture.meter.reading = fakes.reading(1700.0)
        await end_open_transactions(fixture.outbox, {1: fixture.assembly}, fixture.settings.sampling, fixture.clock)
        (event,) = await ended_events(fixture)
        check_end(event, ended_at)


async def test_after_a_power_cut_too_the_wait_has_an_end(tmp_path: Path) -> None:
    """The last recorded reading is the register of the end, marked as a substitute."""
    async with evse_fixture(tmp_path) as fixture:
        await silent_end(fixture)
    async with restarted(tmp_path) as fixture:
        await fixture.clock.advance(WAIT_S)
        (event,) = await ended_events(fixture)
        assert event.register is not None
        assert (event.register.energy_import_wh, event.register.substitute) == (1000.0, True)
        assert event.stopped_reason is StoppedReason.LOCAL


async def test_a_stop_of_the_program_does_not_wait(tmp_path: Path) -> None:
    """The awaited end is on disk: the next start reads the meter again."""
    async with evse_fixture(tmp_path) as fixture:
        await fixture.charge()
        fixture.meter.reading = None
        await fixture.clock.advance(1)
        halting = asyncio.create_task(fixture.evse.halt())
        await fixture.clock.advance(1)
        await fixture.observe(pilot=PilotState.B)
        await fixture.switch_contactor()
        await fixture.clock.advance(1)
        assert halting.done()
        assert await ended_events(fixture) == []
    async with restarted(tmp_path) as fixture:
        fixture.meter.reading = fakes.reading(1700.0)
        await fixture.clock.advance(2)
        (event,) = await ended_events(fixture)
        assert event.stopped_reason is StoppedReason.REBOOT
        assert last_register(event) == (1700.0, ReadingContext.TRANSACTION_END)


@pytest.mark.parametrize("cut", range(16))
async def test_between_any_two_writes_of_a_signed_charge_with_a_silent_end(cut: int, tmp_path: Path) -> None:
    """Whichever write was the last: one end, with the register that the meter shows when it is back, signed once."""
    async with evse_on_failing_disk(tmp_path) as (fixture, disk):
        disk.left = cut
        fixture.evse.apply_decision(Decision(16.0, ()))
        await fixture.observe(pilot=PilotState.B, cable_plugged=True)
        fixture.evse.authorize(Authorization(fakes.CARD), TriggerReason.AUTHORIZED)
        await fixture.clock.advance(1)
        await fixture.observe(pilot=PilotState.C)
        await fixture.switch_contactor()
        await fixture.clock.advance(5)
        charged = fixture.board.observation.contactor_closed
        fixture.meter.reading = None
        await fixture.clock.advance(2)
        fixture.evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL, id_token=fakes.CARD)
        await fixture.observe(pilot=PilotState.B)
        await fixture.switch_contactor()
        await fixture.clock.advance(20)
        complete = disk.left > 0
    for _ in range(2):
        async with evse_on_failing_disk(tmp_path) as (fixture, _):
            fixture.meter.reading = None
            await end_open_transactions(fixture.outbox, {1: fixture.assembly}, fixture.settings.sampling, fixture.clock)
            await fixture.clock.advance(10)
            fixture.meter.reading = fakes.reading(1500.0 if charged else 1000.0)
            await fixture.clock.advance(10)
            assert await fixture.outbox.open_transactions() == []
            events = await ended_events(fixture)
            assert len(events) == len(await fakes.transaction_ids(fixture.outbox))
            for event in events:
                assert event.register is not None
                assert (event.register.energy_import_wh, event.register.substitute) == (
                    1500.0 if charged else 1000.0,
                    False,
                )
                records = [
                    ocmf.parse_record(signed.text.encode()) for signed in await fixture.records.of(event.transaction_id)
                ]
                reasons = [record.readings[0].reason for record in records]
                assert reasons in ([], ["B", "L"], ["B", "P"])
                assert reasons == ["B", "L"] or not complete
