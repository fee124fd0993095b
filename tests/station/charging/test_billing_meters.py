"""Which meter counts at an EVSE: what is believed of it after a power cut."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from metering.meter import MeterError
from metering.plausibility import PlausibilityRules, PlausibleMeter
from station.charging.billing_meters import BillingMeters
from station.charging.meter_polling import MeterPoller
from station.core.model import PilotState, StoppedReason, TriggerReason
from station.security.security_events import SecurityEvents
from station.storage.fact_store import FactStore
from tests import fakes
from tests.station.post import Post, post


async def known(it: Post) -> PlausibleMeter:
    """The meter as the next life of the station knows it."""
    events = SecurityEvents(it.database, it.clock)
    meters = BillingMeters(FactStore(it.database, "meter"), it.outbox, events, it.clock)
    await meters.load()
    meter = PlausibleMeter(it.meter, PlausibilityRules(22_000.0), it.clock.monotonic)
    await meters.restore_meter(1, meter)
    return meter


@pytest.mark.parametrize("late", [timedelta(0), timedelta(days=100), timedelta(days=-100)])
async def test_an_exchange_is_remembered_however_wrong_the_clock_was_when_it_was_told(
    tmp_path: Path, late: timedelta
) -> None:
    """A station without a clock of its own, and off line when its meter is exchanged, has the time of its last life."""
    async with post(tmp_path) as it:
        await it.charge()
        it.evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL, id_token=fakes.CARD)
        await it.see(pilot=PilotState.B)
        await it.obey()
        await it.clock.advance(20)
        it.clock.adjust(-late)
        it.meter.shows = fakes.reading(10.0)
        meters = BillingMeters(
            FactStore(it.database, "meter"), it.outbox, SecurityEvents(it.database, it.clock), it.clock
        )
        await meters.exchange(it.evse, "installer", "it was broken")
        it.clock.adjust(late)
        it.meter.shows = fakes.reading(12.0)
        assert (await (await known(it)).read()).energy_import_wh == 12.0
        it.meter.shows = fakes.reading(9.0)
        with pytest.raises(MeterError, match="backwards"):
            await (await known(it)).read()


async def test_a_register_that_does_not_count_is_remembered_until_it_moves(
    tmp_path: Path,
) -> None:
    async with post(tmp_path) as it:
        meters = BillingMeters(
            FactStore(it.database, "meter"), it.outbox, SecurityEvents(it.database, it.clock), it.clock
        )
        watch = it.evse.meter
        guard = PlausibleMeter(it.meter, PlausibilityRules(22_000.0), it.clock.monotonic)
        it.evse.meter = MeterPoller("meter", guard, it.clock)
        it.meter.shows = fakes.reading(1_000.0, 32.0)
        for _ in range(60):
            await it.evse.meter.read_now()
            await it.clock.advance(1)
        assert it.evse.meter.register_stuck
        await meters.check_meter(it.evse)
        it.meter.shows = fakes.reading(1_000.0)
        with pytest.raises(MeterError, match="remains at 1000 Wh"):
            await (await known(it)).read()

        it.meter.shows = fakes.reading(1_000.1)
        await it.evse.meter.read_now()
        await meters.check_meter(it.evse)
        assert (await (await known(it)).read()).energy_import_wh == 1_000.1
        it.evse.meter = watch
