"""Six hours of house current, EVSE current and limits, for the chart of the page; kept in memory only."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from energy.limit import tightest
from foundation.change_signal import ChangeSignal
from station.load.decision_loop import is_active

if TYPE_CHECKING:
    from energy.grid_view import GridView
    from foundation.clock import Clock
    from metering.reading import Phases
    from station.charging.evse import Evse

EVERY_S: Final = 10.0
"""seconds between two samples while a vehicle charges"""
_IDLE_S: Final = 60.0
"""longest time between two samples while none does"""
_MAX_SAMPLES: Final = 2_160
"""number of samples: six hours"""
_STALE_S: Final = 15.0
"""maximum age of a grid sample; an older one is shown as unknown"""


class LoadSample(NamedTuple):
    """Currents and limits of connection and EVSEs at one moment, amperes; tuples are by phase; None: not known."""

    at_s: float
    """when the sample was taken, seconds since 1970"""
    grid_a: tuple[float | None, ...]
    """current of the house connection by its meter, EVSEs included, amperes on each phase; negative for feed-in;
    None: not known"""
    car_a: tuple[float, ...]
    """sum of the currents of all EVSEs, by their own terminals, amperes on L1, L2, L3"""
    limit_a: float | None
    """limit of the house connection, or of the station if there is none, amperes per phase; None: neither"""
    offered_a: float
    """sum of the currents offered by the EVSEs, amperes per phase"""
    evse_a: tuple[tuple[float, ...], ...]
    """current of each EVSE on its terminals L1 to L3, amperes"""
    evse_limit_a: tuple[float, ...]
    """limit of each EVSE, amperes per phase; its rating if nothing limits it"""
    house_a: tuple[float | None, ...]
    """current of the house connection without the EVSEs, as load management estimates it, amperes on each phase;
    negative for feed-in; None: not known"""


class LoadHistory:
    """Records currents and limits of connection and EVSEs, and keeps the last 2,160 samples in memory.

    Every `EVERY_S` seconds while a vehicle charges and shortly after; else after changes, and once a minute.
    """

    def __init__(self, grid: GridView, evses: Mapping[int, Evse], clock: Clock) -> None:
        self._grid = grid
        self._evses = evses
        self._clock = clock
        self._changed = ChangeSignal()
        self._samples: deque[LoadSample] = deque(maxlen=_MAX_SAMPLES)

    def note_change(self) -> None:
        """Note that an EVSE or what it may draw has changed: the next sample comes within `EVERY_S`."""
        self._changed.notify()

    async def run(self) -> None:
        """Task until cancelled: record samples."""
        while True:
            count_before = self._changed.count
            self._samples.append(self.now())
            await self._clock.sleep(EVERY_S)
            if not any(map(is_active, self._evses.values())):
                await self._changed.wait_for(count_before, self._clock, _IDLE_S - EVERY_S)

    def now(self) -> LoadSample:
        """A sample of the present values; does not record it."""
        grid = self._grid
        age_s = grid.sample_age_s
        sample = grid.last_sample if age_s is not None and age_s < _STALE_S else None
        evses = list(self._evses.values())
        drawn = tuple(_drawn(evse) for evse in evses)
        return LoadSample(
            round(self._clock.now().timestamp(), 1),
            _rounded(sample.currents_a) if sample is not None else (None, None, None),
            tuple(round(sum(currents[phase] for currents in drawn), 2) for phase in range(3)),
            grid.limit_a if grid.limit_a is not None else grid.fixed_limit_a,
            sum(evse.offered_a for evse in evses),
            drawn,
            tuple(_allowed_a(evse) for evse in evses),
            tuple(grid.house_currents_a) if sample is not None else (None, None, None),
        )

    def samples_since(self, at_s: float) -> list[LoadSample]:
        """The samples recorded after `at_s`, seconds since 1970, oldest first, and one of the present values."""
        return [*(sample for sample in self._samples if sample.at_s > at_s), self.now()]


def _drawn(evse: Evse) -> tuple[float, ...]:
    """The current of an EVSE on each terminal; 0 A without a reading."""
    reading = evse.meter.latest
    return tuple(round(current_a or 0.0, 2) for current_a in reading.currents_a) if reading is not None else (0.0,) * 3


def _allowed_a(evse: Evse) -> float:
    binding = tightest(evse.limits)
    return round(min(binding.current_a, evse.layout.max_current_a), 2) if binding else evse.layout.max_current_a


def _rounded(currents_a: Phases[float | None]) -> tuple[float | None, ...]:
    return tuple(None if current_a is None else round(current_a, 2) for current_a in currents_a)
