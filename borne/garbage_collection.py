"""The garbage collector of a process whose stations live as long as it does."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from borne.station_runtime import StationRuntime


class GarbageCollection:
    """Context manager: keeps the garbage collector away from objects that live as long as the stations.

    It does not run until all stations have started, since each collection meanwhile would find nothing and visit the
    objects of all. Those are then excluded from it (`gc.freeze`). What an ended run leaves is collected before the next
    one, or, with many stations, once a tenth of them have restarted.
    """

    def __init__(self, stations: Sequence[StationRuntime]) -> None:
        self._stations = stations
        self._not_started = {station.identity for station in stations}
        self._ended_runs = 0
        self._subscriptions = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Stop collections until the stations have started."""
        gc.disable()
        self._subscriptions.callback(gc.enable)  # also if a station does not start
        for station in self._stations:
            auxiliary = station.auxiliary
            self._subscriptions.callback(auxiliary.subscribe(station.started, self._exclude_from_collection))
            self._subscriptions.callback(auxiliary.subscribe(station.restarting, self._collect_ended_runs))
        return self

    def __exit__(self, *_: object) -> None:
        """End the subscriptions to the stations."""
        self._subscriptions.close()

    def _exclude_from_collection(self, station: StationRuntime) -> None:
        """Exclude the objects of a start from garbage collection."""
        self._not_started.discard(station.identity)
        if not self._not_started:
            gc.freeze()
            gc.enable()

    def _collect_ended_runs(self, _: StationRuntime) -> None:
        """Collect the objects of ended runs, which were frozen at their start."""
        self._ended_runs += 1
        if self._ended_runs * 10 >= len(self._stations):
            self._ended_runs = 0
            gc.unfreeze()
            gc.collect()
