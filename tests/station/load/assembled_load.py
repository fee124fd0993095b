"""Load management for the EVSEs of a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from energy.controller import LoadController
from energy.grid import GridSource
from energy.profile_store import ProfileStore
from station.charging.evse import Evse
from station.core.clock_settings import ClockSettings
from station.load.applied_decisions import AppliedDecisions
from station.load.charge_plan_settings import ChargePlanSettings
from station.load.charge_plans import ChargePlans
from station.load.charging_profiles import PersistentProfiles
from station.load.decision_loop import DecisionLoop
from station.load.demands import Demands
from station.load.derating import TemperatureRange
from station.load.expected_schedule import ExpectedSchedules
from station.load.grid_meter_reader import GridMeterReader
from station.load.limit_providers import (
    CableLimit,
    LimitProvider,
    RatingLimit,
    RestartDelayLimit,
    TemperatureLimit,
    VentilationLimit,
)
from station.load.load_management import LoadManagement
from station.load.pilot_sequence import PilotSequence
from station.load.priorities import Priorities
from station.load.smart_charging_settings import SmartChargingSettings
from station.load.tariff_steering import TariffSteering
from station.load.transaction_profiles import TransactionProfiles
from station.load.vehicle_arrivals import VehicleArrivals
from station.storage.database import Database
from station.storage.fact_store import FactStore


def assemble(
    controller: LoadController,
    store: ProfileStore,
    evses: Mapping[int, Evse],
    database: Database,
    source: GridSource | None = None,
    *,
    further: Sequence[LimitProvider] = (),
) -> LoadManagement:
    """Load management without stored profiles; `source`: the grid meter; `further`: limits besides the usual ones."""
    clock, settings, every = controller.clock, SmartChargingSettings(), evses.values()
    profiles = PersistentProfiles(store, None, settings, clock)
    priorities = Priorities(dict.fromkeys(evses, 0), FactStore(database, "priority"))
    plans = ChargePlans(evses.keys(), ChargePlanSettings(), FactStore(database, "charge-plan"))
    tariff = TariffSteering(every, plans, ClockSettings(), clock, has_meter=source is not None)
    temperature, delay = TemperatureLimit(every, TemperatureRange(), clock), RestartDelayLimit(clock, 0.0)
    limits = [RatingLimit(clock), CableLimit(), VentilationLimit(), temperature, tariff, delay, *further]
    arrivals = VehicleArrivals(every, clock)
    demands = Demands(evses, clock, profiles=profiles, priorities=priorities, arrivals=arrivals, limits=limits)
    TransactionProfiles(profiles).follow(every)
    applied = AppliedDecisions(evses, PilotSequence(evses, clock))
    decisions = DecisionLoop(controller, evses, demands, applied, tariff, store)
    schedules = ExpectedSchedules(controller, demands, profiles, clock)
    meter = GridMeterReader(source, every, decisions.process_sample)
    return LoadManagement(
        decisions, controller.grid, controller.limits, demands, profiles, schedules, priorities, plans, tariff, meter
    )
