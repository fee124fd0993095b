"""Charging in off-peak hours: the owner's plan, the meter's tariff and the driver's override, as one more limit."""

from __future__ import annotations

from datetime import datetime, time
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

if TYPE_CHECKING:
    from energy.grid import GridSample, MeterTariff
    from foundation.clock import Clock
    from station.charging.evse import Evse
    from station.core.clock_settings import ClockSettings
    from station.load.smart_charging_settings import SmartChargingSettings

TARIFF_KNOWN_FOR_S = 900.0
"""maximum age of the prices that the grid meter reported"""
_UNKNOWN_W = 16.0 * NOMINAL_VOLTAGE_V
"""one phase of 16 A: the assumed charging power until the vehicle has drawn, to start early enough"""


class TariffSteering:
    """Decides whether an EVSE waits for a lower tariff of the grid meter, by the owner's charge plan of the station.

    Load management applies its `tariff_limit`.
    """

    def __init__(
        self, settings: SmartChargingSettings, clock_settings: ClockSettings, clock: Clock, *, has_meter: bool
    ) -> None:
        """`has_meter`: whether there is a grid meter, which may report prices."""
        self._settings = settings
        self._clock_settings = clock_settings
        self._clock = clock
        self._has_meter = has_meter
        self._sample_s: float | None = None
        self._tariff: MeterTariff | None = None
        self._tariff_s = clock.monotonic()
        self._hours = OffPeakHours()
        self._overridden: set[int] = set()
        self._since: dict[int, datetime] = {}
        self._began_wh: dict[int, float] = {}
        self._drawn_w: dict[int, float] = {}
        """the highest power of the vehicle at each EVSE"""

    @property
    def plan(self) -> ChargePlan:
        """The owner's charge plan for all EVSEs, from the settings; its departure is local time."""
        departure = self._settings.tariff_departure
        return ChargePlan(
            TariffMode(self._settings.tariff_mode),
            time.fromisoformat(departure) if departure else None,
            float(self._settings.tariff_energy_wh),
        )

    def process_sample(self, sample: GridSample) -> None:
        """Remember the tariff in a sample of the grid meter, if it reports one, and when off-peak hours begin.

        Decides nothing: see `tariff_limit`.
        """
        self._sample_s = self._clock.monotonic()
        if sample.tariff is not None:
            if not self._known:  # changes during the silence have no known time
                self._hours = self._hours.observe(None, self._local)
            self._tariff, self._tariff_s = sample.tariff, self._clock.monotonic()
            self._hours = self._hours.observe(is_charging_time(TariffMode.OFF_PEAK, sample.tariff), self._local)

    def price_signal(self, mode: TariffMode) -> PriceSignal:
        """Return whether the grid meter reports what a mode needs to wait for low prices, or why not.

        If it does not, vehicles charge at once.
        """
        if not self._has_meter:
            return PriceSignal.NO_GRID_METER
        if self._sample_s is None or self._clock.monotonic() - self._sample_s >= TARIFF_KNOWN_FOR_S:
            return PriceSignal.METER_SILENT
        return price_signal(mode, self._tariff if self._known else None, self._hours)

    def ignore_tariff(self, evse_id: int) -> None:
        """Let an EVSE charge at any tariff until its vehicle leaves or its authorization ends; in memory only.

        Applies with the next decision of load management, which the caller requests.
        """
        self._overridden.add(evse_id)

    def tariff_limit(self, evse: Evse, *, wants: bool) -> Limit | None:
        """The limit of an EVSE: 0 A while charging waits for a lower tariff, else None.

        `wants`: a vehicle is connected and authorized. If not, what was recorded about its charge is discarded,
        including `ignore_tariff`. Called at each decision of load management.
        """
        if not wants:
            self._overridden.discard(evse.id)
            self._since.pop(evse.id, None)
            self._began_wh.pop(evse.id, None)
            self._drawn_w.pop(evse.id, None)
            return None
        plan = self.plan
        if plan.mode is TariffMode.NONE or evse.id in self._overridden:
            self._since.pop(evse.id, None)
            return None
        latest = evse.meter.latest
        register_wh = latest.energy_import_wh if latest is not None else None
        # Before the first reading nothing can have been charged.
        charged_wh = register_wh - self._began_wh.setdefault(evse.id, register_wh) if register_wh is not None else 0.0
        drawn_w = (latest.power_w if latest is not None else None) or 0.0
        self._drawn_w[evse.id] = max(self._drawn_w.get(evse.id, 0.0), drawn_w)
        verdict = decide_by_tariff(
            plan,
            self._tariff if self._known else None,
            self._local,
            self._hours,
            charged_wh=charged_wh,
            power_w=self._drawn_w[evse.id] or _UNKNOWN_W,
        )
        if verdict.allowed:
            self._since.pop(evse.id, None)
            return None
        since = self._since.setdefault(evse.id, self._clock.now())
        return Limit(0.0, LimitSource.TARIFF, since, verdict.next_change)

    @property
    def _known(self) -> bool:
        return self._clock.monotonic() - self._tariff_s < TARIFF_KNOWN_FOR_S

    @property
    def _local(self) -> datetime:
        return local_time(self._clock.now(), self._clock_settings)
