"""Assembles a process that hosts several stations: those of a fleet."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from borne.composition.station_assembly import StartError, acquire_lock, station_runtime
from borne.host_process import HostProcess, raise_descriptor_limit
from borne.station_runtime import ProcessContext
from foundation.clock import SystemClock
from foundation.free_memory import return_free_memory
from foundation.supervision import AuxiliaryCalls
from station.core.model import BootReason
from station.storage.database_thread import OF_MANY_STATIONS, DatabaseThread
from station.storage.read_connections import ReadConnections

if TYPE_CHECKING:
    from ocpp_handlers.wire.transport_tap import TransportTap
    from station.configuration.installation_file import Configuration


def host_process_of_several(
    configurations: Sequence[Configuration],
    *,
    http_port: int | None = None,
    start_at_s: Sequence[float] = (),
    taps: Mapping[str, TransportTap] | None = None,
) -> HostProcess:
    """Create a process that hosts these stations, not yet running; systemd is not notified.

    Environment variables do not change their configurations.

    Args:
        configurations: the installation file of each station.
        http_port: port of the pages instead of the one of the first station; 0: any.
        start_at_s: when each station starts, by the time of the event loop; empty: all start at once.
        taps: what observes the websocket of a station, by its identity.

    Raises:
        StartError: two have the same identity, the storage of one cannot be opened, or another station uses it; or
            the process may not open enough files.
    """
    for identity, count in Counter(configuration.station.identity for configuration in configurations).items():
        if count > 1:
            raise StartError(f"station.identity: {identity} is used by several stations")
    raise_descriptor_limit(len(configurations))
    thread = DatabaseThread(OF_MANY_STATIONS)
    AuxiliaryCalls().subscribe(thread.files.many_closed, lambda _: return_free_memory())
    parts = ProcessContext(thread, ReadConnections(SystemClock()), BootReason.POWER_UP, alone=False)
    with contextlib.ExitStack() as stack:
        locks = [
            stack.enter_context(acquire_lock(configuration)) for configuration in configurations
        ]  # acquired before any hardware is opened
        stations = [
            station_runtime(configuration, parts, lock=lock, tap=(taps or {}).get(configuration.station.identity))
            for configuration, lock in zip(configurations, locks, strict=True)
        ]
        stack.pop_all()  # each station releases its own lock
    return HostProcess(stations, thread, None, http_port=http_port, start_at_s=start_at_s)
