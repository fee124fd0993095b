"""When each EVSE may charge by the tariff, and the energy that its meter has counted of the charge."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from msgspec.structs import replace

from energy.composite import ProfileTarget
from energy.demand import Demand
from energy.grid import GridSample, MeterTariff
from energy.limit import Limit
from energy.tariff import ChargePlan, PriceSignal, TariffMode
from metering.reading import UNKNOWN_PHASES
from station.charging.evse_state import Authorization
from station.core.clock_settings import ClockSettings
from station.core.vehicle_link import ChargingNeeds, EnergyTransferMode
from station.load.charge_plan_settings import ChargePlanSettings
from station.load.charge_plans import ChargePlans
from station.load.tariff_steering import TARIFF_KNOWN_FOR_S, TariffSteering
from station.storage.fact_store import FactStore
from tests import fakes
from tests.station.evse_fixture import PLUGGED, EvseFixture, evse_fixture


def limit_at(fixture: EvseFixture, steering: TariffSteering) -> Limit | None:
    """The limit of a vehicle that is connected and authorized."""
    state = fixture.evse.state
    fixture.evse.state = replace(state, observation=PLUGGED, authorization=Authorization(fakes.CARD))
    demand = Demand(ProfileTarget(1, None, fixture.clock.now()), 3, True, UNKNOWN_PHASES, ())
    return steering.limit(fixture.evse, demand, fixture.clock.now())


async def test_a_charge_that_began_before_its_meter_was_read_is_ready_at_the_departure(tmp_path: Path) -> None:
    """A vehicle that is plugged in while the station starts; its register has counted for years."""
    async with evse_fixture(tmp_path) as fixture:
        plans = ChargePlans([1], ChargePlanSettings(), FactStore(fixture.database, "charge-plan"))
        departure = (fakes.NOON + timedelta(hours=2)).time()
        await plans.change(None, ChargePlan(TariffMode.OFF_PEAK, departure, 3680.0))
        steering = TariffSteering([fixture.evse], plans, ClockSettings(), fixture.clock, has_meter=True)
        steering.process_sample(GridSample(fixture.clock.now(), tariff=MeterTariff(off_peak=False)))
        fixture.evse.meter.latest = None
        early = limit_at(fixture, steering)
        assert early is not None
        fixture.evse.meter.latest = fakes.reading(9_000_000.0)
        waits = limit_at(fixture, steering)
        assert waits is not None
        assert early.next_change == waits.next_change == fakes.NOON + timedelta(minutes=45)
        await fixture.clock.advance(46 * 60)
        steering.process_sample(GridSample(fixture.clock.now(), tariff=MeterTariff(off_peak=False)))
        assert limit_at(fixture, steering) is None


async def test_a_plan_without_energy_takes_what_the_vehicle_requests(tmp_path: Path) -> None:
    async with evse_fixture(tmp_path) as fixture:
        plans = ChargePlans([1], ChargePlanSettings(), FactStore(fixture.database, "charge-plan"))
        await plans.change(None, ChargePlan(TariffMode.OFF_PEAK))
        steering = TariffSteering([fixture.evse], plans, ClockSettings(), fixture.clock, has_meter=True)
        steering.process_sample(GridSample(fixture.clock.now(), tariff=MeterTariff(off_peak=False)))
        fixture.evse.meter.latest = fakes.reading(9_000_000.0)
        without = limit_at(fixture, steering)
        assert without is not None
        assert without.next_change is None, "no cheap hours are known"
        needs = ChargingNeeds(EnergyTransferMode.AC_SINGLE_PHASE, 3680.0, 32.0, 6.0)
        departs_at = fakes.NOON + timedelta(hours=2)
        fixture.evse.vehicle_details.update(needs=needs, departs_at=departs_at)
        waits = limit_at(fixture, steering)
        assert waits is not None
        assert waits.next_change == fakes.NOON + timedelta(minutes=45), "an hour before, and a quarter in reserve"
        await fixture.clock.advance(46 * 60)
        steering.process_sample(GridSample(fixture.clock.now(), tariff=MeterTariff(off_peak=False)))
        assert limit_at(fixture, steering) is None
        fixture.evse.meter.latest = fakes.reading(9_001_840.0)  # half of it: the rest would be ready in time
        assert limit_at(fixture, steering) is not None
        fixture.evse.vehicle_details.update(needs=replace(needs, energy_wh=3_700.0))
        assert limit_at(fixture, steering) is None, "it requests more: what it had charged counts no more"
        await plans.change(None, ChargePlan(TariffMode.OFF_PEAK, departs_at.time(), 100.0))
        assert limit_at(fixture, steering) is not None, "the owner's plan comes first"
        await plans.change(None, ChargePlan(TariffMode.OFF_PEAK))
        fixture.evse.vehicle_details.update(departs_at=departs_at + timedelta(days=2))
        assert limit_at(fixture, steering) is not None, "it leaves on another day"


async def test_it_says_why_a_mode_cannot_wait(tmp_path: Path) -> None:
    async with evse_fixture(tmp_path) as fixture:
        plans = ChargePlans([1], ChargePlanSettings(), FactStore(fixture.database, "charge-plan"))
        await plans.change(None, ChargePlan(TariffMode.OFF_PEAK))
        assert (
            TariffSteering([fixture.evse], plans, ClockSettings(), fixture.clock, has_meter=False).price_signal(
                TariffMode.OFF_PEAK
            )
            is PriceSignal.NO_GRID_METER
        )
        steering = TariffSteering([fixture.evse], plans, ClockSettings(), fixture.clock, has_meter=True)
        signals = [steering.price_signal(TariffMode.OFF_PEAK)]
        for tariff in (None, MeterTariff("TH..", flat=True, contact_closed=False), MeterTariff(off_peak=False)):
            steering.process_sample(GridSample(fixture.clock.now(), tariff=tariff))
            signals.append(steering.price_signal(TariffMode.OFF_PEAK))
            waits = limit_at(fixture, steering)
            assert (waits is None) is (signals[-1] is not PriceSignal.KNOWN)
        await fixture.clock.advance(TARIFF_KNOWN_FOR_S)
        signals.append(steering.price_signal(TariffMode.OFF_PEAK))
        assert signals == [
            PriceSignal.METER_SILENT,
            PriceSignal.NOT_REPORTED,
            PriceSignal.FLAT,
            PriceSignal.KNOWN,
            PriceSignal.METER_SILENT,
        ]
        assert limit_at(fixture, steering) is None


async def test_cheap_hours_that_began_while_the_meter_was_silent_began_at_a_moment_that_nobody_knows(
    tmp_path: Path,
) -> None:
    async with evse_fixture(tmp_path) as fixture:
        plans = ChargePlans([1], ChargePlanSettings(), FactStore(fixture.database, "charge-plan"))
        await plans.change(None, ChargePlan(TariffMode.OFF_PEAK))
        steering = TariffSteering([fixture.evse], plans, ClockSettings(), fixture.clock, has_meter=True)
        changes_at: list[datetime | None] = []
        for silent_s in (10, 3600):
            for off_peak in (False, True, False):
                await fixture.clock.advance(silent_s if off_peak else 10)
                steering.process_sample(GridSample(fixture.clock.now(), tariff=MeterTariff(off_peak=off_peak)))
            waits = limit_at(fixture, steering)
            assert waits is not None
            changes_at.append(waits.next_change)
        assert changes_at == [fakes.NOON + timedelta(days=1)] * 2


async def test_a_vehicle_that_wants_more_than_it_could_ever_charge_begins_at_once(tmp_path: Path) -> None:
    """Its meter has seen half a watt so far: a begin thousands of years ago is no date."""
    async with evse_fixture(tmp_path) as fixture:
        plans = ChargePlans([1], ChargePlanSettings(), FactStore(fixture.database, "charge-plan"))
        await plans.change(None, ChargePlan(TariffMode.OFF_PEAK))
        steering = TariffSteering([fixture.evse], plans, ClockSettings(), fixture.clock, has_meter=True)
        steering.process_sample(GridSample(fixture.clock.now(), tariff=MeterTariff(off_peak=False)))
        assert limit_at(fixture, steering) is not None
        fixture.evse.meter.latest = replace(fakes.reading(9_000_000.0), power_w=0.5)
        fixture.evse.state_changed.publish(None)
        needs = ChargingNeeds(EnergyTransferMode.AC_THREE_PHASE, 10_000_000.0, 32.0, 6.0)
        fixture.evse.vehicle_details.update(needs=needs, departs_at=fakes.NOON + timedelta(hours=2))
        assert limit_at(fixture, steering) is None
