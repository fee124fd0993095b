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
from tests.station.evse_fixture import EvseFixture, evse_fixture


async def restored_meter(fixture: EvseFixture) -> PlausibleMeter:
    """The meter as the station restores it after a restart."""
    events = SecurityEvents(fixture.database, fixture.clock)
    meters = BillingMeters(FactStore(fixture.database, "meter"), fixture.outbox, events, fixture.clock)
    await meters.load()
    meter = PlausibleMeter(fixture.meter, PlausibilityRules(22_000.0), fixture.clock.monotonic)
    await meters.restore_meter(1, meter)
    return meter


@pytest.mark.parametrize("clock_error", [timedelta(0), timedelta(days=100), timedelta(days=-100)])
async def test_an_exchange_is_remembered_however_wrong_the_clock_was_when_it_was_entered(
    tmp_path: Path, clock_error: timedelta
) -> None:
    """A station without a clock of its own, and off line when its meter is exchanged, has the time of its last run."""
    async with evse_fixture(tmp_path) as fixture:
        await fixture.charge()
        fixture.evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL, id_token=fakes.CARD)
        await fixture.observe(pilot=PilotState.B)
        await fixture.switch_contactor()
        await fixture.clock.advance(20)
        fixture.clock.adjust(-clock_error)
        fixture.meter.reading = fakes.reading(10.0)
        meters = BillingMeters(
            FactStore(fixture.database, "meter"),
            fixture.outbox,
            SecurityEvents(fixture.database, fixture.clock),
            fixture.clock,
        )
        await meters.exchange(fixture.evse, "installer", "it was broken")
        fixture.clock.adjust(clock_error)
        fixture.meter.reading = fakes.reading(12.0)
        assert (await (await restored_meter(fixture)).read()).energy_import_wh == 12.0
        fixture.meter.reading = fakes.reading(9.0)
        with pytest.raises(MeterError, match="backwards"):
            await (await restored_meter(fixture)).read()


async def test_a_register_that_does_not_count_is_remembered_until_it_moves(
    tmp_path: Path,
) -> None:
    async with evse_fixture(tmp_path) as fixture:
        meters = BillingMeters(
            FactStore(fixture.database, "meter"),
            fixture.outbox,
            SecurityEvents(fixture.database, fixture.clock),
            fixture.clock,
        )
        original_meter = fixture.evse.meter
        guard = PlausibleMeter(fixture.meter, PlausibilityRules(22_000.0), fixture.clock.monotonic)
        fixture.evse.meter = MeterPoller("meter", guard, fixture.clock)
        fixture.meter.reading = fakes.reading(1_000.0, 32.0)
        for _ in range(60):
            await fixture.evse.meter.read_now()
            await fixture.clock.advance(1)
        assert fixture.evse.meter.register_stuck
        await meters.check_meter(fixture.evse)
        fixture.meter.reading = fakes.reading(1_000.0)
        with pytest.raises(MeterError, match="remains at 1000 Wh"):
            await (await restored_meter(fixture)).read()

        fixture.meter.reading = fakes.reading(1_000.1)
        await fixture.evse.meter.read_now()
        await meters.check_meter(fixture.evse)
        assert (await (await restored_meter(fixture)).read()).energy_import_wh == 1_000.1
        fixture.evse.meter = original_meter
