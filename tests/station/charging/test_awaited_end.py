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
from tests.station.charging.signing.test_signing_power_cut import living
from tests.station.post import Post, post

WAIT_S = 60
"""EndRegisterWait as it is usual"""


async def silent_end(it: Post) -> datetime:
    """A charge that its driver ends while the meter is silent; the meter has counted on since it was last heard."""
    await it.charge()
    it.meter.shows = None
    await it.clock.advance(2)
    it.evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL, id_token=fakes.CARD)
    ended_at = it.clock.now()
    await it.see(pilot=PilotState.B)
    await it.obey()
    await it.clock.advance(1)
    return ended_at


async def ends(it: Post) -> list[TransactionEvent]:
    """The ends that are on record."""
    events = [
        event for identity in await fakes.transaction_ids(it.outbox) for event in await it.outbox.events(identity)
    ]
    return [event for event in events if event.event_type is EventType.ENDED]


def last(event: TransactionEvent) -> tuple[float, ReadingContext | None]:
    """The last register that an event tells."""
    sample = event.meter_values[-1].samples[0]
    return sample.value, sample.context


@contextlib.asynccontextmanager
async def started_again(path: Path) -> AsyncGenerator[Post]:
    """The station after a power cut; its meter is still silent."""
    async with post(path) as it:
        it.meter.shows = None
        await end_open_transactions(it.outbox, {1: it.assembly}, it.settings.sampling, it.clock)
        await it.clock.advance(1)
        yield it


def check(event: TransactionEvent, ended_at: datetime) -> None:
    """The end of `silent_end`, with what the meter showed when it was back."""
    assert event.occurred_at == ended_at
    assert (event.trigger, event.stopped_reason) == (TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL)
    assert event.id_token == fakes.CARD
    assert event.register is not None
    assert (event.register.energy_import_wh, event.register.substitute) == (1700.0, False)
    assert last(event) == (1700.0, ReadingContext.TRANSACTION_END)


async def test_the_end_has_the_register_of_a_meter_that_is_back_in_time(tmp_path: Path) -> None:
    async with post(tmp_path) as it:
        ended_at = await silent_end(it)
        await it.clock.advance(WAIT_S - 10)
        assert await ends(it) == []
        it.meter.shows = fakes.reading(1700.0)
        await it.clock.advance(1)
        (event,) = await ends(it)
        check(event, ended_at)


async def test_a_meter_that_stays_silent_makes_an_end_that_says_so(tmp_path: Path) -> None:
    async with post(tmp_path) as it:
        await silent_end(it)
        await it.clock.advance(WAIT_S - 5)
        assert await ends(it) == []
        await it.clock.advance(5)
        (event,) = await ends(it)
        assert event.register == RegisterReading(1000.0, fakes.NOON, it.evse.time_status, substitute=True)
        assert last(event) == (1000.0, ReadingContext.TRANSACTION_END)


async def test_how_long_it_is_waited_for_is_a_setting(tmp_path: Path) -> None:
    async with post(tmp_path) as it:
        it.settings.transactions.override(TransactionSettings.end_register_wait_s, 0)
        await silent_end(it)
        assert len(await ends(it)) == 1


async def test_the_next_charge_begins_after_the_end_that_waits(tmp_path: Path) -> None:
    """Its energy would be counted in the wrong transaction."""
    async with post(tmp_path) as it:
        await silent_end(it)
        await it.see(pilot=PilotState.A, cable_plugged=False)
        await it.see(pilot=PilotState.C, cable_plugged=True)
        it.evse.authorize(Authorization(fakes.CARD), TriggerReason.AUTHORIZED)
        await it.clock.advance(10)
        assert len(await fakes.transaction_ids(it.outbox)) == 1
        assert not it.board.commands[-1].contactor
        it.meter.shows = fakes.reading(1700.0)
        await it.clock.advance(2)
        assert it.board.commands[-1].contactor
        last_id, first_id = await fakes.transaction_ids(it.outbox)
        (end,), begin = await ends(it), (await it.outbox.events(last_id))[0]
        assert end.transaction_id == first_id
        assert end.register is not None
        assert begin.register is not None
        assert (end.register.energy_import_wh, begin.register.energy_import_wh) == (1700.0, 1700.0)


async def test_the_meter_is_not_exchanged_before_the_end_is_on_record(tmp_path: Path) -> None:
    async with post(tmp_path) as it:
        await silent_end(it)
        meters = BillingMeters(
            FactStore(it.database, "meter"), it.outbox, SecurityEvents(it.database, it.clock), it.clock
        )
        with pytest.raises(ExchangeRefusedError, match="waits for a reading of this meter"):
            await meters.exchange(it.evse, "installer", "it is silent")
        await it.clock.advance(WAIT_S)
        await meters.exchange(it.evse, "installer", "it is silent")


@pytest.mark.parametrize("cuts", [1, 2, 3])
async def test_power_cuts_do_not_forget_how_it_ended_nor_end_the_wait(tmp_path: Path, cuts: int) -> None:
    async with post(tmp_path) as it:
        ended_at = await silent_end(it)
    for _ in range(cuts - 1):
        async with started_again(tmp_path) as it:
            await it.clock.advance(WAIT_S - 10)
            assert await ends(it) == []
    async with started_again(tmp_path) as it:
        assert await ends(it) == []
        it.meter.shows = fakes.reading(1700.0)
        await it.clock.advance(2)
        (event,) = await ends(it)
        check(event, ended_at)
        assert event.offline
        assert await it.database.rows("SELECT COUNT(*) FROM awaited_ends") == [(0,)]


async def test_a_meter_that_is_back_at_the_start_ends_it_at_once(tmp_path: Path) -> None:
    async with post(tmp_path) as it:
        ended_at = await silent_end(it)
    async with post(tmp_path) as it:
        it.meter.shows = fakes.reading(1700.0)
        await end_open_transactions(it.outbox, {1: it.assembly}, it.settings.sampling, it.clock)
        (event,) = await ends(it)
        check(event, ended_at)


async def test_after_a_power_cut_too_the_wait_has_an_end(tmp_path: Path) -> None:
    """What was on record last stands for the register, and says so."""
    async with post(tmp_path) as it:
        await silent_end(it)
    async with started_again(tmp_path) as it:
        await it.clock.advance(WAIT_S)
        (event,) = await ends(it)
        assert event.register is not None
        assert (event.register.energy_import_wh, event.register.substitute) == (1000.0, True)
        assert event.stopped_reason is StoppedReason.LOCAL


async def test_a_stop_of_the_program_does_not_wait(tmp_path: Path) -> None:
    """How it ended is on disk: the next start asks the meter again."""
    async with post(tmp_path) as it:
        await it.charge()
        it.meter.shows = None
        await it.clock.advance(1)
        halting = asyncio.create_task(it.evse.halt())
        await it.clock.advance(1)
        await it.see(pilot=PilotState.B)
        await it.obey()
        await it.clock.advance(1)
        assert halting.done()
        assert await ends(it) == []
    async with started_again(tmp_path) as it:
        it.meter.shows = fakes.reading(1700.0)
        await it.clock.advance(2)
        (event,) = await ends(it)
        assert event.stopped_reason is StoppedReason.REBOOT
        assert last(event) == (1700.0, ReadingContext.TRANSACTION_END)


@pytest.mark.parametrize("cut", range(16))
async def test_between_any_two_writes_of_a_signed_charge_with_a_silent_end(
    cut: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever write was the last: one end, with the register that the meter shows when it is back, signed once."""
    async with living(tmp_path, monkeypatch) as (it, disk):
        disk.left = cut
        it.evse.apply_decision(Decision(16.0, ()))
        await it.see(pilot=PilotState.B, cable_plugged=True)
        it.evse.authorize(Authorization(fakes.CARD), TriggerReason.AUTHORIZED)
        await it.clock.advance(1)
        await it.see(pilot=PilotState.C)
        await it.obey()
        await it.clock.advance(5)
        charged = it.board.seen.contactor_closed
        it.meter.shows = None
        await it.clock.advance(2)
        it.evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL, id_token=fakes.CARD)
        await it.see(pilot=PilotState.B)
        await it.obey()
        await it.clock.advance(20)
        complete = disk.left > 0
    for _ in range(2):
        async with living(tmp_path, monkeypatch) as (it, _):
            it.meter.shows = None
            await end_open_transactions(it.outbox, {1: it.assembly}, it.settings.sampling, it.clock)
            await it.clock.advance(10)
            it.meter.shows = fakes.reading(1500.0 if charged else 1000.0)
            await it.clock.advance(10)
            assert await it.outbox.open_transactions() == []
            events = await ends(it)
            assert len(events) == len(await fakes.transaction_ids(it.outbox))
            for event in events:
                assert event.register is not None
                assert (event.register.energy_import_wh, event.register.substitute) == (
                    1500.0 if charged else 1000.0,
                    False,
                )
                records = [ocmf.parse_record(one.text.encode()) for one in await it.records.of(event.transaction_id)]
                reasons = [record.readings[0].reason for record in records]
                assert reasons in ([], ["B", "L"], ["B", "P"])
                assert reasons == ["B", "L"] or not complete
