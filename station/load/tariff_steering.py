"""Charging in off-peak hours: the owner's plan, the meter's tariff and the driver's override, as one more limit."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from energy.limit import Limit, LimitSource
from energy.tariff import (
    ChargePlan,
    OffPeakHours,
    PriceSignal,
    TariffMode,
    decide_by_tariff,
    is_charging_time,
    price_signal,
)
from foundation.constants import NOMINAL_VOLTAGE_V
from station.core.local_time import local_time
from station.load.vehicle_arrivals import is_vehicle_authorized

if TYPE_CHECKING:
    from collections.abc import Iterable

    from energy.demand import Demand
    from energy.grid import GridSample, MeterTariff
    from foundation.clock import Clock
    from station.charging.evse import Evse
    from station.core.clock_settings import ClockSettings
    from station.core.vehicle_link import ChargingNeeds
    from station.load.charge_plans import ChargePlans

TARIFF_KNOWN_FOR_S = 900.0
"""maximum age of the prices that the grid meter reported"""
_LONGEST_PLAN = timedelta(days=1)
"""a plan has a time of day: a later departure of a vehicle is none yet"""
_ASSUMED_POWER_W = 16.0 * NOMINAL_VOLTAGE_V
"""one phase of 16 A: the assumed charging power until the vehicle has drawn, to start early enough"""


class TariffSteering:
    """Decides whether an EVSE waits for a lower tariff of the grid meter, by the owner's charge plan.

    It is one of the limits of each EVSE (`LimitProvider`), and follows the EVSEs to know what each charge has used.
    """

    def __init__(
        self,
        evses: Iterable[Evse],
        plans: ChargePlans,
        clock_settings: ClockSettings,
        clock: Clock,
        *,
        has_meter: bool,
    ) -> None:
        """`has_meter`: whether there is a grid meter, which may report prices."""
        self._plans = plans
        self._clock_settings = clock_settings
        self._clock = clock
        self._has_meter = has_meter
        self._sample_at_s: float | None = None
        self._tariff: MeterTariff | None = None
        self._tariff_at_s = clock.monotonic()
        self._off_peak_hours = OffPeakHours()
        self._overridden: set[int] = set()
        self._start_register_wh: dict[int, float] = {}
        """the first register reading of the present charge at each EVSE"""
        self._peak_power_w: dict[int, float] = {}
        """the highest power of the vehicle at each EVSE"""
        self._needs: dict[int, tuple[ChargingNeeds, float]] = {}
        """what the vehicle at each EVSE has requested last, and what it had charged by then, Wh"""
        for evse in evses:
            evse.state_changed.subscribe(partial(self._update_charge, evse))
            evse.meter.reading_taken.subscribe(partial(self._update_charge, evse))

    def process_sample(self, sample: GridSample) -> None:
        """Remember the tariff in a sample of the grid meter, if it reports one, and when off-peak hours begin.

        Decides nothing: see `limit`.
        """
        self._sample_at_s = self._clock.monotonic()
        if sample.tariff is not None:
            if not self._tariff_known:  # changes during the silence have no known time
                self._off_peak_hours = self._off_peak_hours.observe(None, self._local_now)
            self._tariff, self._tariff_at_s = sample.tariff, self._clock.monotonic()
            self._off_peak_hours = self._off_peak_hours.observe(
                is_charging_time(TariffMode.OFF_PEAK, sample.tariff), self._local_now
            )

    def price_signal(self, mode: TariffMode) -> PriceSignal:
        """Return whether the grid meter reports what a mode needs to wait for low prices, or why not.

        If it does not, vehicles charge at once.
        """
        if not self._has_meter:
            return PriceSignal.NO_GRID_METER
        if self._sample_at_s is None or self._clock.monotonic() - self._sample_at_s >= TARIFF_KNOWN_FOR_S:
            return PriceSignal.METER_SILENT
        return price_signal(mode, self._tariff if self._tariff_known else None, self._off_peak_hours)

    def ignore_tariff(self, evse_id: int) -> None:
        """Let an EVSE charge at any tariff until its vehicle leaves or its authorization ends; in memory only.

        Applies with the next decision of load management, which the caller requests.
        """
        self._overridden.add(evse_id)

    def limit(self, evse: Evse, demand: Demand, now: datetime) -> Limit | None:
        """Return 0 A while charging waits for a lower tariff; None: it does not wait."""
        del demand
        plan = self._plans.of(evse.id)
        if not is_vehicle_authorized(evse) or plan.mode is TariffMode.NONE or evse.id in self._overridden:
            return None
        latest = evse.meter.latest
        register_wh = latest.energy_import_wh if latest is not None else None
        # Before the first reading nothing can have been charged.
        charged_wh = register_wh - self._start_register_wh.get(evse.id, register_wh) if register_wh is not None else 0.0
        decision = decide_by_tariff(
            self._with_needs(plan, evse, charged_wh, now),
            self._tariff if self._tariff_known else None,
            self._local_now,
            self._off_peak_hours,
            charged_wh=charged_wh,
            power_w=self._peak_power_w.get(evse.id) or _ASSUMED_POWER_W,
        )
        return None if decision.allowed else Limit(0.0, LimitSource.TARIFF, now, decision.next_change)

    def _with_needs(self, plan: ChargePlan, evse: Evse, charged_wh: float, now: datetime) -> ChargePlan:
        """The plan for the vehicle: if it has no energy, with the energy and departure that the vehicle requests."""
        details = evse.vehicle_details.current
        if plan.energy_wh > 0.0 or details.needs is None or details.departs_at is None:
            return plan
        if details.departs_at - now >= _LONGEST_PLAN:
            return plan
        requested, charged_before_wh = self._needs.get(evse.id, (None, 0.0))
        if requested is not details.needs:
            charged_before_wh = charged_wh
            self._needs[evse.id] = (details.needs, charged_wh)
        departure = local_time(details.departs_at, self._clock_settings).time()
        return ChargePlan(plan.mode, departure, charged_before_wh + details.needs.energy_wh)

    def _update_charge(self, evse: Evse, _: object) -> None:
        """Note what the charge of an EVSE has used; forget it, and `ignore_tariff`, when the vehicle may not charge."""
        if not is_vehicle_authorized(evse):
            self._overridden.discard(evse.id)
            self._start_register_wh.pop(evse.id, None)
            self._peak_power_w.pop(evse.id, None)
            self._needs.pop(evse.id, None)
        elif (latest := evse.meter.latest) is not None:
            if latest.energy_import_wh is not None:
                self._start_register_wh.setdefault(evse.id, latest.energy_import_wh)
            self._peak_power_w[evse.id] = max(self._peak_power_w.get(evse.id, 0.0), latest.power_w or 0.0)

    @property
    def _tariff_known(self) -> bool:
        return self._clock.monotonic() - self._tariff_at_s < TARIFF_KNOWN_FOR_S

    @property
    def _local_now(self) -> datetime:
        return local_time(self._clock.now(), self._clock_settings)
