"""The parts of load management, by name, for those that need several of them."""

from __future__ import annotations

from energy.grid_view import GridView
from energy.station_limits import StationLimits
from foundation.frozen import Frozen
from foundation.supervision import run_together
from station.load.charge_plans import ChargePlans
from station.load.charging_profiles import PersistentProfiles
from station.load.decision_loop import DecisionLoop
from station.load.demands import Demands
from station.load.expected_schedule import ExpectedSchedules
from station.load.grid_meter_reader import GridMeterReader
from station.load.priorities import Priorities
from station.load.tariff_steering import TariffSteering


class LoadManagement(Frozen):
    """Load management of a station: what is known of the grid, what limits the EVSEs, and the loop that decides."""

    decisions: DecisionLoop
    grid: GridView
    """what is known of the grid connection"""
    limits: StationLimits
    """the limits for all EVSEs together"""
    demands: Demands
    """what each EVSE demands"""
    profiles: PersistentProfiles
    """the charging profiles"""
    schedules: ExpectedSchedules
    """composite schedules"""
    priorities: Priorities
    """of the EVSEs, when power is short"""
    plans: ChargePlans
    """the owner's charge plans"""
    tariff: TariffSteering
    """charging in off-peak hours"""
    meter: GridMeterReader
    """reads the grid meter"""

    async def run(self) -> None:
        """Run until cancelled: decide, pass the samples of the grid meter on, and save charging profiles.

        Does not connect to the grid meter: `GridMeterReader.follow` is auxiliary.
        """
        await run_together(
            {"limits": self.decisions.run(), "grid-samples": self.meter.run(), "profiles": self.profiles.run()}
        )
