"""What others may know of the grid connection: its meter, its limits, and what it leaves for the EVSEs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from energy.grid_explanation import GridExplainer, GridExplanation
from metering.reading import UNKNOWN_PHASES, Phases

if TYPE_CHECKING:
    from energy.connection import ConnectionMonitor
    from energy.demand import Demand, SharedLimit
    from energy.grid import GridSample
    from energy.grid_changes import GridChanges
    from energy.house_share import HouseAllocator
    from energy.phase_map import PhaseMap
    from energy.rotation import RotationProber
    from energy.station_limits import StationLimits
    from foundation.clock import Clock
    from foundation.events import Event


class GridView:
    """The grid connection as page, API, MQTT, OCPP, billing and commissioning see it.

    Each value is the present one, and reading changes nothing. Its events are for subscribing only.
    """

    def __init__(
        self,
        clock: Clock,
        monitor: ConnectionMonitor | None,
        rotations: RotationProber,
        allocator: HouseAllocator,
        limits: StationLimits,
        changes: GridChanges,
    ) -> None:
        """`monitor`: None without a grid meter; `allocator`: divides the current that the house leaves."""
        self._monitor = monitor
        self._rotations = rotations
        self._limits = limits
        self._changes = changes
        self._explainer = GridExplainer(clock, monitor, allocator) if monitor is not None else None

    @property
    def sampled(self) -> Event[None]:
        """Published after each sample of the grid meter."""
        return self._changes.sampled

    @property
    def meter_silent(self) -> bool:
        """Whether a grid meter has sent no fresh sample for some seconds, or none yet; as of the last decision."""
        return self._changes.meter_silent

    @property
    def meter_silence_changed(self) -> Event[None]:
        """Published when the grid meter falls silent, and when it sends again."""
        return self._changes.meter_silence_changed

    @property
    def has_meter(self) -> bool:
        """Whether a grid meter is configured."""
        return self._monitor is not None

    @property
    def phases(self) -> int:
        """The number of phases of the connection; 3 without a grid meter."""
        return self._monitor.connection.phases if self._monitor is not None else 3

    @property
    def last_sample(self) -> GridSample | None:
        """The last sample of the grid meter; None before the first."""
        return self._monitor.last_sample if self._monitor is not None else None

    @property
    def sample_age_s(self) -> float | None:
        """Seconds since the last fresh sample; None before the first."""
        return self._monitor.age_s if self._monitor is not None else None

    @property
    def available_a(self) -> Phases[float] | None:
        """The current that the house leaves for all EVSEs together now, A per grid phase; None without a grid meter."""
        return self._monitor.available_current().currents_a if self._monitor is not None else None

    @property
    def house_currents_a(self) -> Phases[float | None]:
        """The current of the house alone on each phase, as the explanations name it; None: not known."""
        return self._monitor.house_currents_a if self._monitor is not None else UNKNOWN_PHASES

    @property
    def heat(self) -> float | None:
        """Estimated heating of the main fuse, 1: it trips; None: not monitored."""
        return self._monitor.heat if self._monitor is not None else None

    @property
    def limit_a(self) -> float | None:
        """The limit of the house connection, amperes per phase for house and EVSEs together; None: none is known.

        It is the lowest of those that the grid meter reports and the installer has set.
        """
        return self._monitor.limit_a if self._monitor is not None else None

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

    def explain(self, evse_id: int) -> GridExplanation | None:
        """Explain what the house connection leaves an EVSE, by the last decision.

        None before the first decision, and while the house's current is not known: there is no meter, or it is silent
        or doubted.
        """
        return self._explainer.explain(evse_id) if self._explainer is not None else None
