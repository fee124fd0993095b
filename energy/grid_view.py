"""What others may know of the grid connection: its meter, its limits, and what it leaves for the EVSEs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foundation.events import Event
from metering.reading import UNKNOWN_PHASES, Phases

if TYPE_CHECKING:
    from energy.connection import ConnectionMonitor
    from energy.demand import Demand, SharedLimit
    from energy.grid import GridSample
    from energy.house_share import HouseAllocator
    from energy.phase_map import PhaseMap
    from energy.rotation import RotationProber
    from energy.station_limits import StationLimits
    from foundation.clock import Clock


class GridView:
    """The grid connection as page, API, MQTT, OCPP, billing and commissioning see it.

    Each value is the present one; reading changes nothing. Load management alone calls `update_meter_silence`.
    """

    def __init__(
        self,
        clock: Clock,
        monitor: ConnectionMonitor | None,
        rotations: RotationProber,
        allocator: HouseAllocator,
        limits: StationLimits,
    ) -> None:
        """`monitor`: None without a grid meter."""
        self.clock = clock
        self.monitor = monitor
        self.allocator = allocator
        """divides the current that the house leaves"""
        self._rotations = rotations
        self._limits = limits
        self.sampled: Event[None] = Event()
        """published after each sample of the grid meter"""
        self.meter_silent = monitor is not None
        """whether there is a grid meter that has sent no fresh sample for some seconds, or none yet; as of the last
        decision of load management"""
        self.meter_silence_changed: Event[None] = Event()
        """published when the grid meter falls silent, and when it sends again"""

    def update_meter_silence(self) -> None:
        """Update `meter_silent`; called by load management after each decision."""
        silent = self.monitor is not None and self.monitor.is_silent
        if silent is not self.meter_silent:
            self.meter_silent = silent
            self.meter_silence_changed.publish(None)

    @property
    def has_meter(self) -> bool:
        """Whether a grid meter is configured."""
        return self.monitor is not None

    @property
    def phases(self) -> int:
        """The number of phases of the connection; 3 without a grid meter."""
        return self.monitor.connection.phases if self.monitor is not None else 3

    @property
    def last_sample(self) -> GridSample | None:
        """The last sample of the grid meter; None before the first."""
        return self.monitor.last_sample if self.monitor is not None else None

    @property
    def sample_age_s(self) -> float | None:
        """Seconds since the last fresh sample; None before the first."""
        return self.monitor.age_s if self.monitor is not None else None

    @property
    def available_a(self) -> Phases[float] | None:
        """The current that the house leaves for all EVSEs together now, A per grid phase; None without a grid meter."""
        return self.monitor.available_current().currents_a if self.monitor is not None else None

    @property
    def house_currents_a(self) -> Phases[float | None]:
        """The current of the house alone on each phase, as the explanations name it; None: not known."""
        return self.monitor.house_currents_a if self.monitor is not None else UNKNOWN_PHASES

    @property
    def heat(self) -> float | None:
        """Estimated heating of the main fuse, 1: it trips; None: not monitored."""
        return self.monitor.heat if self.monitor is not None else None

    @property
    def limit_a(self) -> float | None:
        """The limit of the house connection, amperes per phase for house and EVSEs together; None: none is known.

        It is the lowest of those that the grid meter reports and the installer has set.
        """
        return self.monitor.limit_a if self.monitor is not None else None

    @property
    def selector_a(self) -> float | None:
        """The current selector's limit for all EVSEs together, amperes per phase; None: not known."""
        return self._limits.selector_a

    @property
    def fixed_limit_a(self) -> float | None:
        """The lower of the selector's and the connection's limit, A per phase (K04.FR.02); None: neither is known."""
        known = [limit for limit in (self.selector_a, self.limit_a) if limit is not None]
        return min(known, default=None)

    @property
    def shared_limits(self) -> dict[str, SharedLimit]:
        """The limits for all EVSEs together that are in force, by name."""
        return self._limits.shared

    def phase_map_of(self, demand: Demand) -> PhaseMap:
        """The grid phase at each terminal of an EVSE, configured or learned, as far as known."""
        return self._rotations.phase_map_of(demand)
